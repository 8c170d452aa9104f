#!/usr/bin/env bash
# What needs a GPU, in stages: the benchmarks of docs/benchmarks.md, the ablations of docs/proof.md, and the network
# of the bundled model's second edition. On an H200 with 16 cores it is meant to take some ten minutes.
#
#   OUT=results runs/gpu.sh                               all stages, one after the other
#   OUT=results SECONDS_LEFT=580 runs/gpu.sh ablations    one stage, ended in time; what is done by then is kept
#   OUT=results ABLATIONS="--only hard" runs/gpu.sh ablations
#   OUT=results BENCHMARKS=--tiny CLIPS=24 HELD_OUT=8 STEPS=4 WARMUP=1 BATCH=2 PAIRS=4 ABLATIONS=--quick runs/gpu.sh
#                                                         a small copy of everything, in minutes on a CPU
#
# OUT gets gpu.json, ablations.tgz (unpack it in runs/), bundled.tgz (unpack it as the OUT of runs/bundled.sh) and
# logs.tgz. WORK holds what is written meanwhile. Nothing here needs a network.
set -uo pipefail
cd "$(dirname "$0")/.."
OUT=$(realpath -m "${OUT:-out/gpu}")
WORK=${WORK:-$(mktemp -d)}
PYTHON=${PYTHON:-.venv/bin/python}
SECONDS_LEFT=${SECONDS_LEFT:-86400}
BENCHMARKS=${BENCHMARKS:---seconds 110} # options of benchmarks/gpu.py
ABLATIONS=${ABLATIONS:-}                # options of scripts/ablations.py
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE
# As many streams are to run beside each other as there may be; 8 by default.
export CUDA_DEVICE_MAX_CONNECTIONS=32
STAGES="benchmarks ablations bundled"
failed=0
mkdir -p "$OUT" "$WORK/logs" "$WORK/results"

left() { # seconds until the end less what comes after, at least 1
    local seconds=$((SECONDS_LEFT - SECONDS - $1))
    echo $((seconds > 1 ? seconds : 1))
}

part() { # name, seconds that others need after it, command: says what failed, and the others go on
    local name=$1 after=$2
    shift 2
    timeout -k 10 "$(left "$after")" "$@" 2>&1 | tee "$WORK/logs/$name.log" ||
        { echo "$name failed or was ended" >&2; failed=1; }
}

benchmarks() {
    part benchmarks 20 "$PYTHON" benchmarks/gpu.py $BENCHMARKS --out "$OUT/gpu.json"
}

ablations() {
    part ablations 30 "$PYTHON" scripts/ablations.py --device auto --work "$WORK/ablations" --results "$WORK/results" \
        $ABLATIONS
    tar czf "$OUT/ablations.tgz" -C "$WORK" --transform s/^results/ablations/ results
    find "$WORK/ablations" -name '*.log' -exec tail -v -n 5 {} + > "$WORK/logs/runs.log"
}

bundled() {
    part bundled 45 env BASE=motifocal/bundled OUT="$WORK/bundled" MOTIFOCAL="$PYTHON -m motifocal" DEVICE=auto \
        runs/bundled.sh prepare train
    [ -f "$WORK/bundled/run/training.json" ] || return 0
    rm -rf "$WORK/slim"
    part slim 5 "$PYTHON" scripts/slim_run.py "$WORK/bundled/run" "$WORK/slim/run"
    tar czf "$OUT/bundled.tgz" -C "$WORK/slim" run || failed=1
}

for stage in ${*:-$STAGES}; do # before anything is computed
    [[ " $STAGES " == *" $stage "* ]] || { echo "no stage $stage; there are: $STAGES" >&2; exit 2; }
done
for stage in ${*:-$STAGES}; do
    "$stage"
done
tar czf "$OUT/logs.tgz" -C "$WORK" logs
ls -l "$OUT"
exit "$failed"
