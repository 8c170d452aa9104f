#!/bin/sh
# Prints the folder of what `transformers serve` needs beside transformers, for the test that asks a
# judge behind it; the Python is the first argument (default: python3). Exits 1 where it cannot be
# installed.
set -eu

python="${1:-python3}"
here="$(CDPATH='' cd -- "$(dirname "$0")" && pwd)"
# Raise the number with the versions. Python's is in the name as jiter is compiled for one; where
# two releases are allowed, Python 3.10 takes the older.
tag="$("$python" -c 'import sys; print("py%d.%d" % sys.version_info[:2])')"
exec sh "$here/install_apart.sh" "$python" ".serving/2-$tag" fastapi 'fastapi>=0.162.5,<=0.165.0' \
  'annotated-doc>=0.0.6,<=0.0.7' opentelemetry-api==1.45.2 openai==3.57.0 \
  'jiter>=0.18.0,<=0.19.0' distro==1.9.0 sniffio==1.3.1
