"""Store latents, heatmaps and captions of some clips in one file, checked when it is read.

Letters: N clips, C channels, F' latent frames, h w latents, T image tokens, E their width. A shard
is a safetensors file:

    latents   (N, C, F', h, w) float16
    heatmap   (N, F', h, w) uint8, 255 is 1
    fps       (N,) float32
    image_tokens  (N, T, E) float16, of each clip's first frame; optional
    motion_score  (N,) float32 in [0, 1]; optional
    source    (N, 32) uint8: sha256 of what each clip was made from
    checksum  (N, 32) uint8: sha256 of all of these of a clip, and its caption

and its header holds the captions. Shards of earlier versions have no `source` and no `checksum`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from motifocal.files.atomic import write_bytes
from motifocal.files.json_text import parse_json

DIMENSIONS = {"latents": ("F16", 5), "heatmap": ("U8", 4), "fps": ("F32", 1)}
OPTIONAL = {"image_tokens": ("F16", 3), "motion_score": ("F32", 1)}
DIGESTS = ("source", "checksum")


class DamagedShard(ValueError):  # noqa: N818
    """A shard that cannot be read, or whose bytes are not those that were written."""

    def __init__(self, path: Path, fault: str) -> None:
        self.reason = f"{path} is damaged ({fault})"
        super().__init__(f"{self.reason}; run motifocal prepare again")


@dataclass(frozen=True)
class ShardClip:
    """One clip of a shard: latents (C, F', h, w), heatmap (F', h, w) uint8, fps (), caption.

    Where the shard has them, image_tokens (T, E) and motion_score ().
    """

    latents: Tensor
    heatmap: Tensor
    fps: Tensor
    caption: str
    image_tokens: Tensor | None = None
    motion_score: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """All that is no text, in the order of the file, as it is stored."""
        stored = {"latents": self.latents.half(), "heatmap": self.heatmap, "fps": self.fps.float()}
        if self.image_tokens is not None:
            stored["image_tokens"] = self.image_tokens.half()
        if self.motion_score is not None:
            stored["motion_score"] = self.motion_score.float()
        return stored


def write_shard(path: Path, clips: Sequence[ShardClip], sources: Sequence[str]) -> None:
    """Write clips, and the sha256 (64 digits) of what each was made from; whole or not at all."""
    stored = [clip.tensors() for clip in clips]
    tensors = {key: torch.stack([clip[key] for clip in stored]) for key in stored[0]}
    write_checked(path, tensors, clips, sources)


def write_checked(
    path: Path, tensors: dict[str, Tensor], clips: Sequence[ShardClip], sources: Sequence[str]
) -> None:
    """Write tensors with what tells damage of the clips in them; whole or not at all."""
    digests = [bytes.fromhex(source) for source in sources]
    tensors["source"] = _rows(digests)
    tensors["checksum"] = _rows([_checksum(clip, source)
                                 for clip, source in zip(clips, digests, strict=True)])
    captions = json.dumps([clip.caption for clip in clips])
    write_bytes(path, save(tensors, {"captions": captions}))


class ShardFile:
    """A shard that is open for reading; clips are read from a memory map as they are asked for.

    Raises DamagedShard, which names the file, where it is no shard of `clips` clips. What is
    between the header and the end is checked clip by clip, as it is read.
    """

    dimensions, optional = DIMENSIONS, OPTIONAL

    def __init__(self, path: Path, clips: int) -> None:
        self.path = path
        try:
            self._file = safe_open(path, "pt")
            self.captions = _captions(self._file.metadata())
            there = set(self._file.keys())
            optional = {key: kind for key, kind in self.optional.items() if key in there}
            self.shapes = {key: _shape(self._file, key, *kind)
                           for key, kind in (self.dimensions | optional).items()}
            self.sources, self._checksums = (self._digests(key) for key in DIGESTS)
            self._check_shapes(clips)
        except (SafetensorError, OSError, ValueError, RecursionError) as error:
            raise self._damage(" ".join(str(error).split())) from error
        lists = (self.captions, self.sources, self._checksums)
        counts = {len(rows) for rows in lists if rows is not None}
        if counts != {clips}:
            raise self._damage(f"it should hold {clips} clips, got {sorted(counts)}")

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(C, F', h, w)."""
        return self.shapes["latents"][1:]

    @property
    def checksums(self) -> list[bytes] | None:
        """The sha256 of every clip, or None in a shard of an earlier version."""
        return self._checksums

    def clip(self, row: int) -> ShardClip:
        """Read one clip; DamagedShard where it is not what was written."""
        try:
            tensors = {key: self._file.get_slice(key)[row] for key in self.shapes}
        except SafetensorError as error:
            raise self._damage(str(error)) from error
        return self._checked(row, ShardClip(caption=self.captions[row], **tensors))

    def _checked(self, row: int, clip: ShardClip) -> ShardClip:
        """Pass a clip on; DamagedShard where it is not what was written."""
        if self._checksums is not None and self.sources is not None:
            if _checksum(clip, self.sources[row]) != self._checksums[row]:
                raise self._damage(f"clip {row} has another checksum than when it was written")
        elif not (torch.isfinite(clip.latents).all() and 0 < float(clip.fps) < float("inf")):
            raise self._damage(f"clip {row} should have finite latents and a frame rate")
        return clip

    def moving_fractions(self) -> Tensor:
        """Return the fraction of each clip's latents whose weight is above 0.5: (N,), unchecked."""
        return (self._file.get_tensor("heatmap") > 127).double().flatten(1).mean(1)

    def verify(self) -> None:
        """Read every clip; DamagedShard at the first one that is not what was written."""
        for row in range(len(self.captions)):
            self.clip(row)

    def _check_shapes(self, clips: int) -> None:
        """Raise ValueError where the shapes of the tensors are not those of `clips` clips."""
        counts = {shape[0] for shape in self.shapes.values()}
        if counts != {clips}:
            raise ValueError(f"it should hold {clips} clips, got {sorted(counts)}")
        if self.shapes["latents"][2:] != self.shapes["heatmap"][1:]:
            raise ValueError("latents and heatmap should have one size, got {latents} and "
                             "{heatmap}".format(**self.shapes))

    def _digests(self, key: str) -> list[bytes] | None:
        if key not in self._file.keys():  # noqa: SIM118, no mapping
            return None
        if _shape(self._file, key, "U8", 2)[1] != 32:
            raise ValueError(f"{key} should be (N, 32)")
        return [row.numpy().tobytes() for row in self._file.get_tensor(key)]

    def _damage(self, reason: str) -> DamagedShard:
        return DamagedShard(self.path, reason)


def _captions(metadata: dict[str, str] | None) -> list[str]:
    captions = parse_json((metadata or {}).get("captions", "null"))
    if not isinstance(captions, list) or not all(isinstance(text, str) for text in captions):
        raise ValueError("the header should hold a list of captions")
    return captions


def _shape(file: Any, key: str, kind: str, axes: int) -> tuple[int, ...]:
    """Return a tensor's shape in the file; ValueError where its type or number of axes is wrong."""
    part = file.get_slice(key)
    shape = tuple(part.get_shape())
    if part.get_dtype() != kind or len(shape) != axes:
        raise ValueError(f"{key} should be {kind} with {axes} axes, got {part.get_dtype()} {shape}")
    return shape


def _checksum(clip: ShardClip, source: bytes) -> bytes:
    """Hash all that a shard holds of one clip (sha256)."""
    digest = hashlib.sha256(source)
    for tensor in clip.tensors().values():
        digest.update(tensor.contiguous().numpy().tobytes())
    digest.update(clip.caption.encode(errors="surrogatepass"))
    return digest.digest()


def _rows(digests: Sequence[bytes]) -> Tensor:
    return torch.from_numpy(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32).copy())
