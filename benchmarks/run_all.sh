#!/usr/bin/env bash
# Runs every benchmark and writes the tables into docs/benchmarks.md, and those of scale.py into
# docs/scale.md. Wants a quiet machine.
# With --quick it is a smoke run: everything runs for seconds, and the page is left alone.
# What gpu.py measures is left alone where there is no GPU, too.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-PASSIVE}"
python="${PYTHON:-.venv/bin/python}"

for name in step unet sampling heatmap score startup scenes study finetune trainer_faults scale; do
  echo "benchmarks/$name.py" >&2
  table="$("$python" "benchmarks/$name.py" "$@")"
  printf '%s\n\n' "$table"
  case " $* " in
    *" --quick "*) ;;
    *) printf '%s\n' "$table" | "$python" benchmarks/into_docs.py "$name" ;;
  esac
done

echo "benchmarks/gpu.py" >&2
case " $* " in
  *" --quick "*) "$python" benchmarks/gpu.py --tiny ;;
  *)
    if "$python" -c "import sys, torch; sys.exit(not torch.cuda.is_available())"; then
      table="$("$python" benchmarks/gpu.py)"
      printf '%s\n\n' "$table"
      printf '%s\n' "$table" | "$python" benchmarks/into_docs.py gpu
    fi
    ;;
esac
