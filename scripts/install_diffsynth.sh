#!/bin/sh
# Prints the folder of the DiffSynth-Studio whose rules data/trainers.py has, for the test that runs
# both; the Python is the first argument (default: python3). Exits 1 where it cannot be installed.
set -eu

here="$(CDPATH='' cd -- "$(dirname "$0")" && pwd)"
exec sh "$here/install_apart.sh" "${1:-python3}" .diffsynth/2.1.12 diffsynth diffsynth==2.1.12
