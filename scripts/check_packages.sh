#!/bin/sh
# Builds the sdist and from it the wheel, installs the wheel into fresh environments outside of the
# tree, and runs commands from there: with all of .venv's packages, and the light core by itself.
#
#     sh scripts/check_packages.sh PYTHON
#
# PYTHON has setuptools and, for the first environment, all of `[all]`. Where no package index
# answers, the light core is left out. Exits 1 on the first failure.
set -eu

root="$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)"
python="$(command -v "$1")"
case "$python" in /*) ;; *) python="$PWD/$python" ;; esac
most=600 # MB that the light core and the study may take
work="$(mktemp -d)"
server=""
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
unset PYTHONPATH

pip() { "$python" -m pip --quiet --disable-pip-version-check "$@"; }
new_environment() { "$python" -m venv --without-pip "$work/$1"; }
packages_of() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

echo "building the sdist, and from it the wheel"
(cd "$root" && "$python" -c "import setuptools.build_meta as b; b.build_sdist('$work/dist')" >"$work/log" 2>&1) ||
  { cat "$work/log" >&2; exit 1; }
pip wheel --no-deps --no-build-isolation --no-index -w "$work/dist" "$work"/dist/motifocal-*.tar.gz
wheel="$(echo "$work"/dist/motifocal-*.whl)"
cd "$work"

echo "running the installed wheel"
new_environment full
packages_of "$python" >"$(packages_of "$work/full/bin/python")/parent.pth"
pip --python "$work/full/bin/python" install --no-deps --no-index "$wheel"
"$work/full/bin/python" -c "import motifocal, pathlib
assert pathlib.Path(motifocal.__file__).is_relative_to('$work/full'), motifocal.__file__"
full="$work/full/bin/motifocal"
"$full" scenes export --quiet -o clips --clips 2 --size 64
"$full" scenes export --quiet -o bench --kind benchmark --pairs 2 --truth
picture="$(find bench/images -name '*.png' | sort | head -n 1)"
"$full" animate --quiet "$picture" "the blue balloon dips down" -o balloon.mp4 --steps 2
"$full" heatmap --quiet clips -o maps
"$full" inspect --quiet clips -o report || [ $? -eq 1 ] # 1: it has found something
"$work/full/bin/python" -m motifocal --version
[ -s balloon.mp4 ] && [ -s maps/filmstrip.png ] && [ -s report/inspect.html ]

if ! pip download --no-deps --dest "$work/probe" click >/dev/null 2>&1; then
  echo "no package index answers: the light core is not installed" >&2
  exit 0
fi
echo "running the light core"
new_environment light
light="$work/light/bin/motifocal"
packages="$(packages_of "$work/light/bin/python")"
install() { pip --python "$work/light/bin/python" install --only-binary :all: -c "$root/constraints.txt" "$1"; }
measure() { du -sm "$packages" | cut -f1; }
install "$wheel"
core="$(measure)"
"$light" heatmap --quiet clips -o maps2
"$light" inspect --quiet clips -o report2 || [ $? -eq 1 ]
cmp maps/filmstrip.png maps2/filmstrip.png
install "$wheel[study]"
size="$(measure)"
[ ! -d "$packages/torch" ]
for name in a b; do
  "$light" bench ingest --quiet bench/videos --bench bench --own-pairs --name "$name" -o "results-$name"
done
"$light" study create --quiet --a results-a --b results-b -o study.db
"$light" study serve study.db --port 8765 >serve.log 2>&1 &
server=$!
"$work/light/bin/python" -c '
import http.client, sys, time
for attempt in range(300):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", 8765, timeout=5)
        connection.request("GET", "/")
        break
    except OSError:
        time.sleep(0.2)
else:
    sys.exit("the study does not answer")
answer = connection.getresponse()
assert (answer.status, answer.getheader("location")) == (303, "consent"), answer.status
' || { cat serve.log >&2; exit 1; }
echo "the light core takes $core MB, with the study $size MB"
[ "$size" -lt "$most" ]
