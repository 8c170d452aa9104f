"""Map our parameter names to names and places in the released VideoCrafter2 checkpoint.

The released U-Net numbers its blocks in the order in which they run; ours are grouped by level.
The tables go from our names to theirs, so that a parameter of ours without a source and a tensor
of theirs without a use both show.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from motifocal.models.unet import UNetConfig

UNET_PREFIX = "model.diffusion_model."
AUTOENCODER_PREFIX = "first_stage_model."
TEXT_PREFIX = "cond_stage_model.model."


@dataclass(frozen=True)
class Source:
    """Where a parameter of ours lies in the released checkpoint."""

    name: str
    trailing: int = 0  # axes of size 1 at the end: theirs is a convolution, ours a linear layer
    third: int | None = None  # part of a joined query-key-value parameter
    transposed: bool = False

    def shape(self, ours: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape theirs should have when ours is `ours`."""
        rows = ours if self.third is None else (3 * ours[0], *ours[1:])
        if self.transposed:
            rows = rows[::-1]
        return (*rows, *(1,) * self.trailing)

    def read(self, theirs: Tensor) -> Tensor:
        """Our tensor: a view of theirs, or a copy where it is only a part."""
        if self.transposed:
            return theirs.T
        flat = theirs.reshape(theirs.shape[: theirs.ndim - self.trailing])
        return flat if self.third is None else flat.chunk(3)[self.third].clone()


RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}

UNET_FIXED = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "fps_embedding.linear_1": "fps_embedding.0",
    "fps_embedding.linear_2": "fps_embedding.2",
    "conv_in": "input_blocks.0.0",
    "transformer_in": "init_attn.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def _convolutions(block: str, index: int, theirs: str) -> Iterator[tuple[str, str]]:
    for ours, part in RESNET.items():
        yield f"{block}.resnets.{index}.{ours}", f"{theirs}.{part}"
    yield f"{block}.temp_convs.{index}", f"{theirs}.temopral_conv"  # spelt so in the checkpoint


def _layer(block: str, index: int, theirs: str, attends: bool) -> Iterator[tuple[str, str]]:
    yield from _convolutions(block, index, f"{theirs}.0")
    if attends:
        yield f"{block}.attentions.{index}", f"{theirs}.1"
        yield f"{block}.temp_attentions.{index}", f"{theirs}.2"


def unet_modules(config: UNetConfig) -> dict[str, str]:
    """Our module names to theirs, for a U-Net of any size; neither with a prefix."""
    modules = dict(UNET_FIXED)
    levels, place = len(config.attention), 1
    for level, attends in enumerate(config.attention):
        block = f"down_blocks.{level}"
        for index in range(config.layers_per_block):
            modules.update(_layer(block, index, f"input_blocks.{place}", attends))
            place += 1
        if level < levels - 1:
            modules[f"{block}.downsamplers.0.conv"] = f"input_blocks.{place}.0.op"
            place += 1
    modules.update(_layer("mid_block", 0, "middle_block", attends=True))
    modules.update(_convolutions("mid_block", 1, "middle_block.3"))
    place = 0
    for level, attends in enumerate(reversed(config.attention)):
        block = f"up_blocks.{level}"
        for index in range(config.layers_per_block + 1):
            modules.update(_layer(block, index, f"output_blocks.{place}", attends))
            place += 1
        if level < levels - 1:
            last = 3 if attends else 1
            modules[f"{block}.upsamplers.0.conv"] = f"output_blocks.{place - 1}.{last}.conv"
    return modules


def unet_sources(config: UNetConfig, names: Iterable[str]) -> dict[str, Source]:
    """For every U-Net parameter name of ours, where it lies."""
    modules = unet_modules(config)
    sources = {}
    for name in names:
        parts = name.split(".")
        module = next(
            (m for k in range(len(parts), 0, -1) if (m := ".".join(parts[:k])) in modules), None
        )
        if module is None:
            raise ValueError(f"U-Net parameter {name} should have a released name, got none")
        squeezed = re.fullmatch(r"transformer_in\.proj_(in|out)\.weight", name) is not None
        theirs = UNET_PREFIX + modules[module] + name[len(module) :]
        sources[name] = Source(theirs, trailing=1 if squeezed else 0)
    return sources


