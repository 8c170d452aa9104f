"""The autoencoder of every latent family, tiny and random: a clip becomes the model's latents.

    tiny_vae(family)             diffusers' own class, the family's real compression, few channels
    neutral(vae)                 the same without group norm: what mixes a whole clip
    unspread(vae)                the same that looks around only where it halves the picture
    encode(family, vae, clip)    (B, 3, F, H, W) -> (B, C, F', h, w), padded as the model wants it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import diffusers
import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.autoencoder_kl_hunyuanvideo15 import HunyuanVideo15AttnBlock
from diffusers.models.autoencoders.autoencoder_kl_wan import WanAttentionBlock
from einops import rearrange
from tiny_diffusers import hunyuan_vae, tiny_pipeline
from tiny_wan import wan22_vae, wan_vae
from torch import Tensor, nn

#: Frames that Helios encodes at a time.
HELIOS_SECTION = 33
#: The tiny pipeline whose autoencoder is the family's; those without one are built below.
PIPELINES = {
    "sd": "i2vgen-xl", "svd": "svd", "cogvideox": "cogvideox", "cogvideox-1.5": "cogvideox15",
    "ltx": "ltx", "hunyuan-1.5": "hunyuan15",
}  # fmt: skip


def ltx2_vae() -> Any:
    return diffusers.AutoencoderKLLTX2Video(
        latent_channels=8, block_out_channels=(8, 8, 8, 8), decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 1, 1, 1, 1), decoder_layers_per_block=(1, 1, 1, 1),
        spatial_compression_ratio=32, temporal_compression_ratio=8,
    )  # fmt: skip


def ltx23_vae() -> Any:
    """LTX-2.3: the encoder's last block is no wider, and the decoder has a block more."""
    return diffusers.AutoencoderKLLTX2Video(
        latent_channels=8, block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8), layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1), decoder_spatio_temporal_scaling=(True,) * 4,
        decoder_inject_noise=(False,) * 5, upsample_residual=(False,) * 4,
        upsample_type=("spatiotemporal", "spatiotemporal", "temporal", "spatial"),
        upsample_factor=(2, 2, 1, 2), decoder_causal=False, spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )  # fmt: skip


def minimax_h3_vae() -> Any:
    return diffusers.AutoencoderKLMiniMaxH3(
        latent_channels=4, block_out_channels=(8,) * 6, layers_per_block=1, norm_num_groups=4,
        decoder_num_layers=1, decoder_num_attention_heads=1, decoder_attention_head_dim=32,
        latents_mean=(0.0,) * 4, latents_std=(1.0,) * 4,
    )  # fmt: skip


def cosmos_vae() -> Any:
    """That of Cosmos-Predict1, which no family here has: 8x, and 8 frames a latent."""
    return diffusers.AutoencoderKLCosmos(
        latent_channels=4, encoder_block_out_channels=(8, 8, 8, 8),
        decode_block_out_channels=(8, 8, 8, 8), attention_resolutions=(8,), resolution=64,
        num_layers=1, latents_mean=None, latents_std=None,
    )  # fmt: skip


def ltx095_vae() -> Any:
    """LTX-Video from 0.9.5 on: the same grid by other blocks."""
    return diffusers.AutoencoderKLLTXVideo(
        latent_channels=8, block_out_channels=(8,) * 5, decoder_block_out_channels=(8, 8, 8),
        down_block_types=("LTXVideo095DownBlock3D",) * 4, layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, True, True), decoder_layers_per_block=(1, 1, 1, 1),
        decoder_spatio_temporal_scaling=(True, True, True), upsample_residual=(True, True, True),
        upsample_factor=(2, 2, 2), decoder_inject_noise=(False,) * 4,
        downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
    )  # fmt: skip


#: The autoencoders that are built by themselves; those of a pipeline's class are tested to be so.
BUILT: dict[str, Callable[[], Any]] = {
    "wan": wan_vae, "wan-5b": wan22_vae, "hunyuan": hunyuan_vae,
    "ltx-2": ltx2_vae, "minimax-h3": minimax_h3_vae, "kandinsky-5": hunyuan_vae,
    "kandinsky-6": hunyuan_vae, "cosmos-2.5": wan_vae, "cosmos-3": wan22_vae,
    "sana-video": wan_vae, "motif-video": wan_vae, "skyreels-v1": hunyuan_vae,
    "skyreels-v2-df": wan_vae, "framepack": hunyuan_vae, "helios": wan_vae,
}  # fmt: skip


def tiny_vae(family: str) -> Any:
    """The same every time; float64, so that rounding lies far below every change looked for."""
    torch.manual_seed(0)
    built = BUILT.get(family)
    vae = built() if built else tiny_pipeline(PIPELINES[family]).vae
    if family == "hunyuan-1.5":
        vae.enable_slicing()  # its causal attention takes one clip at a time
    return vae.double().eval().requires_grad_(False)


def neutral(vae: Any) -> Any:
    """`vae` with every group norm taken out, in place.

    A group norm divides by the spread of the whole clip, so that every latent changes a little with
    every pixel. What is left (convolutions, norms over channels, causal attention) shows the grid.
    """
    for module in list(vae.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.GroupNorm):
                setattr(module, name, nn.Identity())
    return vae


@torch.no_grad()
def unspread(vae: Any) -> Any:
    """`vae`, neutral, with attention off and kernels of one pixel wherever the stride is one.

    Those spread a pixel over the picture evenly, on every side. The layers that make the grid (with
    a stride, or pixels folded into channels) stay as they are.
    """
    for module in neutral(vae).modules():
        if isinstance(module, Attention):
            projection: Any = module.to_out[0]
            projection.weight.zero_()
        elif isinstance(module, WanAttentionBlock):
            module.proj.weight.zero_()
        elif isinstance(module, HunyuanVideo15AttnBlock):
            module.proj_out.weight.zero_()
        elif isinstance(module, (nn.Conv2d, nn.Conv3d)) and set(module.stride[-2:]) == {1}:
            for side in (-1, -2):
                if module.kernel_size[side] == 3:
                    module.weight.index_fill_(side, torch.tensor([0, 2]), 0.0)
    return vae


@torch.no_grad()
def encode(family: str, vae: Any, clip: Tensor) -> Tensor:
    """The mean of the latents, (B, C, F', h, w), with the copies that the model puts in front."""
    if family in ("sd", "svd"):  # autoencoders of pictures: the frames go in as a batch
        pictures = vae.encode(rearrange(clip, "b c f h w -> (b f) c h w")).latent_dist.mean
        return rearrange(pictures, "(b f) c h w -> b c f h w", b=len(clip))
    if family == "helios":
        sections = clip.split(HELIOS_SECTION, 2)
        return torch.cat([vae.encode(section).latent_dist.mean for section in sections], 2)
    latents = vae.encode(clip).latent_dist.mean
    if family == "cogvideox-1.5":  # patch_size_t is 2
        latents = torch.cat([latents[:, :, : latents.shape[2] % 2], latents], 2)
    return latents
