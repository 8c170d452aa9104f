#!/bin/sh
# Prints the folder of the finetrainers that benchmarks/finetune.py measures and
# benchmarks/trainer_faults.py runs; the Python is the first argument (default: python3). Exits 1
# where it cannot be installed.
set -eu

here="$(CDPATH='' cd -- "$(dirname "$0")" && pwd)"
exec sh "$here/install_apart.sh" "${1:-python3}" .finetrainers/0.2.0 finetrainers finetrainers==0.2.0
