"""Pool a heatmap to a weight per latent, for every family of video autoencoders.

Letters: B batch, F frames, H W pixels, C channels, F' latent frames, h w latents.

An autoencoder says which frames a latent covers. Weighting a latent with a map of other frames
(a plain resize over time does that) teaches the wrong place at the wrong moment, so the pooling
follows the grid exactly: the first latent covers one frame, each later one ``temporal_stride``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from einops import rearrange, reduce
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Both are pooled alike; without torch there are only arrays.
Map = TypeVar("Map", "Tensor", NDArray[np.float32])


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
    """

    spatial_stride: int
    temporal_stride: int
    temporal_multiple: int = 1
    conditioned_first: bool = False
    layout: str = "b c f h w"

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

    def to_json(self) -> dict[str, int | bool | str]:
        """Return the geometry as files hold it, by the names of version 0.1."""
        return {"stride": self.spatial_stride, "first": 1, "later": self.temporal_stride,
                "padded_to": self.temporal_multiple, "conditioned_first": self.conditioned_first,
                "layout": self.layout}  # fmt: skip

    def latent_frames(self, frames: int) -> int:
        """Return F' for a clip of ``frames`` frames, padding in front included.

        Raises:
            ValueError: no clip of this family has so many frames; names the nearest that do.
        """
        return self.padding(frames) + self._covering(frames)

    def padding(self, frames: int) -> int:
        """Count the copies of the first latent in front of a clip of ``frames``."""
        return -self._covering(frames) % self.temporal_multiple

    def covered_frames(self, frames: int) -> list[tuple[int, int]]:
        """List [start, stop) of the frames that each of the F' latents covers."""
        starts = [0, *range(1, frames, self.temporal_stride)]
        spans = list(zip(starts, [*starts[1:], frames], strict=True))
        return [spans[0]] * self.padding(frames) + spans

    def check_size(self, height: int, width: int) -> None:
        """Raise ValueError unless pixels of this size divide into latents."""
        if height % self.spatial_stride or width % self.spatial_stride:
            raise ValueError(f"height and width should be multiples of {self.spatial_stride}, "
                             f"got {height}x{width}")  # fmt: skip

    def _covering(self, frames: int) -> int:
        """Count the latents that the autoencoder makes of ``frames``, before the model pads them.
        """
        rest = (frames - 1) % self.temporal_stride
        if frames >= 1 and rest == 0:
            return 1 + (frames - 1) // self.temporal_stride
        below = frames - rest
        nearest = [1] if frames < 1 else [below, below + self.temporal_stride]
        raise ValueError(
            f"frames should be 1 + a multiple of {self.temporal_stride} "
            f"(nearest: {' or '.join(map(str, nearest))}), got {frames}"
        )


# Strides: of the autoencoder's own code; tests/test_geometry_vaes.py proves them on it. Layout and
# `conditioned_first`: what diffusers' image-to-video pipeline hands to the model and steps, and
# which latents the published trainer counts. In `conditioned_first` families the clean first latent
# takes the place of a noisy one; in the others the picture comes as extra channels and every latent
# is noisy, predicted and counted. Where a trainer does otherwise, say so with
# dataclasses.replace(FAMILIES[name], conditioned_first=...).
FAMILIES: dict[str, LatentGeometry] = {
    # AutoencoderKL, frame by frame. VideoCrafter2, I2VGen-XL (I2VGenXLPipeline: B C F h w).
    "sd": LatentGeometry(8, 1),
    # StableVideoDiffusionPipeline: (B, F, C, h, w), the picture as four more channels.
    "svd": LatentGeometry(8, 1, layout="b f c h w"),
    # Wan 2.1 and 2.2-A14B: AutoencoderKLWan encodes frame 0, then fours; WanImageToVideoPipeline
    # concatenates four mask and sixteen picture channels.
    "wan": LatentGeometry(8, 4),
    # Wan 2.2 TI2V-5B: patchify 2x2 before 8x; `expand_timesteps` gives the first latent t = 0, and
    # DiffSynth-Studio's FlowMatchSFTLoss cuts it off before the mean.
    "wan-5b": LatentGeometry(16, 4, conditioned_first=True),
    # CogVideoXImageToVideoPipeline: (B, F', C, h, w), the picture as channels of the first latent.
    "cogvideox": LatentGeometry(8, 4, layout="b f c h w"),
    # 1.5 takes latents in pairs (patch_size_t = 2); CogVideo's own trainer puts a copy of the first
    # in front of an odd number and counts it.
    "cogvideox-1.5": LatentGeometry(8, 4, temporal_multiple=2, layout="b f c h w"),
    # LTXImageToVideoPipeline: tokens of one latent each, t = 0 on those of the first latent, which
    # Lightricks' trainers mask out of the loss.
    "ltx": LatentGeometry(32, 8, conditioned_first=True, layout="b (f h w) c"),
    # The same grid and the same tokens; the sound is a second output with a loss of its own.
    "ltx-2": LatentGeometry(32, 8, conditioned_first=True, layout="b (f h w) c"),
    # HunyuanVideo-I2V as published now ("token_replace"): the pipeline steps the latents after the
    # first only. Its first release ("latent_concat", 33 channels) counts every latent: replace.
    "hunyuan": LatentGeometry(8, 4, conditioned_first=True),
    # HunyuanVideo 1.5: 16x; picture and mask as 33 more channels, and its train.py takes one
    # mse_loss over all latents.
    "hunyuan-1.5": LatentGeometry(16, 4),
}


