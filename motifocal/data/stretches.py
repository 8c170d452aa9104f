"""Store segments of videos, from which stride and window are drawn anew in every epoch.

Letters: N stretches, R their frames one after the other, S strides, C channels, F frames of a clip,
H W pixels, h w latents. A stretch is what can be drawn from: so many frames of a video that the
longest stride fits, or all. A shard of stretches is a safetensors file:

    latents   (R, C, h, w) float16
    heatmap   (R, S, h, w) uint8, 255 is 1: for the strides 1 to S, or one map for every stride
    fps       (N,) float32, of the video
    length    (N,) int64: the frames of each stretch
    source    (N, 32) uint8 and checksum (N, 32) uint8, as in `shard_file.py`

The autoencoder has to have one latent a frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from motifocal.data.shard_file import ShardClip, ShardFile, write_checked
from motifocal.media.arrays import Frames
from motifocal.motion.heatmap import Heatmap

STRETCH_DIMENSIONS = {"latents": ("F16", 4), "heatmap": ("U8", 4), "fps": ("F32", 1),
                      "length": ("I64", 1)}


def dynamic_stride(
    num_source_frames: int, num_frames: int, max_stride: int, generator: np.random.Generator
) -> tuple[int, int]:
    """Draw (start, stride) for a training clip: the paper's dynamic frame stride.

    Our reading, as the paper gives no more than the name: the stride is uniform over 1 to
    `max_stride` as far as the source is long enough, then the start uniform over what is left.
    Raises ValueError when the source is shorter than `num_frames`.
    """
    if min(num_frames, max_stride) < 1:
        raise ValueError(f"num_frames, max_stride should be >= 1, got {num_frames}, {max_stride}")
    if num_source_frames < num_frames:
        length = f"the clip holds {num_source_frames}"
        raise ValueError(f"num_frames should be at most what {length}, got {num_frames}")
    longest = (num_source_frames - 1) // (num_frames - 1) if num_frames > 1 else max_stride
    stride = int(generator.integers(1, min(max_stride, longest), endpoint=True))
    last_start = num_source_frames - 1 - (num_frames - 1) * stride
    return int(generator.integers(0, last_start, endpoint=True)), stride


@dataclass(frozen=True)
class Draw:
    """What is drawn out of a stretch: clips of `frames` frames, 2 or more, at strides up to a most.

    `masks`: maps are masks that were given, which are the same at every stride.
    """

    frames: int
    max_stride: int
    masks: bool = False

    @classmethod
    def from_json(cls, values: object) -> Draw:
        """Read it from a manifest; ValueError for anything else."""
        numbers: dict[str, Any] = values if isinstance(values, dict) else {}
        given = [numbers.get(name) for name in ("frames", "max_stride", "masks")]
        if [type(value) for value in given] == [int, int, bool]:
            draw = cls(numbers["frames"], numbers["max_stride"], numbers["masks"])
            if draw.frames >= 2 and draw.max_stride >= 1:
                return draw
        raise ValueError(f"drawn should hold frames, max_stride and masks, got {values!r}")

    @property
    def maps(self) -> int:
        """How many maps a frame has."""
        return 1 if self.masks else self.max_stride

    @property
    def longest(self) -> int:
        """Frames of a stretch in which the longest stride fits once."""
        return (self.frames - 1) * self.max_stride + 1

    def heatmaps(
        self, frames: Frames, heatmap: Callable[[slice], Heatmap]
    ) -> Iterator[Heatmap]:
        """Yield the maps (R, H, W) of a stretch (R, H, W, 3) for each stride, from those of slices.

        That of stride s is made of every s-th frame: of s sequences, each from its start to its
        end. So a unit like the clip's maximum is that of the sequence which the clip is cut from.
        Strides that do not fit have a map of zeros. Masks are yielded once.
        """
        if self.masks:
            yield heatmap(slice(None))
            return
        for stride in range(1, self.max_stride + 1):
            maps = np.zeros(frames.shape[:3], np.float32)
            if (self.frames - 1) * stride < len(frames):
                for phase in range(stride):
                    maps[phase::stride] = heatmap(slice(phase, None, stride))
            yield maps


def write_stretches(path: Path, clips: Sequence[ShardClip], sources: Sequence[str]) -> None:
    """Write stretches, latents (C, R, h, w) and heatmap (R, S, h, w); whole or not at all."""
    turned = [replace(clip, latents=clip.latents.transpose(0, 1).contiguous()) for clip in clips]
    stored = [clip.tensors() for clip in turned]
    tensors = {key: torch.cat([clip[key] for clip in stored]) for key in ("latents", "heatmap")}
    tensors["fps"] = torch.stack([clip["fps"] for clip in stored])
    tensors["length"] = torch.tensor([len(clip.latents) for clip in turned])
    write_checked(path, tensors, turned, sources)


class StretchFile(ShardFile):
    """A shard of stretches that is open for reading, checked as a `ShardFile` is."""

    dimensions, optional = STRETCH_DIMENSIONS, {}

    def __init__(self, path: Path, clips: int, draw: Draw) -> None:
        self.draw = draw
        self._whole: set[int] = set()  # the stretches that have been found to be what was written
        super().__init__(path, clips)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(C, F, h, w) of a clip."""
        _, channels, height, width = self.shapes["latents"]
        return channels, self.draw.frames, height, width

    def clip(self, row: int) -> ShardClip:
        """Read a whole stretch: latents (R, C, h, w), heatmap (R, S, h, w)."""
        begin, end = self._ends[row], self._ends[row + 1]
        clip = self._checked(row, self._read(row, slice(begin, end)))
        self._whole.add(row)
        return clip

    def window(self, row: int, generator: np.random.Generator) -> ShardClip:
        """Draw a clip out of a stretch: latents (C, F, h, w), heatmap (F, h, w)."""
        if row not in self._whole:
            self.clip(row)
        frames, length = self.draw.frames, self._ends[row + 1] - self._ends[row]
        start, stride = dynamic_stride(length, frames, self.draw.max_stride, generator)
        begin = self._ends[row] + start
        part = self._read(row, slice(begin, begin + (frames - 1) * stride + 1))
        maps = part.heatmap[::stride]
        if self.draw.masks:
            heatmap = maps[:, 0]
        else:  # The last map is that of the frame before, as in a clip that is prepared by itself.
            heatmap = torch.cat([maps[:-1, stride - 1], maps[-2:-1, stride - 1]])
        latents = part.latents[::stride].transpose(0, 1)
        return ShardClip(latents, heatmap, part.fps / stride, part.caption)

    def moving_fractions(self) -> Tensor:
        """Return the fraction above 0.5 of each stretch's maps at stride 1: (N,)."""
        maps = (self._file.get_tensor("heatmap")[:, 0] > 127).double().flatten(1).mean(1)
        return torch.stack([part.mean() for part in maps.split(np.diff(self._ends).tolist())])

    def _check_shapes(self, clips: int) -> None:
        lengths = self._file.get_tensor("length").tolist()
        self._ends = [0, *accumulate(lengths)]
        frames = self.shapes["latents"][0]
        if len(lengths) != clips or self.shapes["fps"][0] != clips:
            raise ValueError(f"it should hold {clips} stretches, got {len(lengths)}")
        if min(lengths) < self.draw.frames or not frames == self._ends[-1] == (
            self.shapes["heatmap"][0]
        ):
            raise ValueError(f"stretches of {lengths} frames should be {frames} in all")
        if self.shapes["heatmap"][1] != self.draw.maps:
            raise ValueError(f"a frame should have {self.draw.maps} maps, got "
                             f"{self.shapes['heatmap'][1]}")
        if self.checksums is None or self.sources is None:
            raise ValueError("stretches should have checksums")

    def _read(self, row: int, frames: slice) -> ShardClip:
        latents, heatmap = (self._slice(key)[frames] for key in ("latents", "heatmap"))
        return ShardClip(latents, heatmap, self._slice("fps")[row], self.captions[row])

    def _slice(self, key: str) -> Any:
        return self._file.get_slice(key)
