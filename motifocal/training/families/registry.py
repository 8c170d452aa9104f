"""Find the family of a diffusers model folder, from its JSON files alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motifocal.files.json_text import read_json_object
from motifocal.models.folder_files import read_index
from motifocal.training.families.base import Family
from motifocal.training.families.cogvideox import CogVideoX, CogVideoX15
from motifocal.training.families.hunyuan import HunyuanVideo, HunyuanVideoConcat
from motifocal.training.families.hunyuan15 import HunyuanVideo15
from motifocal.training.families.kandinsky5 import Kandinsky5, Kandinsky5Sparse
from motifocal.training.families.ltx import LTX, LTXCondition
from motifocal.training.families.ltx2 import FULL, LTX2
from motifocal.training.families.wan import SkyReelsV2, Wan21, WanA14B, WanTI2V

#: The first that matches counts.
FAMILIES: tuple[type[Family], ...] = (
    WanTI2V,
    WanA14B,
    Wan21,
    SkyReelsV2,
    LTX,
    LTXCondition,
    CogVideoX,
    CogVideoX15,
    HunyuanVideo,
    HunyuanVideoConcat,
    HunyuanVideo15,
    LTX2,
    Kandinsky5,
    Kandinsky5Sparse,
)


def family_of(folder: Path) -> Family:
    """Return the family of a model folder; ValueError where none can train it."""
    index = read_index(folder)
    configs = read_configs(folder, index)
    named = index.get("_class_name") in {family.pipeline for family in FAMILIES}
    if named and "transformer" not in configs:
        raise ValueError(f"{folder} should hold transformer/config.json, got none")
    for family in FAMILIES:
        if family.matches(index, configs):
            return family(index, configs)
    known = ", ".join(family.name for family in FAMILIES)
    raise ValueError(f"{folder} should be a model of a family that can be fine-tuned ({known}), "
                     f"got {index.get('_class_name')}")


def read_configs(folder: Path, index: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Read the JSON configuration of every part that has one, listed in the index or not."""
    configs = {}
    for part in (*index, FULL):
        for name in ("config.json", "scheduler_config.json"):
            if (folder / part / name).is_file():
                configs[part] = read_json_object(folder / part / name)
    return configs
