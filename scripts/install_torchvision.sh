#!/bin/sh
# Prints the folder of a torchvision that fits the torch of the Python given as the first argument
# (default: python3), for the tests of RAFT; installs it there, under .torchvision/, if it is not.
# Never into the environment itself: torchvision's wheel does not import beside a torch without
# CUDA, and diffusers and transformers fail to import where they find it. Exits 1 where pip fails.
set -eu

python="${1:-python3}"
root="$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)"
# torch 2.y goes with torchvision 0.(y + 15); the folder's name holds both, and Python's version.
names="$("$python" -c '
import importlib.metadata, sys
major, minor = importlib.metadata.version("torch").split(".")[:2]
if major != "2":
    sys.exit(f"which torchvision fits torch {major}.{minor} is not known here")
print(f"0.{int(minor) + 15}", "py%d.%d" % sys.version_info[:2])
')"
version="${names% *}"
folder="$root/.torchvision/$version-${names#* }"
if [ ! -f "$folder/torchvision/__init__.py" ]; then
  mkdir -p "$root/.torchvision"
  partial="$(mktemp -d "$root/.torchvision/partial.XXXXXX")"
  trap 'rm -rf "$partial"' EXIT
  trap 'exit 130' INT TERM # dash does not run the trap above when a signal ends it
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --target "$partial/lib" "torchvision==$version.*" >&2
  # Another process may have been faster; its folder is as good. (mv would move into it.)
  "$python" -c 'import os, sys; os.rename(*sys.argv[1:])' "$partial/lib" "$folder" 2>/dev/null ||
    [ -f "$folder/torchvision/__init__.py" ]
fi
echo "$folder"
