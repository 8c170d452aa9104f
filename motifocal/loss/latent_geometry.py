"""Which frames and pixels a latent covers, and how a model lays its latents out.

Letters: B batch, F frames, H W pixels, C channels, F' latent frames, h w latents.

The first latent covers one frame, each later one ``temporal_stride``. Some autoencoders begin anew
every ``block_frames`` frames.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


def _earlier(name: str, now: str | None) -> property:
    """Make a property of an earlier name: it warns, and reads ``now``, or is 1."""

    def read(geometry: LatentGeometry) -> int:
        warnings.warn(f"LatentGeometry.{name} is now {now or 'always 1'}", DeprecationWarning, 2)
        return 1 if now is None else int(getattr(geometry, now))

    return property(read)


@dataclass(frozen=True)
class LatentGeometry:
    """Which pixels and frames a latent covers, and how the model lays the latents out.

    spatial_stride: pixels along each side of a latent.
    temporal_stride: frames of each latent after the first, which covers one.
    temporal_multiple: the model wants a whole multiple of so many latents and puts copies of the
        first one in front.
    conditioned_first: the first latent enters clean (t = 0), so it is no part of the loss.
    layout: einops pattern of the model's latents, from "b c f h w".
    block_frames: frames after which the autoencoder begins anew, with a latent of one frame; None
        where it reads the whole clip in one piece.
    last_block_frames: frames of the last block, where the autoencoder keeps only so many.
    """

    spatial_stride: int
    temporal_stride: int
    temporal_multiple: int = 1
    conditioned_first: bool = False
    layout: str = "b c f h w"
    block_frames: int | None = None
    last_block_frames: int | None = None

    # The names of version 0.1; ``first`` was 1 in every family.
    stride = _earlier("stride", "spatial_stride")
    first = _earlier("first", None)
    later = _earlier("later", "temporal_stride")
    padded_to = _earlier("padded_to", "temporal_multiple")

    def __post_init__(self) -> None:
        for name in ("spatial_stride", "temporal_stride", "temporal_multiple"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} should be at least 1, got {getattr(self, name)}")
        if sorted(self.layout.replace("(", " ").replace(")", " ").split()) != list("bcfhw"):
            raise ValueError(f"layout should order the letters b c f h w, got {self.layout!r}")
        for name, whole in (("block_frames", self.block_frames),
                            ("last_block_frames", self.last_block_frames)):  # fmt: skip
            if whole is not None and (whole < 1 or (whole - 1) % self.temporal_stride):
                raise ValueError(f"{name} should be 1 + a multiple of {self.temporal_stride}, "
                                 f"got {whole}")  # fmt: skip
        if self.last_block_frames and self.last_block_frames >= (self.block_frames or 0):
            raise ValueError(f"last_block_frames should be less than block_frames, got "
                             f"{self.last_block_frames} of {self.block_frames}")  # fmt: skip

    @classmethod
    def of(cls, autoencoder: nn.Module) -> LatentGeometry:
        """Read strides and blocks off an autoencoder of diffusers, by perturbing its input.

        What the denoiser does with the latents (``temporal_multiple``, ``conditioned_first``,
        ``layout``) cannot be told from the autoencoder and keeps its default.

        Raises:
            ValueError: no grid of this kind explains what the autoencoder does.
        """
        from motifocal.loss.grid_probe import probe_grid

        return probe_grid(autoencoder, cls).geometry

    def to_json(self) -> dict[str, int | bool | str]:
        """Return the geometry as files hold it, by the names of version 0.1."""
        blocks = {"block_frames": self.block_frames, "last_block_frames": self.last_block_frames}
        return {"stride": self.spatial_stride, "first": 1, "later": self.temporal_stride,
                "padded_to": self.temporal_multiple, "conditioned_first": self.conditioned_first,
                "layout": self.layout,
                **{name: frames for name, frames in blocks.items() if frames}}  # fmt: skip

    def latent_frames(self, frames: int) -> int:
        """Return F' for a clip of ``frames`` frames, padding in front included.

        Raises:
            ValueError: no clip of this family has so many frames; names the nearest that do.
        """
        return self.padding(frames) + self._covering(frames)

    def frames_of(self, latents: int) -> int:
        """Return the frames of the clip that gives so many latents without padding."""
        blocks, rest = divmod(latents, self._block_latents) if self.block_frames else (0, latents)
        tail = 1 + (rest - 1) * self.temporal_stride if rest else 0
        return blocks * (self.block_frames or 0) + tail

    def padding(self, frames: int) -> int:
        """Count the copies of the first latent in front of a clip of ``frames``."""
        return -self._covering(frames) % self.temporal_multiple

    def covered_frames(self, frames: int) -> list[tuple[int, int]]:
        """List [start, stop) of the frames that each of the F' latents covers."""
        padding, block = self.padding(frames), self.block_frames or frames
        starts = [start for first in range(0, frames, block)
                  for start in (first, *range(first + 1, min(first + block, frames),
                                              self.temporal_stride))]  # fmt: skip
        spans = list(zip(starts, [*starts[1:], frames], strict=True))
        return [spans[0]] * padding + spans

    def check_size(self, height: int, width: int) -> None:
        """Raise ValueError unless pixels of this size divide into latents."""
        if height % self.spatial_stride or width % self.spatial_stride:
            raise ValueError(f"height and width should be multiples of {self.spatial_stride}, "
                             f"got {height}x{width}")  # fmt: skip

    def nearest_frames(self, frames: int) -> list[int]:
        """Return ``frames`` where a clip may have so many, else the nearest counts around it."""
        reach = (self.block_frames or 0) + self.temporal_stride
        below = [n for n in range(max(frames - reach, 1), frames) if self._is_whole(n)]
        first = max(frames, 0) + 1
        above = [n for n in range(first, first + 2 * reach + 1) if self._is_whole(n)]
        return [frames] if self._is_whole(frames) else [*below[-1:], *above[:1]]

    def _is_whole(self, frames: int) -> bool:
        """Return whether whole latents cover a clip of ``frames``; one frame is an image."""
        if frames <= 1:
            return frames == 1
        rest = frames % self.block_frames if self.block_frames else frames
        if self.last_block_frames:
            return rest == self.last_block_frames
        return rest == 0 or (rest - 1) % self.temporal_stride == 0

    def _covering(self, frames: int) -> int:
        """Count the latents that the autoencoder makes of ``frames``, before the model pads them.
        """
        if not self._is_whole(frames):
            nearest = " or ".join(map(str, self.nearest_frames(frames)))
            raise ValueError(f"frames should be {self.frame_rule} (nearest: {nearest}), "
                             f"got {frames}")  # fmt: skip
        blocks, rest = divmod(frames, self.block_frames) if self.block_frames else (0, frames)
        tail = 1 + (rest - 1) // self.temporal_stride if rest else 0
        return blocks * self._block_latents + tail

    @property
    def _block_latents(self) -> int:
        return 1 + ((self.block_frames or 1) - 1) // self.temporal_stride

    @property
    def frame_rule(self) -> str:
        """The numbers of frames that a clip may have, in words."""
        if self.block_frames is None:
            return f"1 + a multiple of {self.temporal_stride}"
        if self.last_block_frames:
            return f"{self.last_block_frames} + a multiple of {self.block_frames}"
        return (f"a multiple of {self.block_frames}, or such and 1 + a multiple of "
                f"{self.temporal_stride}")
