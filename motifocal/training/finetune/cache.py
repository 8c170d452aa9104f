"""A cache of encoded clips and captions on disk, from which fine-tuning reads.

    cache.json       what the clips were encoded with; a folder holds one kind only
    clips.jsonl      one line a clip, in order: its name, caption, rate, frames, and the keys below
    clips/KEY.safetensors    latents, the picture's condition, "weight" (F', h, w) in [0, 1]
    pictures/KEY.png         the clip's first frame
    texts/KEY.safetensors    what the text encoder made of a caption

Letters: B batch, F' latent frames, h w latents.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from motifocal.files.atomic import sha256_of
from motifocal.files.json_text import parse_json, read_json_object
from motifocal.files.tensor_file import read_tensors
from motifocal.motion.settings import HeatmapSettings

SETTINGS, INDEX, REJECTED = "cache.json", "clips.jsonl", "rejected.jsonl"
WEIGHT, FPS = "weight", "fps"


@dataclass(frozen=True)
class CacheSettings:
    """What decides the contents of a cache besides the clips.

    model: how it was named; weights: sha256 of the parts that encode; precision: what they compute
    in, a key of `parts.DTYPES`. fps of None: every frame as stored. windows: stretches of each
    clip, spread evenly. tiled: whether large clips were encoded in tiles, as `Family.tiled` says.
    """

    model: str
    family: str
    weights: str
    precision: str
    frames: int
    height: int
    width: int
    fps: float | None
    windows: int
    heatmap: HeatmapSettings
    tiled: bool = False

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Return the settings for JSON, and for the names of files.

        A file of weights is known by its sha256 there, wherever it lies.
        """
        facts = asdict(self)
        if not self.tiled:  # as caches were kept when none was
            del facts["tiled"]
        if self.heatmap.raft_weights is not None:
            facts["heatmap"]["raft_weights"] = sha256_of(Path(self.heatmap.raft_weights))
        return facts


@dataclass(frozen=True)
class CachedClip:
    """One line of the index: where a sample comes from, and the keys of its files.

    frames: as `selection.format_indices` says them; sha256: of the clip's file.
    """

    name: str
    caption: str
    fps: float
    frames: str
    sha256: str
    clip: str
    text: str


def is_cache(folder: Path) -> bool:
    """Tell whether a folder is a cache for fine-tuning."""
    return (folder / SETTINGS).is_file()


def clip_path(folder: Path, key: str) -> Path:
    return folder / "clips" / f"{key}.safetensors"


def text_path(folder: Path, key: str) -> Path:
    return folder / "texts" / f"{key}.safetensors"


def picture_path(folder: Path, key: str) -> Path:
    return folder / "pictures" / f"{key}.png"


def text_key(
    caption: str, family: str, weights: str, precision: str, clip: str | None = None
) -> str:
    """Name a caption's file; `clip` is the key of the picture that the text encoder sees too."""
    return key_of({"caption": caption, "family": family, "weights": weights,
                   "precision": precision, "clip": clip})  # fmt: skip


def key_of(facts: Mapping[str, Any]) -> str:
    """Return a name for what these facts decide: 40 hexadecimal digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:40]


class ClipCache:
    """A finished cache. ValueError where it is none, or was not prepared to its end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not is_cache(folder):
            raise ValueError(f"{folder} should be a cache that `motifocal prepare --model` made "
                             f"for a model of diffusers, got no {SETTINGS} in it")  # fmt: skip
        self.settings: dict[str, Any] = read_json_object(folder / SETTINGS)
        missing = [f.name for f in fields(CacheSettings)
                   if f.name not in self.settings and f.default is MISSING]
        if missing:
            raise ValueError(f"{folder / SETTINGS} should say {', '.join(missing)}, which it does "
                             "not: prepare the clips anew")  # fmt: skip
        self.clips = _read_index(folder / INDEX)

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def digest(self) -> str:
        """sha256 of the keys of all clips and captions, in order."""
        words = "\n".join(f"{clip.clip} {clip.text}" for clip in self.clips)
        return hashlib.sha256(words.encode()).hexdigest()

    def sample(self, index: int) -> dict[str, Tensor]:
        """Return the tensors of one clip and its caption; ValueError for a damaged file."""
        clip = self.clips[index]
        tensors = read_tensors(clip_path(self.folder, clip.clip))
        texts = read_tensors(text_path(self.folder, clip.text))
        return {**tensors, **texts, FPS: torch.tensor(clip.fps)}

    def empty_text(self) -> dict[str, Tensor]:
        """Return what the text encoder made of the empty prompt, for guidance."""
        s = self.settings
        key = text_key("", s["family"], s["weights"], s["precision"])
        return read_tensors(text_path(self.folder, key))

    def batch(
        self, indices: Sequence[int], device: torch.device
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Return the stacked tensors (B, ...) and the motion weights (B, 1, F', h, w)."""
        samples = [self.sample(index) for index in indices]
        batch = {name: torch.stack([sample[name] for sample in samples]).to(device)
                 for name in samples[0]}  # fmt: skip
        return batch, batch.pop(WEIGHT)[:, None]

    def captions(self, indices: Sequence[int]) -> list[str]:
        """Return what the clips show."""
        return [self.clips[index].caption for index in indices]


def _read_index(path: Path) -> list[CachedClip]:
    if not path.is_file():
        raise ValueError(f"{path.parent} should hold {path.name}, got none: prepare it to its end")
    # Not splitlines, which ends a line in the middle of a caption with U+2028 in it.
    lines = path.read_text(encoding="utf-8").split("\n")
    try:
        clips = [CachedClip(**parse_json(line)) for line in lines if line]
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} should hold a clip a line, got: {error}") from error
    if not clips:
        raise ValueError(f"{path} should hold clips, got none")
    return clips
