#!/bin/sh
# Prints the folder of what `transformers serve` needs beside transformers, for the test that asks a
# judge behind it; the Python is the first argument (default: python3). Exits 1 where it cannot be
# installed.
set -eu

here="$(CDPATH='' cd -- "$(dirname "$0")" && pwd)"
exec sh "$here/install_apart.sh" "${1:-python3}" .serving/1 fastapi 'fastapi>=0.160,<1' \
  annotated-doc opentelemetry-api 'openai>=3,<4' jiter distro sniffio
