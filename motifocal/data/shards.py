"""Read batches of latents, pooled heatmaps, captions and frame rates from prepared shards.

Letters: B batch, F frames, F' latent frames, C channels, H W pixels, h w latents, T image tokens, E
their width.
A training reads any clip from a shard (`shard_file.py`) without decoding or encoding it again.
"""

from __future__ import annotations

import bisect
import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from motifocal.data.manifest import read_manifest
from motifocal.data.shard_file import DIMENSIONS, OPTIONAL, ShardClip, ShardFile
from motifocal.data.stretches import Draw, StretchFile
from motifocal.files.atomic import sha256_of


def shard_path(folder: Path, number: int) -> Path:
    """Return the path of shard `number` of a folder."""
    return folder / f"shard-{number:05d}.safetensors"


def rows_of_shards(clips: int, per_shard: int) -> list[range]:
    """Return which clips each shard holds."""
    return [range(start, min(start + per_shard, clips)) for start in range(0, clips, per_shard)]


@dataclass(frozen=True)
class LatentBatch:
    """latents (B, C, F', h, w) float32, heatmap (B, 1, F', h, w) in [0, 1], captions, fps (B,).

    Where the shards have them, image_tokens (B, T, E) float32 and motion_score (B,) in [0, 1].
    """

    latents: torch.Tensor
    heatmap: torch.Tensor
    captions: list[str]
    fps: torch.Tensor
    image_tokens: torch.Tensor | None = None
    motion_score: torch.Tensor | None = None

    @property
    def motion_mask(self) -> torch.Tensor:
        """Where anything moves at any time: (B, 1, h, w) in [0, 1], the heatmaps' union."""
        return self.heatmap.amax(2)

    def to(self, device: torch.device) -> LatentBatch:
        """Return the batch on `device`."""
        tensors: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items()
                                   if isinstance(value, torch.Tensor)}
        return replace(self, **tensors)


class Shards:
    """The prepared clips in a folder, read lazily from memory-mapped shards.

    Raises ValueError when the folder was not prepared to the end, and where a shard is damaged:
    here if its header is, else when one of its clips is read.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.manifest = folder, read_manifest(folder)
        rows = rows_of_shards(self.manifest["clips"], self.manifest["clips_per_shard"])
        missing = [n for n in range(len(rows)) if not shard_path(folder, n).exists()]
        if missing:
            raise ValueError(f"{folder} lacks {len(missing)} of {len(rows)} shards; prepare it "
                             "again")
        self.files = [open_shard(shard_path(folder, n), len(clips), self.draw)
                      for n, clips in enumerate(rows)]
        for file, key in product(self.files, DIMENSIONS | OPTIONAL):
            first, here = (f.shapes[key][1:] if key in f.shapes else None
                           for f in (self.files[0], file))
            if here != first:
                raise ValueError(f"{file.path} should hold {key} {first} like the first shard, "
                                 f"got {here}")
        self.captions = [file.captions for file in self.files]
        self.ends = [clips.stop for clips in rows]

    def __len__(self) -> int:
        return self.ends[-1]

    @property
    def draw(self) -> Draw | None:
        """What is drawn anew in every epoch, where stretches were prepared for that."""
        drawn = self.manifest.get("drawn")
        return None if drawn is None else Draw.from_json(drawn)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(C, F', h, w)."""
        return self.files[0].latent_shape

    def digest(self) -> str:
        """Hash all clips (sha256), by their checksums or else by the files' bytes."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(b"".join(file.checksums or [bytes.fromhex(sha256_of(file.path))]))
        return digest.hexdigest()

    @property
    def clip_size(self) -> tuple[int, int, int]:
        """(F', H, W) of the clips; F' is F where the autoencoder has one latent a frame."""
        _, frames, height, width = self.latent_shape
        stride = self.manifest["geometry"]["stride"]
        return frames, height * stride, width * stride

    def moving_fractions(self) -> npt.NDArray[np.float64]:
        """Return the fraction of each clip's latents whose weight is above 0.5: (clips,)."""
        shares = [file.moving_fractions() for file in self.files]
        return np.asarray(torch.cat(shares).numpy())

    def batch(
        self, indices: list[int], epochs: list[int] | None = None, seed: int = 0
    ) -> LatentBatch:
        """Read the clips with these indices; DamagedShard where one is not what was written.

        Of stretches, stride and window are drawn, as a function of (seed, epoch, index); without
        `epochs` those of epoch 0.
        """
        clips = [self._clip(index, epoch, seed)
                 for index, epoch in zip(indices, epochs or [0] * len(indices), strict=True)]
        return LatentBatch(
            latents=torch.stack([clip.latents for clip in clips]).float(),
            heatmap=torch.stack([clip.heatmap for clip in clips]).float()[:, None] / 255,
            captions=[clip.caption for clip in clips],
            fps=torch.stack([clip.fps for clip in clips]),
            image_tokens=_stacked(clips, "image_tokens"),
            motion_score=_stacked(clips, "motion_score"),
        )

    def _clip(self, index: int, epoch: int, seed: int) -> ShardClip:
        shard = bisect.bisect_right(self.ends, index)
        file, row = self.files[shard], index - (self.ends[shard - 1] if shard else 0)
        if not isinstance(file, StretchFile):
            return file.clip(row)
        # Three numbers, the last not 0: not the generator that an epoch's order is drawn from.
        return file.window(row, np.random.default_rng([seed, epoch, 1 + index]))


def _stacked(clips: list[ShardClip], name: str) -> torch.Tensor | None:
    """Return what the clips hold under an optional name, (B, ...) float32."""
    values = [getattr(clip, name) for clip in clips]
    return None if values[0] is None else torch.stack(values).float()


def open_shard(path: Path, clips: int, draw: Draw | None) -> ShardFile:
    """Open a shard of clips, or of stretches that clips are drawn from; DamagedShard if it is none.
    """
    return ShardFile(path, clips) if draw is None else StretchFile(path, clips, draw)


def indices_of_step(step: int, clips: int, batch: int, seed: int) -> list[int]:
    """Draw the clips of global batch `step`: every epoch is a permutation of its own."""
    chosen = []
    for position in range(step * batch, (step + 1) * batch):
        epoch, place = divmod(position, clips)
        chosen.append(int(_permutation(clips, seed, epoch)[place]))
    return chosen


def epochs_of_step(step: int, clips: int, batch: int) -> list[int]:
    """Return the epoch that each clip of global batch `step` belongs to."""
    return [position // clips for position in range(step * batch, (step + 1) * batch)]


@lru_cache(maxsize=16)
def _permutation(clips: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(clips)
