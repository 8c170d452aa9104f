"""Pool a heatmap to a weight per latent, for every family of video autoencoders.

Letters: B batch, F frames, H W pixels, C channels, F' latent frames, h w latents.

An autoencoder says which frames a latent covers. Weighting a latent with a map of other frames
(a plain resize over time does that) teaches the wrong place at the wrong moment, so the pooling
follows the grid exactly: the first latent covers one frame, each later one ``temporal_stride``.
Some autoencoders begin anew every ``block_frames`` frames. `grid_probe.py` reads the grid off an
autoencoder that has no row here.
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
    from torch import Tensor, nn

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
    # MiniMax-H3: AutoencoderKLMiniMaxH3Video encodes 17 frames at a time and drops the last three
    # latents of a clip; the keyframes are rows of their own, so every latent of the video counts.
    "minimax-h3": LatentGeometry(16, 4, block_frames=17, last_block_frames=5),
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
