#!/bin/sh
# Prints a folder with the releases that a trainer pins, for the tests that run its bridge beside
# them; installs them there, under .pins/, if they are not.
#
#     sh scripts/install_pins.sh PYTHON TRAINER REQUIREMENT...
#
# One of the requirements is transformers. Exits 1 where pip fails.
set -eu

python="$1" trainer="$2"
here="$(CDPATH='' cd -- "$(dirname "$0")" && pwd)"
shift 2
# Another list of pins, or another Python, is another folder.
tag="$("$python" -c '
import hashlib, sys
digest = hashlib.sha256(" ".join(sys.argv[1:]).encode()).hexdigest()[:8]
print("%s-py%d.%d" % (digest, *sys.version_info[:2]))
' "$@")"
exec sh "$here/install_apart.sh" "$python" ".pins/$trainer-$tag" transformers "$@"
