#!/usr/bin/env bash
# Every arm of docs/proof.md: trains what has no result yet, then writes the page's tables and curves.
# Run it again to go on. `--jobs 2` trains two arms at a time, `--only still` one experiment,
# `--device auto` on a GPU, where all runs are trained side by side, `--quick` a small copy of two experiments
# in minutes (page in out/).
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-.venv/bin/python}
quick=
for argument in "$@"; do [ "$argument" = --quick ] && quick=1; done

$PYTHON scripts/ablations.py "$@"
if [ -n "$quick" ]; then
  $PYTHON scripts/ablations_page.py --results out/ablations/quick/results --page out/ablations/quick/proof.md
else
  $PYTHON scripts/ablations_page.py
fi
