#!/usr/bin/env bash
# What the motion loss adds: the λ = 0 baseline of the bundled model's first edition, trained on the same clips in the
# same order from the same initial weights. After runs/bundled_first.sh, about an hour and a half on two CPU cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=PASSIVE
OUT=${OUT:-out}
MOTIFOCAL=${MOTIFOCAL:-.venv/bin/motifocal}

$MOTIFOCAL train "$OUT/shards" --preset scenes --model "$OUT/base" -o "$OUT/plain" --samples 0 --set motif_weight=0
$MOTIFOCAL bundle "$OUT/plain" "$OUT/refined" -o "$OUT/baseline" --steps 20 --guidance 2.5 --domain-check
$MOTIFOCAL scenes eval "$OUT/baseline" --pairs 320 --noise file-name -o "$OUT/eval-baseline"
$MOTIFOCAL prepare scenes --size 64 --clips 240 --split eval --seed 1 --evidence pixels --dis-preset medium --model "$OUT/base" -o "$OUT/held-out-240"
$MOTIFOCAL figure6 "$OUT/bundled" "$OUT/baseline" "$OUT/held-out-240" -o "$OUT/figure6"
