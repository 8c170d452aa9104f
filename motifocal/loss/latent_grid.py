"""Pool a heatmap to a weight per latent, for every family of video autoencoders.

Letters: B batch, F frames, H W pixels, C channels, F' latent frames, h w latents.

An autoencoder says which frames a latent covers. Weighting a latent with a map of other frames
(a plain resize over time does that) teaches the wrong place at the wrong moment, so the pooling
follows the grid of the model exactly (`latent_geometry.py`). `grid_probe.py` reads the grid off an
autoencoder that has no row here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from einops import rearrange, reduce
from numpy.typing import NDArray

from motifocal.loss.latent_geometry import LatentGeometry

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["FAMILIES", "LatentGeometry", "as_array", "pool", "to_layout", "valid_mask"]

#: Both are pooled alike; without torch there are only arrays.
Map = TypeVar("Map", "Tensor", NDArray[np.float32])


# Strides: of the autoencoder's own code; tests/loss/test_geometry_vaes.py proves them on it. Layout
# and `conditioned_first`: what diffusers' image-to-video pipeline hands to the model and steps, and
# which latents the published trainer counts. In `conditioned_first` families the clean first latent
# takes the place of a noisy one; in the others the image comes as extra channels and every latent
# is noisy, predicted and counted. Where a trainer does otherwise, say so with
# dataclasses.replace(FAMILIES[name], conditioned_first=...).
FAMILIES: dict[str, LatentGeometry] = {
    # AutoencoderKL, frame by frame. VideoCrafter2, I2VGen-XL (I2VGenXLPipeline: B C F h w).
    "sd": LatentGeometry(8, 1),
    # StableVideoDiffusionPipeline: (B, F, C, h, w), the image as four more channels.
    "svd": LatentGeometry(8, 1, layout="b f c h w"),
    # Wan 2.1 and 2.2-A14B: AutoencoderKLWan encodes frame 0, then fours; WanImageToVideoPipeline
    # concatenates four mask and sixteen image channels.
    "wan": LatentGeometry(8, 4),
    # Wan 2.2 TI2V-5B: patchify 2x2 before 8x; `expand_timesteps` gives the first latent t = 0, and
    # DiffSynth-Studio's FlowMatchSFTLoss cuts it off before the mean.
    "wan-5b": LatentGeometry(16, 4, conditioned_first=True),
    # CogVideoXImageToVideoPipeline: (B, F', C, h, w), the image as channels of the first latent.
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
    # HunyuanVideo 1.5: 16x; image and mask as 33 more channels, and its train.py takes one
    # mse_loss over all latents.
    "hunyuan-1.5": LatentGeometry(16, 4),
    # MiniMax-H3: AutoencoderKLMiniMaxH3Video encodes 17 frames at a time and drops the last three
    # latents of a clip; the keyframes are rows of their own, so every latent of the video counts.
    "minimax-h3": LatentGeometry(16, 4, block_frames=17, last_block_frames=5),
    # Below, what is clean is read off the pipelines of diffusers, not off published trainers.
    # Kandinsky5I2VPipeline, HunyuanVideo's autoencoder: channels last; the first latent is clean.
    "kandinsky-5": LatentGeometry(8, 4, conditioned_first=True, layout="b f h w c"),
    # Kandinsky6TI2VAPipeline: the image is one more latent behind those of the video, which all
    # count; cut it off the prediction before the loss.
    "kandinsky-6": LatentGeometry(8, 4, layout="b f h w c"),
    # Cosmos-Predict2 and 2.5, Wan 2.1's autoencoder: the first latent is given and stays.
    "cosmos-2.5": LatentGeometry(8, 4, conditioned_first=True),
    # Cosmos3OmniPipeline, the autoencoder of Wan 2.2 TI2V-5B: the same.
    "cosmos-3": LatentGeometry(16, 4, conditioned_first=True),
    # SanaImageToVideoPipeline at 480 pixels, Wan 2.1's autoencoder: only later latents are stepped.
    # With another autoencoder the grid is that one's: replace, or LatentGeometry.of.
    "sana-video": LatentGeometry(8, 4, conditioned_first=True),
    # MotifVideoImage2VideoPipeline, Wan 2.1's autoencoder: the image as 17 more channels.
    "motif-video": LatentGeometry(8, 4),
    # HunyuanSkyreelsImageToVideoPipeline: the image as 16 more channels.
    "skyreels-v1": LatentGeometry(8, 4),
    # Diffusion forcing: each latent has a time of its own, and the image's stays as it is.
    "skyreels-v2-df": LatentGeometry(8, 4, conditioned_first=True),
    # FramePack: sections of nine latents of a clip that is encoded in one piece, after the image's.
    "framepack": LatentGeometry(8, 4, conditioned_first=True),
    # Helios: sections of 33 frames that are encoded each by itself, after an image that is apart.
    "helios": LatentGeometry(8, 4, block_frames=33),
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