AUTOENCODER_RULES = (
    (r"(down)_blocks\.(\d+)\.resnets", r"\1.\2.block"),
    (r"(down)_blocks\.(\d+)\.downsamplers\.0", r"\1.\2.downsample"),
    (r"(up)_blocks\.(\d+)\.resnets", r"\1.\2.block"),
    (r"(up)_blocks\.(\d+)\.upsamplers\.0", r"\1.\2.upsample"),
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_([qkv])", r"mid.attn_1.\1"),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"conv_norm_out", "norm_out"),
)


def autoencoder_sources(levels: int, names: Iterable[str]) -> dict[str, Source]:
    """For every autoencoder parameter name of ours, where it lies."""
    sources = {}
    for name in names:
        # Theirs counts the decoder's levels from the finest, ours from the coarsest.
        theirs = re.sub(
            r"up_blocks\.(\d+)", lambda found: f"up_blocks.{levels - 1 - int(found[1])}", name
        )
        for pattern, replacement in AUTOENCODER_RULES:
            theirs = re.sub(pattern, replacement, theirs)
        pointwise = ".attentions." in name and name.endswith("weight") and "group_norm" not in name
        sources[name] = Source(AUTOENCODER_PREFIX + theirs, trailing=2 if pointwise else 0)
    return sources


TEXT_RULES = (
    (r"^embeddings\.token_embedding\.weight", "token_embedding.weight"),
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^encoder\.layers\.", "transformer.resblocks."),
    (r"^final_layer_norm", "ln_final"),
    (r"layer_norm(\d)", r"ln_\1"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"self_attn\.out_proj", "attn.out_proj"),
    (r"self_attn\.[qkv]_proj\.", "attn.in_proj_"),
)


def text_sources(names: Iterable[str]) -> dict[str, Source]:
    """For every text encoder parameter name of ours (`text_model.` or not), where it lies."""
    sources = {}
    for name in names:
        theirs = name.removeprefix("text_model.")
        for pattern, replacement in TEXT_RULES:
            theirs = re.sub(pattern, replacement, theirs)
        joined = re.search(r"self_attn\.([qkv])_proj", name)
        third = None if joined is None else "qkv".index(joined[1])
        sources[name] = Source(TEXT_PREFIX + theirs, third=third)
    return sources


SCHEDULE_BUFFERS = (
    "betas",
    "alphas_cumprod",
    "alphas_cumprod_prev",
    "sqrt_alphas_cumprod",
    "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod",
    "sqrt_recip_alphas_cumprod",
    "sqrt_recipm1_alphas_cumprod",
    "posterior_variance",
    "posterior_log_variance_clipped",
    "posterior_mean_coef1",
    "posterior_mean_coef2",
    "scale_arr",
)

TEXT_BLOCK_PARTS = (
    "ln_1.weight",
    "ln_1.bias",
    "attn.in_proj_weight",
    "attn.in_proj_bias",
    "attn.out_proj.weight",
    "attn.out_proj.bias",
    "ln_2.weight",
    "ln_2.bias",
    "mlp.c_fc.weight",
    "mlp.c_fc.bias",
    "mlp.c_proj.weight",
    "mlp.c_proj.bias",
)


def unused_tensors(text_layers: int) -> dict[str, str]:
    """Tensors of the released checkpoint that we leave out, each with the reason.

    `text_layers` is how many text blocks we keep: all but the last.
    """
    unused = dict.fromkeys(SCHEDULE_BUFFERS, "recomputed by the scheduler")
    last = f"{TEXT_PREFIX}transformer.resblocks.{text_layers}."
    for part in TEXT_BLOCK_PARTS:
        unused[last + part] = "the features are taken before the last text block"
    unused[f"{TEXT_PREFIX}text_projection"] = "the pooled sentence vector is not used"
    unused[f"{TEXT_PREFIX}logit_scale"] = "only for comparing texts with images"
    return unused
