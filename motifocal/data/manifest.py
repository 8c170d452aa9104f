"""Read the manifest of a folder of prepared clips, without loading anything heavy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motifocal.files.json_text import read_json_object

MANIFEST = "prepared.json"
MANIFEST_TYPES = {"clips": int, "clips_per_shard": int, "heatmap": dict, "geometry": dict,
                  "source": dict}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read what a folder was prepared from. ValueError where that is missing or damaged."""
    path = folder / MANIFEST
    if not path.exists():
        raise ValueError(f"{folder} should hold {MANIFEST}: it is no prepared folder")
    manifest = read_json_object(path)
    for key, kind in MANIFEST_TYPES.items():
        if type(manifest.get(key)) is not kind or (kind is int and manifest[key] < 1):
            raise ValueError(f"{path} should hold {key!r} as {kind.__name__}, got "
                             f"{manifest.get(key)!r}")
    stride = manifest["geometry"].get("stride")
    if type(stride) is not int or stride < 1:
        raise ValueError(f"{path} should hold the geometry's stride as int, got {stride!r}")
    return manifest
