#!/usr/bin/env bash
# All that needs a GPU, in one run of about ten minutes on an H200 with 16 cores: the benchmarks of docs/benchmarks.md,
# the ablations of docs/proof.md, and the network of the bundled model's second edition.
#
#   OUT=results runs/gpu.sh                        all of it
#   OUT=results SECONDS_LEFT=580 runs/gpu.sh       what is done by then; unfinished runs are left out
#   OUT=results BENCHMARKS=--tiny CLIPS=24 HELD_OUT=8 STEPS=4 BATCH=2 PAIRS=4 runs/gpu.sh --quick
#                                                  a small copy of everything, in minutes on a CPU
#
# OUT gets gpu.json, ablations.tgz (unpack it in runs/), bundled.tgz (unpack it as the OUT of runs/bundled.sh) and
# logs/. WORK holds what is written meanwhile. Nothing here needs a network.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=$(realpath -m "${OUT:-out/gpu}")
WORK=${WORK:-$(mktemp -d)}
PYTHON=${PYTHON:-.venv/bin/python}
SECONDS_LEFT=${SECONDS_LEFT:-86400}
BENCHMARKS=${BENCHMARKS:---seconds 110} # options of benchmarks/gpu.py
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
mkdir -p "$OUT/logs"

left() { echo $((SECONDS_LEFT - SECONDS - ${1:-0})); }

# The bundled model's clips are drawn on the CPU while the benchmarks have the GPU for themselves.
BASE=motifocal/bundled OUT=$WORK/bundled WORKERS=$(($(nproc) / 2)) MOTIFOCAL="$PYTHON -m motifocal" DEVICE=auto \
    timeout "$(left 20)" runs/bundled.sh prepare > "$OUT/logs/bundled.log" 2>&1 &
clips=$!
timeout "$(left 20)" "$PYTHON" benchmarks/gpu.py $BENCHMARKS --out "$OUT/gpu.json" 2>&1 | tee "$OUT/logs/benchmarks.log"

wait "$clips"
BASE=motifocal/bundled OUT=$WORK/bundled MOTIFOCAL="$PYTHON -m motifocal" DEVICE=auto \
    timeout "$(left 20)" runs/bundled.sh train >> "$OUT/logs/bundled.log" 2>&1 &
training=$!
timeout "$(left 20)" "$PYTHON" scripts/ablations.py --device auto --work "$WORK/ablations" --results "$WORK/results" \
    "$@" 2>&1 | tee "$OUT/logs/ablations.log"
wait "$training"

mkdir -p "$WORK/results"
tar czf "$OUT/ablations.tgz" -C "$WORK" --transform s/^results/ablations/ results
"$PYTHON" scripts/slim_run.py "$WORK/bundled/run" "$WORK/slim/run" && tar czf "$OUT/bundled.tgz" -C "$WORK/slim" run
tail -n 5 "$WORK"/ablations/logs/*.log > "$OUT/logs/runs.log"
ls -l "$OUT"
