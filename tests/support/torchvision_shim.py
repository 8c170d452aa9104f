"""torchvision from a folder of its own becomes importable beside a torch without CUDA.

torchvision's wheel registers compiled operators that want CUDA's libraries, and `import
torchvision` fails without them: it builds on their names. RAFT uses none of them. So their names
are declared here, without any code behind them, before the import; all else is torchvision's own.
For tests and benchmarks: a library should not do this to its users' process.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "install_torchvision.sh"

ROIS = "Tensor input, Tensor rois, float spatial_scale"
SIZES = "SymInt pooled_height, SymInt pooled_width"
SHAPE = "SymInt batch_size, SymInt channels, SymInt height, SymInt width"
BACK = f"Tensor grad, Tensor rois, Tensor which, float spatial_scale, {SIZES}"
CONV = "Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, " + ", ".join(
    f"SymInt {name}"
    for name in ("stride_h", "stride_w", "pad_h", "pad_w", "dilation_h", "dilation_w", "groups",
                 "offset_groups")
) + ", bool use_mask"  # fmt: skip
SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "box_iou_rotated(Tensor boxes1, Tensor boxes2) -> Tensor",
    f"roi_align({ROIS}, {SIZES}, int sampling_ratio, bool aligned) -> Tensor",
    f"roi_pool({ROIS}, {SIZES}) -> (Tensor, Tensor)",
    f"ps_roi_align({ROIS}, {SIZES}, int sampling_ratio) -> (Tensor, Tensor)",
    f"ps_roi_pool({ROIS}, {SIZES}) -> (Tensor, Tensor)",
    f"_roi_align_backward(Tensor grad, Tensor rois, float spatial_scale, {SIZES}, {SHAPE}, "
    "int sampling_ratio, bool aligned) -> Tensor",
    f"_roi_pool_backward({BACK}, {SHAPE}) -> Tensor",
    f"_ps_roi_align_backward({BACK}, int sampling_ratio, {SHAPE}) -> Tensor",
    f"_ps_roi_pool_backward({BACK}, {SHAPE}) -> Tensor",
    f"deform_conv2d({CONV}) -> Tensor",
    f"_deform_conv2d_backward(Tensor grad, {CONV}) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
)


def installed() -> Path | None:
    """The folder with torchvision, installed by the script if need be; None where that failed."""
    done = subprocess.run(["sh", str(SCRIPT), sys.executable], capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stderr)
        return None
    return Path(done.stdout.strip())


def make_importable(folder: Path) -> None:
    """From now on `import torchvision` finds the one in this folder, in this process alone."""
    sys.path.append(str(folder))
    declared = torch.library.Library("torchvision", "DEF")
    for schema in SCHEMAS:
        declared.define(schema)
    _kept.append(declared)


# What a Library declares goes with it.
_kept: list[torch.library.Library] = []
