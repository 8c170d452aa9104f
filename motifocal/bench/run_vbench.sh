#!/bin/sh
# Runs the unchanged VBench-I2V on this folder:  sh run_vbench.sh PATH_OF_A_CLONE_OF_VBENCH
# It needs a CUDA device. PYTHON may name the interpreter of VBench's environment.
set -eu
vbench=${1:?usage: sh run_vbench.sh PATH_OF_A_CLONE_OF_VBENCH}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd -- "$vbench"
for dimension in DIMENSIONS; do
    "${PYTHON:-python}" evaluate_i2v.py --mode custom_input --dimension "$dimension" \
        --videos_path "$here/videos" --custom_image_folder "$here/pictures" \
        --output_path "$here/scores/$dimension"
done
