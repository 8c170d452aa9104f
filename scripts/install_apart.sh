#!/bin/sh
# Prints a folder with packages of its own, beside the environment and never in it; installs them
# there if they are not. For tests that run another project's code, or its releases, beside ours.
#
#     sh scripts/install_apart.sh PYTHON FOLDER MODULE REQUIREMENT...
#
# FOLDER is below the project; MODULE tells a whole installation. What the packages depend on is not
# installed. Exits 1 where pip fails.
set -eu

python="$1" module="$3"
folder="$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)/$2"
shift 3
if [ ! -f "$folder/$module/__init__.py" ]; then
  above="$(dirname "$folder")"
  mkdir -p "$above"
  partial="$(mktemp -d "$above/partial.XXXXXX")"
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT TERM # dash does not run the trap above when a signal ends it
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --target "$partial/lib" "$@" >&2
  # Another process may have been faster; its folder is as good. (mv would move into it.)
  "$python" -c 'import os, sys; os.rename(*sys.argv[1:])' "$partial/lib" "$folder" 2>/dev/null ||
    [ -f "$folder/$module/__init__.py" ]
fi
echo "$folder"
