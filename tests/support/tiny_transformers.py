"""One training step of every latent family, up to the loss, on a tiny network of its real class.

    STEPS[family](batch)    a `Step`: the network, what it predicts in its own layout, its target

Letters: B batch, C channels, F' latent frames, h w latents, N tokens, L text tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import diffusers
import torch
from einops import rearrange
from plain_losses import masked_tokens, over_all, weighted, without_first
from tiny_diffusers import tiny_pipeline
from tiny_encoders import WIDTH
from torch import Tensor, nn

from motifocal.loss.latent_grid import FAMILIES, LatentGeometry

#: Height, width and frames of the clip: three latents in time, two or more in height and width.
CLIPS = {
    "sd": (32, 48, 3), "svd": (32, 64, 3), "wan": (32, 48, 9), "wan-5b": (64, 64, 9),
    "cogvideox": (32, 48, 9), "cogvideox-1.5": (32, 48, 9), "ltx": (64, 96, 17),
    "ltx-2": (64, 96, 17), "hunyuan": (32, 48, 9), "hunyuan-1.5": (32, 64, 9),
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What a trainer has in hand when it comes to the loss, but for the prediction itself.

    ``predict`` runs ``model``; ``plain`` is the loss as the family's trainers write it; ``target``
    and the prediction are in the model's layout. ``timestep_weight`` is theirs, (B,).
    """

    geometry: LatentGeometry
    frames: int
    height: int
    width: int
    model: nn.Module
    predict: Callable[[], Tensor]
    target: Tensor
    plain: Callable[[Tensor, Tensor], Tensor]
    timestep_weight: Tensor | None = None


