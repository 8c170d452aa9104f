#!/usr/bin/env bash
# All that needs a GPU, in one run of about ten minutes on an H200 with 16 cores: the benchmarks of docs/benchmarks.md,
# the ablations of docs/proof.md, and the network of the bundled model's second edition.
#
#   OUT=results runs/gpu.sh                        all of it
#   OUT=results SECONDS_LEFT=580 runs/gpu.sh       what is done by then; unfinished runs are left out
#   OUT=results BENCHMARKS=--tiny CLIPS=24 HELD_OUT=8 STEPS=4 WARMUP=1 BATCH=2 PAIRS=4 runs/gpu.sh --quick
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

failed=0
part() { # name, command: with what is left of the time; says what failed, and the others go on
    local name=$1; shift
    timeout "$(left 20)" "$@" 2>&1 | tee "$OUT/logs/$name.log" || { echo "$name failed" >&2; failed=1; }
}
bundled() { # stage of runs/bundled.sh
    BASE=motifocal/bundled OUT=$WORK/bundled WORKERS=$(($(nproc) / 2)) MOTIFOCAL="$PYTHON -m motifocal" DEVICE=auto \
        timeout "$(left 20)" runs/bundled.sh "$1" > "$OUT/logs/bundled-$1.log" 2>&1
}

# The bundled model's clips are drawn on the CPU while the benchmarks have the GPU for themselves.
bundled prepare &
clips=$!
part benchmarks "$PYTHON" benchmarks/gpu.py $BENCHMARKS --out "$OUT/gpu.json"
wait "$clips"
bundled train &
training=$!
part ablations "$PYTHON" scripts/ablations.py --device auto --work "$WORK/ablations" --results "$WORK/results" "$@"
wait "$training" || { echo "the bundled network failed, see logs/" >&2; failed=1; }

mkdir -p "$WORK/results"
tar czf "$OUT/ablations.tgz" -C "$WORK" --transform s/^results/ablations/ results
if [ -f "$WORK/bundled/run/training.json" ]; then
    rm -rf "$WORK/slim"
    part slim "$PYTHON" scripts/slim_run.py "$WORK/bundled/run" "$WORK/slim/run"
    tar czf "$OUT/bundled.tgz" -C "$WORK/slim" run
fi
find "$WORK/ablations" -name '*.log' -exec tail -v -n 5 {} + > "$OUT/logs/runs.log"
tail -n 3 "$OUT"/logs/bundled-*.log
ls -l "$OUT"
exit "$failed"
