"""Store weights at latent resolution, and load only those that fit the latents.

Letters: F' latent frames, h w latents. A file holds ``weight`` (F', h, w) float16 in [0, 1] and,
as metadata, all that decided it: the clip's sha256, frames, rate, size, latent grid and heatmap
settings. A trainer's latents were made by the same choices or the weight is of another place or
moment, so the caller says what the latents are of, and what differs is named and refused.
Nothing is ever resized.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from motifocal.data.selection import Selection
from motifocal.files.atomic import write_bytes
from motifocal.files.json_text import parse_json
from motifocal.files.tensor_file import open_safetensors
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry, as_array
from motifocal.motion.settings import HeatmapSettings, settings_from

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
#: The fields of a LatentGeometry that decide a weight; families that share them share weights.
GRID = ("spatial_stride", "temporal_stride", "temporal_multiple", "block_frames",
        "last_block_frames")  # fmt: skip


@dataclass(frozen=True)
class WeightKey:
    """All that decides a weight; made by ``weight_key``.

    clip: sha256 of the video file. grid: the values of GRID of the family, without those of
    blocks where it has none.
    """

    clip: str
    selection: Selection
    family: str
    grid: tuple[int, ...]
    settings: HeatmapSettings

    @property
    def file(self) -> str:
        """The name of the weight's file: of the clip, then of everything else."""
        rest = {name: value for name, value in _plain(self).items() if name != "family"}
        digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
        return f"{self.clip[:16]}-{digest[:16]}{SUFFIX}"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(F', h, w) of the weight."""
        values: dict[str, Any] = dict(zip(GRID, self.grid, strict=False))
        geometry = LatentGeometry(**values)
        return (geometry.latent_frames(len(self.selection.indices)),
                self.selection.height // geometry.spatial_stride,
                self.selection.width // geometry.spatial_stride)  # fmt: skip

    def differences(self, other: WeightKey) -> list[str]:
        """Say what differs from another key; empty where one weight serves both."""
        words = [] if self.clip == other.clip else [f"clip {self.clip[:8]} against "
                                                    f"{other.clip[:8]} (sha256)"]  # fmt: skip
        words += self.selection.differences(other.selection)
        if self.grid != other.grid:
            words.append(f"family {self.family} (latent grid {_format_grid(self.grid)}) against "
                         f"{other.family} ({_format_grid(other.grid)})")  # fmt: skip
        theirs = asdict(other.settings)
        for name, mine in asdict(self.settings).items():
            if mine != theirs[name]:
                words.append(f"heatmap setting {name} {mine} against {theirs[name]}")
        return words


def weight_key(
    clip: str, selection: Selection, family: str, settings: HeatmapSettings
) -> WeightKey:
    """Make the key of a clip's sample for a family of ``latent_grid.FAMILIES``.

    Raises:
        ValueError: an unknown family, a frame count or size that it cannot take, no sha256.
    """
    if len(clip) != 64 or set(clip) - set("0123456789abcdef"):
        raise ValueError(f"clip should be a sha256 of 64 digits, got {clip!r}")
    if family not in FAMILIES:
        raise ValueError(f"family should be one of {', '.join(FAMILIES)}, got {family!r}")
    geometry = FAMILIES[family]
    geometry.latent_frames(len(selection.indices))
    geometry.check_size(selection.height, selection.width)
    values = [getattr(geometry, name) for name in GRID]
    grid = tuple(value for value in values if value is not None)
    return WeightKey(clip, selection, family, grid, settings)


def write_weight(folder: str | Path, key: WeightKey, weight: Tensor | NDArray[np.float32]) -> Path:
    """Write a weight (1, 1, F', h, w) in [0, 1] as float16, and return its path.

    Raises:
        ValueError: a weight of another shape than the key's, outside [0, 1] or with nan.
    """
    if tuple(weight.shape) != (1, 1, *key.shape):
        raise ValueError(f"weight should be {(1, 1, *key.shape)}, got {tuple(weight.shape)}")
    if not bool(((weight >= 0) & (weight <= 1)).all()):
        raise ValueError(f"weight should be in [0, 1], got values from {float(weight.min()):.4g} "
                         f"to {float(weight.max()):.4g}")  # fmt: skip
    path = Path(folder) / key.file
    stored = np.ascontiguousarray(as_array(weight)[0, 0].astype(np.float16))
    write_bytes(path, save({"weight": stored}, {"key": json.dumps(_plain(key))}))
    return path


def find_weight(folder: str | Path, key: WeightKey) -> Path | None:
    """Find the file whose key does not differ from this one, or None."""
    # Rates may differ in their last digits, so the name is only where to look first.
    for path in (Path(folder) / key.file, *_of_clip(Path(folder), key)):
        if path.is_file() and not stored_key(path).differences(key):
            return path
    return None


def load_weight(folder: str | Path, key: WeightKey) -> Tensor:
    """Load the weight with exactly this key: (1, 1, F', h, w) float32 in [0, 1], or ValueError."""
    import torch

    return torch.from_numpy(read_weight(folder, key))


def read_weight(folder: str | Path, key: WeightKey) -> NDArray[np.float32]:
    """Read the weight with exactly this key as an array: (1, 1, F', h, w) float32 in [0, 1].

    Raises:
        ValueError: there is none. Where the folder has others of the clip, says what differs from
            the nearest one: frames, rate, size, family or heatmap settings.
    """
    path = find_weight(folder, key)
    if path is None:
        raise ValueError(_refusal(Path(folder), key))
    with open_safetensors(path) as file:
        weight = file.get_tensor("weight")
    if tuple(weight.shape) != key.shape:
        raise ValueError(f"{path}: weight should be {key.shape}, got {tuple(weight.shape)}")
    return np.asarray(weight[None, None], np.float32)


def stored_key(path: str | Path) -> WeightKey:
    """Read what the file of a weight says that it is of; ValueError where it is none."""
    with open_safetensors(Path(path)) as file:
        text = (file.metadata() or {}).get("key")
        names = list(file.keys())
    if text is None or names != ["weight"]:
        raise ValueError(f"{path} should hold a weight and its key, got {names}")
    try:
        values = parse_json(text)
        chosen = values["selection"]
        selection = Selection(**{**chosen, "indices": tuple(chosen["indices"])})
        settings = settings_from(values["settings"])
        stride, _, *others = values["grid"]
        return WeightKey(values["clip"], selection, values["family"], (stride, *others), settings)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: its key cannot be read ({error})") from error


def _of_clip(folder: Path, key: WeightKey) -> list[Path]:
    """List all weights of the key's clip."""
    return sorted(folder.glob(f"{key.clip[:16]}-*{SUFFIX}"))


def _refusal(folder: Path, key: WeightKey) -> str:
    """Say why there is no weight for the key, as exactly as the folder allows."""
    of_clip = _of_clip(folder, key)
    if not of_clip:
        others = sum(1 for _ in folder.glob(f"*{SUFFIX}"))
        return (
            f"{folder} should hold a weight of the clip with sha256 {key.clip[:8]}..., got none "
            f"among {others}: the clip was never exported, or its file has changed since"
        )
    nearest = min((key.differences(stored_key(path)) for path in of_clip), key=len)
    return (
        f"{folder} holds no weight that fits these latents; the nearest of this clip differs "
        f"(wanted against stored): {'; '.join(nearest)}"
    )


def _plain(key: WeightKey) -> dict[str, Any]:
    """Return the key as files hold it: 1 in its grid is the frames of the first latent."""
    grid = [key.grid[0], 1, *key.grid[1:]]
    plain: dict[str, Any] = parse_json(json.dumps({**asdict(key), "grid": grid}))
    return plain


def _format_grid(grid: tuple[int, ...]) -> str:
    return ", ".join(f"{name} {value}" for name, value in zip(GRID, grid, strict=False))