def noise(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def text(batch: int, tokens: int = 5) -> Tensor:
    return noise(batch, tokens, WIDTH, seed=9)


def latents(family: str, batch: int, channels: int) -> tuple[Tensor, Any]:
    """Clean latents (B, C, F', h, w), padding included, and what a `Step` says of the clip."""
    geometry = FAMILIES[family]
    height, width, frames = CLIPS[family]
    stride = geometry.spatial_stride
    grid = (geometry.latent_frames(frames), height // stride, width // stride)
    clean = noise(batch, channels, *grid, seed=1)
    pad = geometry.padding(frames)
    clean[:, :, :pad] = clean[:, :, pad : pad + 1]
    return clean, {"geometry": geometry, "frames": frames, "height": height, "width": width}


def flow(clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rectified flow: sigma (B,), the noisy latents, and the target (noise - clean)."""
    drawn = noise(*clean.shape, seed=2)
    sigma = torch.tensor([0.7, 0.4])[: len(clean)]
    at = sigma.view(-1, 1, 1, 1, 1)
    return sigma, (1 - at) * clean + at * drawn, drawn - clean


def first_only(clean: Tensor) -> Tensor:
    """The picture as extra channels: its latent first, nothing after it."""
    picture = torch.zeros_like(clean)
    picture[:, :, 0] = clean[:, :, 0]
    return picture


def mark_of_first(clean: Tensor, channels: int) -> Tensor:
    mark = clean.new_zeros(len(clean), channels, *clean.shape[2:])
    mark[:, :, 0] = 1
    return mark


def sd(batch: int) -> Step:
    """I2VGen-XL: the noise is predicted; the picture is an input beside the latents."""
    model = tiny_pipeline("i2vgen-xl").unet
    clean, clip = latents("sd", batch, 4)
    target = noise(*clean.shape, seed=2)
    predict = partial(
        model, 0.6 * clean + 0.8 * target, torch.full((batch,), 500), fps=torch.full((batch,), 8),
        image_latents=first_only(clean), image_embeddings=noise(batch, WIDTH, seed=3),
        encoder_hidden_states=text(batch),
    )  # fmt: skip
    return Step(**clip, model=model, predict=lambda: predict().sample, target=target,
                plain=over_all)  # fmt: skip


def svd(batch: int) -> Step:
    """EDM: the prediction is the clean latents, out of the network by c_skip and c_out."""
    model = tiny_pipeline("svd").unet
    clean, clip = latents("svd", batch, 4)
    clean = rearrange(clean, "b c f h w -> b f c h w")
    sigma = torch.tensor([2.0, 0.7])[:batch]
    s = sigma.view(-1, 1, 1, 1, 1)
    noisy = clean + s * noise(*clean.shape, seed=2)
    picture = clean[:, :1].expand_as(clean)
    inputs = torch.cat([noisy / (s**2 + 1).sqrt(), picture], 2)

    def predict() -> Tensor:
        output = model(
            inputs, 0.25 * sigma.log(), encoder_hidden_states=text(batch, 1),
            added_time_ids=torch.tensor([[7.0, 127.0, 0.02]] * batch),
        ).sample  # fmt: skip
        return output * (-s / (s**2 + 1).sqrt()) + noisy / (s**2 + 1)

    weight = (1 + sigma**2) / sigma**2
    return Step(**clip, model=model, predict=predict, target=clean,
                plain=partial(weighted, weight=weight), timestep_weight=weight)  # fmt: skip


def wan(batch: int, kind: str = "wan21") -> Step:
    """Sixteen noisy channels, four of mask, sixteen of the picture."""
    model = tiny_pipeline(kind).transformer
    clean, clip = latents("wan", batch, 16)
    sigma, noisy, target = flow(clean)
    inputs = torch.cat([noisy, mark_of_first(clean, 4), first_only(clean)], 1)
    image = noise(batch, 3, WIDTH, seed=3) if kind == "wan21" else None
    predict = partial(
        model, inputs, 1000 * sigma, encoder_hidden_states=text(batch),
        encoder_hidden_states_image=image,
    )  # fmt: skip
    return Step(**clip, model=model, predict=lambda: predict().sample, target=target,
                plain=over_all)  # fmt: skip


def wan_5b(batch: int) -> Step:
    """The clean first latent in place, and a timestep for every token: 0 on those of the first."""
    model = tiny_pipeline("wan22-5b").transformer
    clean, clip = latents("wan-5b", batch, 48)
    sigma, noisy, target = flow(clean)
    noisy[:, :, 0] = clean[:, :, 0]
    later = 1 - mark_of_first(clean, 1)[:, 0, :, ::2, ::2]  # the network takes 2x2 latents a token
    timesteps = rearrange(later * 1000 * sigma.view(-1, 1, 1, 1), "b f h w -> b (f h w)")
    predict = partial(model, noisy, timesteps, encoder_hidden_states=text(batch))
    return Step(**clip, model=model, predict=lambda: predict().sample, target=target,
                plain=without_first)  # fmt: skip


def cogvideox(batch: int, family: str = "cogvideox", kind: str = "cogvideox") -> Step:
    """v-prediction turned into clean latents, weighted by 1 / (1 - alpha bar)."""
    pipeline: Any = tiny_pipeline(kind)
    model, scheduler = pipeline.transformer, pipeline.scheduler
    clean, clip = latents(family, batch, 4)
    clean, picture = (rearrange(x, "b c f h w -> b f c h w") for x in (clean, first_only(clean)))
    timesteps = torch.tensor([300, 600])[:batch]
    noisy = scheduler.add_noise(clean, noise(*clean.shape, seed=2), timesteps)
    rotary = pipeline._prepare_rotary_positional_embeddings(
        clip["height"], clip["width"], clean.shape[1], torch.device("cpu")
    )
    ofs = None if model.config.ofs_embed_dim is None else torch.full((1,), 2.0)

    def predict() -> Tensor:
        output = model(
            torch.cat([noisy, picture], 2), text(batch, model.config.max_text_seq_length),
            timesteps, ofs=ofs, image_rotary_emb=rotary,
        ).sample  # fmt: skip
        return scheduler.get_velocity(output, noisy, timesteps)

    weight = 1 / (1 - scheduler.alphas_cumprod[timesteps])
    return Step(**clip, model=model, predict=predict, target=clean,
                plain=partial(weighted, weight=weight), timestep_weight=weight)  # fmt: skip


def tokens_of(clean: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Flow in tokens: sigmas (B, N), noisy and target (B, N, C), tokens of the first latent.

    Those enter clean, at sigma 0.
    """
    sigma, noisy, target = flow(clean)
    noisy[:, :, 0] = clean[:, :, 0]
    sigmas = (1 - mark_of_first(clean, 1)) * sigma.view(-1, 1, 1, 1, 1)
    # Contiguous: the order of a sum, and with it its last bit, follows the memory.
    packed = [
        rearrange(x, "b c f h w -> b (f h w) c").contiguous() for x in (sigmas, noisy, target)
    ]
    return packed[0][..., 0], packed[1], packed[2], clean[0, 0, 0].numel()


def ltx(batch: int) -> Step:
    model = tiny_pipeline("ltx").transformer
    clean, clip = latents("ltx", batch, 8)
    sigmas, noisy, target, first = tokens_of(clean)
    grid = dict(zip(("num_frames", "height", "width"), clean.shape[2:], strict=True))
    predict = partial(
        model, noisy, text(batch), 1000 * sigmas, torch.ones(batch, 5), **grid,
        rope_interpolation_scale=(8 / 25, 32, 32),
    )  # fmt: skip
    return Step(**clip, model=model, predict=lambda: predict().sample, target=target,
                plain=partial(masked_tokens, first=first))  # fmt: skip


def ltx_2(batch: int) -> Step:
    """Picture and sound in one network; the sound's own loss is added by the trainer."""
    torch.manual_seed(0)
    network: Any = diffusers.LTX2VideoTransformer3DModel
    model = network(
        in_channels=8, out_channels=8, num_attention_heads=2, attention_head_dim=16,
        cross_attention_dim=32, audio_in_channels=4, audio_out_channels=4,
        audio_num_attention_heads=2, audio_attention_head_dim=8, audio_cross_attention_dim=16,
        num_layers=1, caption_channels=WIDTH,
    )  # fmt: skip
    clean, clip = latents("ltx-2", batch, 8)
    sigmas, noisy, target, first = tokens_of(clean)
    grid = dict(zip(("num_frames", "height", "width"), clean.shape[2:], strict=True))
    predict = partial(
        model, noisy, noise(batch, 6, 4, seed=4), text(batch), text(batch), 1000 * sigmas,
        audio_timestep=1000 * sigmas[:, -1], audio_num_frames=6, **grid,
    )  # fmt: skip
    return Step(**clip, model=model, predict=lambda: predict().sample, target=target,
                plain=partial(masked_tokens, first=first))  # fmt: skip


def hunyuan(batch: int, kind: str = "hunyuan") -> Step:
    """The clean first latent in place ("token_replace"), or as channels ("latent_concat")."""
    model = tiny_pipeline(kind).transformer
    replaced = model.config.image_condition_type == "token_replace"
    clean, clip = latents("hunyuan", batch, 4)
    sigma, noisy, target = flow(clean)
    if replaced:
        noisy[:, :, 0] = clean[:, :, 0]
    else:
        noisy = torch.cat([noisy, first_only(clean), mark_of_first(clean, 1)], 1)
        clip["geometry"] = replace(clip["geometry"], conditioned_first=False)
    predict = partial(
        model, noisy, 1000 * sigma, text(batch), torch.ones(batch, 5),
        noise(batch, WIDTH, seed=3), guidance=torch.full((batch,), 6000.0) if replaced else None,
    )  # fmt: skip
    return Step(**clip, model=model, predict=lambda: predict().sample, target=target,
                plain=without_first if replaced else over_all)  # fmt: skip


def hunyuan_15(batch: int) -> Step:
    model = tiny_pipeline("hunyuan15").transformer
    clean, clip = latents("hunyuan-1.5", batch, 4)
    sigma, noisy, target = flow(clean)
    predict = partial(
        model, torch.cat([noisy, first_only(clean), mark_of_first(clean, 1)], 1), 1000 * sigma,
        text(batch), torch.ones(batch, 5), encoder_hidden_states_2=text(batch, 3),
        encoder_attention_mask_2=torch.ones(batch, 3), image_embeds=noise(batch, 4, WIDTH, seed=3),
    )  # fmt: skip
    return Step(**clip, model=model, predict=lambda: predict().sample, target=target,
                plain=over_all)  # fmt: skip


#: The families of the table, and three variants that share a row of it.
STEPS: dict[str, Callable[[int], Step]] = {
    "sd": sd, "svd": svd, "wan": wan, "wan (2.2-A14B)": partial(wan, kind="wan22-a14b"),
    "wan-5b": wan_5b, "cogvideox": cogvideox,
    "cogvideox-1.5": partial(cogvideox, family="cogvideox-1.5", kind="cogvideox15"),
    "ltx": ltx, "ltx-2": ltx_2, "hunyuan": hunyuan,
    "hunyuan (latent_concat)": partial(hunyuan, kind="hunyuan-33ch"), "hunyuan-1.5": hunyuan_15,
}  # fmt: skip
