#!/usr/bin/env bash
# The second edition of the bundled model, from nothing: every command that makes motifocal/bundled, in order.
#
#   runs/bundled.sh                    all stages; about four hours on two CPU cores
#   runs/bundled.sh prepare train      these alone, for example on a machine with a GPU
#
# Stages: first prepare train decoder bundle eval publish. The first is the first edition, trained on still scenes; the
# others train it further on half still and half living ones, whose prompts name the colour of what enters. Each stage
# goes on where it was stopped. Only bundle, eval and publish need PyAV. A finished model folder may stand in for the
# first stage: BASE=motifocal/bundled runs/bundled.sh prepare train ...
#
# OUT: folder of everything that is written. MOTIFOCAL: the command. DEVICE: auto, cpu, cuda or mps.
# WORKERS: processes that draw clips. CLIPS, HELD_OUT, STEPS, WARMUP, BATCH, RATE, DECODER_STEPS, PAIRS: how much is
# drawn, trained and scored, and how fast; the same numbers have to be given when it goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY=PASSIVE
OUT=${OUT:-out}
MOTIFOCAL=${MOTIFOCAL:-.venv/bin/motifocal}
DEVICE=${DEVICE:-auto}
WORKERS=${WORKERS:-$(nproc)}
BASE=${BASE:-$OUT/first/bundled}
CLIPS=${CLIPS:-4096}
HELD_OUT=${HELD_OUT:-480}
STEPS=${STEPS:-700}
WARMUP=${WARMUP:-50}
BATCH=${BATCH:-16}
RATE=${RATE:-1e-3}
MICRO_BATCH=${MICRO_BATCH:-$BATCH}
DECODER_STEPS=${DECODER_STEPS:-900}
PAIRS=${PAIRS:-320}
LIVELY="--background living --level lively"

first() {
    OUT="$OUT/first" MOTIFOCAL="$MOTIFOCAL" runs/bundled_first.sh
}

prepare() {
    local scenes="prepare scenes --size 64 --background mixed --workers $WORKERS --device $DEVICE"
    $MOTIFOCAL $scenes --clips "$CLIPS" --split train --model "$BASE" -o "$OUT/shards"
    $MOTIFOCAL $scenes --clips "$HELD_OUT" --split eval --seed 1 --model "$BASE" -o "$OUT/held-out"
}

train() {
    $MOTIFOCAL train "$OUT/shards" --preset scenes --held-out "$OUT/held-out" --model "$BASE" \
        -o "$OUT/run" --device "$DEVICE" --set "steps=$STEPS" --set "warmup=$WARMUP" --set "cooldown=$((STEPS / 2))" \
        --set "global_batch=$BATCH" --set "micro_batch=$MICRO_BATCH" --set "learning_rate=$RATE" --set motif_weight=1 \
        --set save_every=50 --set sample_every=1000
}

decoder() {
    $MOTIFOCAL base --decoder-of "$BASE" -o "$OUT/refined" --steps "$DECODER_STEPS" --workers "$WORKERS" \
        --device "$DEVICE" $LIVELY
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
    bundled -o "$OUT/published/bundled" --license apache-2.0 --scores "$OUT/eval-still"
    cp "$OUT/eval-still/report.md" "$OUT/published/bundled/scores.md"
    cp "$OUT/eval-living/report.md" "$OUT/published/bundled/scores-living.md"
}

STAGES="first prepare train decoder bundle eval publish"
for stage in ${*:-$STAGES}; do # before anything is computed
    [[ " $STAGES " == *" $stage "* ]] || { echo "no stage $stage; there are: $STAGES" >&2; exit 2; }
done
for stage in ${*:-$STAGES}; do
    case $stage in eval) eval_ ;; *) "$stage" ;; esac
done
