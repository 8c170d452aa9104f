#!/usr/bin/env bash
# The second edition of the bundled model, from nothing: every command that makes motifocal/bundled, in order.
#
#   runs/bundled.sh                    all stages
#   runs/bundled.sh prepare train      these alone, for example on a machine with a GPU
#
# Stages: base prepare train decoder bundle eval publish. Each goes on where it was stopped. Only bundle, eval
# and publish need PyAV. A finished model folder may stand in for the first stage, since the network and the
# decoder begin with its autoencoder and text encoder: BASE=motifocal/bundled runs/bundled.sh prepare train ...
#
# OUT: folder of everything that is written. MOTIFOCAL: the command. DEVICE: auto, cpu, cuda or mps.
# WORKERS: processes that draw clips. CLIPS, HELD_OUT, STEPS, WARMUP, BATCH, DECODER_STEPS, PAIRS: how much is drawn,
# trained and scored; the same numbers have to be given when it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=PASSIVE
OUT=${OUT:-out}
MOTIFOCAL=${MOTIFOCAL:-.venv/bin/motifocal}
DEVICE=${DEVICE:-auto}
WORKERS=${WORKERS:-$(nproc)}
BASE=${BASE:-$OUT/base}
CLIPS=${CLIPS:-14400}
HELD_OUT=${HELD_OUT:-480}
STEPS=${STEPS:-4000}
WARMUP=${WARMUP:-100}
BATCH=${BATCH:-32}
MICRO_BATCH=${MICRO_BATCH:-$BATCH}
DECODER_STEPS=${DECODER_STEPS:-3000}
PAIRS=${PAIRS:-320}
LIVELY="--background living --level lively"

base() {
    $MOTIFOCAL base -o "$BASE" --workers "$WORKERS" $LIVELY
}

prepare() {
    local scenes="prepare scenes --size 64 --background mixed --workers $WORKERS --device $DEVICE"
    $MOTIFOCAL $scenes --clips "$CLIPS" --split train --model "$BASE" -o "$OUT/shards"
    $MOTIFOCAL $scenes --clips "$HELD_OUT" --split eval --seed 1 --model "$BASE" -o "$OUT/held-out"
}

train() {
    $MOTIFOCAL train "$OUT/shards" --preset scenes --held-out "$OUT/held-out" --model "$BASE" --fresh \
        -o "$OUT/run" --device "$DEVICE" --set "steps=$STEPS" --set "warmup=$WARMUP" --set "cooldown=$((STEPS / 2))" \
        --set "global_batch=$BATCH" --set "micro_batch=$MICRO_BATCH" --set motif_weight=1 \
        --set save_every=500 --set sample_every=1000 --probe-every 1000 --probe-pairs "$PAIRS"
}

decoder() {
    $MOTIFOCAL base --decoder-of "$BASE" -o "$OUT/refined" --steps "$DECODER_STEPS" --workers "$WORKERS" $LIVELY
}

bundled() { # options: writes the folder of -o, unless it is there
    [ -d "$2" ] || $MOTIFOCAL bundle "$OUT/run" "$OUT/refined" "$@" --steps 20 --guidance 2.5 --domain-check
}

bundle() {
    bundled -o "$OUT/bundled"
}

eval_() {
    local scored="scenes eval $OUT/bundled --pairs $PAIRS --autoencoder --device $DEVICE"
    $MOTIFOCAL $scored -o "$OUT/eval-still"
    $MOTIFOCAL $scored -o "$OUT/eval-living" $LIVELY
}

publish() { # the same weights once more, with the scores of the still pairs on the model card
    bundled -o "$OUT/published" --license apache-2.0 --scores "$OUT/eval-still"
    cp "$OUT/eval-still/report.md" "$OUT/published/scores.md"
    cp "$OUT/eval-living/report.md" "$OUT/published/scores-living.md"
}

STAGES="base prepare train decoder bundle eval publish"
for stage in ${*:-$STAGES}; do # before anything is computed
    [[ " $STAGES " == *" $stage "* ]] || { echo "no stage $stage; there are: $STAGES" >&2; exit 2; }
done
for stage in ${*:-$STAGES}; do
    case $stage in eval) eval_ ;; *) "$stage" ;; esac
done
