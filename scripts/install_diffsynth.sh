#!/bin/sh
# Prints the folder of the DiffSynth-Studio whose rules data/trainers.py has, for the test that runs
# both; installs it there, under .diffsynth/, if it is not. Only its own files: what it depends on
# is several GB and not needed for reading a clip. Exits 1 where pip fails.
set -eu

python="${1:-python3}"
version=2.1.12
root="$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)"
folder="$root/.diffsynth/$version"
if [ ! -f "$folder/diffsynth/__init__.py" ]; then
  mkdir -p "$root/.diffsynth"
  partial="$(mktemp -d "$root/.diffsynth/partial.XXXXXX")"
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT TERM # dash does not run the trap above when a signal ends it
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --target "$partial/lib" "diffsynth==$version" >&2
  # Another process may have been faster; its folder is as good. (mv would move into it.)
  "$python" -c 'import os, sys; os.rename(*sys.argv[1:])' "$partial/lib" "$folder" 2>/dev/null ||
    [ -f "$folder/diffsynth/__init__.py" ]
fi
echo "$folder"
