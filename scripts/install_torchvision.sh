#!/bin/sh
# Prints the folder of a torchvision that fits the torch of the Python given as the first argument
# (default: python3), for the tests of RAFT; installs it there, under .torchvision/, if it is not.
# Never into the environment itself: torchvision's wheel does not import beside a torch without
# CUDA, and diffusers and transformers fail to import where they find it. Exits 1 where pip fails.
set -eu

python="${1:-python3}"
here="$(CDPATH='' cd -- "$(dirname "$0")" && pwd)"
# torch 2.y goes with torchvision 0.(y + 15); the folder's name holds both, and Python's version.
names="$("$python" -c '
import importlib.metadata, sys
major, minor = importlib.metadata.version("torch").split(".")[:2]
if major != "2":
    sys.exit(f"which torchvision fits torch {major}.{minor} is not known here")
print(f"0.{int(minor) + 15}", "py%d.%d" % sys.version_info[:2])
')"
version="${names% *}"
exec sh "$here/install_apart.sh" "$python" ".torchvision/$version-${names#* }" \
  torchvision "torchvision==$version.*"
