#!/bin/sh
# Runs the tests that need no torch on further Pythons, each in an environment of its own under
# .pythons/ with the core, the study and the tools of the tests.
#
#     sh scripts/test_pythons.sh python3.10 python3.12 python3.13
#
# Exits 1 where a Python fails; one that is not there is left out, in words.
set -eu

cd "$(CDPATH='' cd -- "$(dirname "$0")/.." && pwd)"
tests="test_camera test_camera_at_rest test_camera_models test_flow test_heatmap
  test_heatmap_camera test_heatmap_files test_heatmap_of_flow test_heatmap_settings
  test_mask_names test_masks test_masks_refused test_overlay test_own_motion test_picture
  test_scenes test_short_names test_study_plan test_study_statistics test_study_votes"
files="$(for name in $tests; do echo tests/*/"$name.py"; done)"
failed=""
for name in "$@"; do
  if ! "$name" -c '' 2>/dev/null; then
    echo "$name is not there" >&2
    continue
  fi
  folder=".pythons/$("$name" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
  [ -x "$folder/bin/python" ] || "$name" -m venv "$folder" || { rm -rf "$folder"; exit 1; }
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt \
    -e '.[report]' evalica hypothesis pytest pytest-xdist statsmodels
  echo "$name: $("$folder/bin/python" --version)"
  # shellcheck disable=SC2086
  "$folder/bin/python" -m pytest -q -n0 -p no:cacheprovider -m "not slow" $files || failed=yes
done
[ -z "$failed" ]