def pool(heatmap: Map, geometry: LatentGeometry) -> Map:
    """Pool a heatmap (B, F, H, W) or (F, H, W) to (B, 1, F', h, w), in the range of the input.

    Maximum over exactly the frames that a latent covers, pixel by pixel, then the mean over the
    pixels that it covers: a latent's weight is the share of its area that moved at some time in
    its frames. (The paper only says "downsampled"; maximum over time is our reading, so that a
    short movement inside a group of frames is not averaged away.)

    Raises:
        ValueError: H or W is not a multiple of the stride, or no clip has F frames.
    """
    if heatmap.ndim not in (3, 4):
        raise ValueError(f"heatmap should be (F, H, W) or (B, F, H, W), got {tuple(heatmap.shape)}")
    if "float" not in str(heatmap.dtype):
        raise ValueError(f"heatmap should be floating point, got {heatmap.dtype}")
    maps: Any = heatmap if heatmap.ndim == 4 else heatmap[None]
    _, frames, height, width = maps.shape
    geometry.check_size(height, width)
    spans = geometry.covered_frames(frames)
    # One frame a latent (the sd family) is the common case and has nothing to take a maximum of.
    if spans != [(frame, frame + 1) for frame in range(frames)]:
        most = [reduce(maps[:, start:stop], "b f h w -> b h w", "max") for start, stop in spans]
        maps = rearrange(most, "f b h w -> b f h w")
    s = geometry.spatial_stride
    pooled: Map = reduce(maps, "b f (h s) (w t) -> b 1 f h w", "mean", s=s, t=s)
    return pooled


def as_array(values: Tensor | NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a tensor of any device, or an array, as an array of float32."""
    tensor: Any = values
    return np.asarray(tensor.detach().float().cpu() if hasattr(values, "detach") else values,
                      np.float32)  # fmt: skip


def valid_mask(
    geometry: LatentGeometry, frames: int, device: torch.device | str | None = None
) -> Tensor:
    """Return bool (1, 1, F', 1, 1): False at the latents that are no part of the loss.

    These are the conditioned first latent and its copies in the padding. Hand it to the loss as
    ``valid``, which leaves such latents out before it takes any mean. Other padding stays in the
    loss: the published trainers of those families count it.
    """
    import torch

    latents = geometry.latent_frames(frames)
    valid = torch.ones(1, 1, latents, 1, 1, dtype=torch.bool, device=device)
    if geometry.conditioned_first:
        spans = geometry.covered_frames(frames)
        valid[:, :, [index for index, (start, _) in enumerate(spans) if start == 0]] = False
    return valid


def to_layout(weight: Tensor, geometry: LatentGeometry) -> Tensor:
    """Lay (B, 1, F', h, w) out as the model does, e.g. (B, F', 1, h, w) or tokens (B, F' h w, 1).

    A mask from ``valid_mask`` has to be expanded to the weight's size first.
    """
    if weight.ndim != 5:
        raise ValueError(f"weight should be (B, 1, F', h, w), got {tuple(weight.shape)}")
    return rearrange(weight, f"b c f h w -> {geometry.layout}")
