#!/bin/sh
# Prints a folder with a package of its own, beside the environment and never in it; installs it
# there if it is not. For tests that run another project's code beside ours.
#
#     sh scripts/install_apart.sh PYTHON FOLDER REQUIREMENT MODULE
#
# FOLDER is below the project; MODULE tells a whole installation. What the package depends on is not
# installed. Exits 1 where pip fails.
set -eu

python="$1" requirement="$3" module="$4"
folder="$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)/$2"
if [ ! -f "$folder/$module/__init__.py" ]; then
  above="$(dirname "$folder")"
  mkdir -p "$above"
  partial="$(mktemp -d "$above/partial.XXXXXX")"
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT TERM # dash does not run the trap above when a signal ends it
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --target "$partial/lib" "$requirement" >&2
  # Another process may have been faster; its folder is as good. (mv would move into it.)
  "$python" -c 'import os, sys; os.rename(*sys.argv[1:])' "$partial/lib" "$folder" 2>/dev/null ||
    [ -f "$folder/$module/__init__.py" ]
fi
echo "$folder"
