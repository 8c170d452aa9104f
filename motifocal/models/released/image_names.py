"""Find the parameters of image encoder and projection in a released image-to-video checkpoint.

VideoCrafter1-I2V and DynamiCrafter share the names: OpenCLIP's image tower under `embedder.`, the
projection of its tokens under `image_proj_model.`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from motifocal.models.released.videocrafter2_names import Source

IMAGE_PREFIX = "embedder.model."
PROJECTION_PREFIX = "image_proj_model."

IMAGE_RULES = (
    (r"^embeddings\.class_embedding", "class_embedding"),
    (r"^embeddings\.patch_embedding", "conv1"),
    (r"^embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^pre_layrnorm", "ln_pre"),  # spelt so in transformers
    (r"^post_layernorm", "ln_post"),
    (r"^visual_projection\.weight", "proj"),
    (r"^encoder\.layers\.", "transformer.resblocks."),
    (r"layer_norm(\d)", r"ln_\1"),
    (r"mlp\.fc1", "mlp.c_fc"),
    (r"mlp\.fc2", "mlp.c_proj"),
    (r"self_attn\.out_proj", "attn.out_proj"),
    (r"self_attn\.[qkv]_proj\.", "attn.in_proj_"),
)

PROJECTION_RULES = (
    (r"^queries", "latents"),
    (r"^(layers\.\d+)\.norm_tokens", r"\1.0.norm1"),
    (r"^(layers\.\d+)\.norm_queries", r"\1.0.norm2"),
    (r"^(layers\.\d+)\.to_", r"\1.0.to_"),
    (r"^(layers\.\d+)\.feed_forward", r"\1.1"),
)


def image_encoder_sources(names: Iterable[str]) -> dict[str, Source]:
    """For every image encoder parameter name of ours (`vision_model.` or not), where it lies."""
    sources = {}
    for name in names:
        theirs = _renamed(name.removeprefix("vision_model."), IMAGE_RULES)
        joined = re.search(r"self_attn\.([qkv])_proj", name)
        sources[name] = Source(
            f"{IMAGE_PREFIX}visual.{theirs}",
            third=None if joined is None else "qkv".index(joined[1]),
            transposed=name == "visual_projection.weight",
        )
    return sources


def projection_sources(names: Iterable[str]) -> dict[str, Source]:
    """For every parameter of the U-Net's `image_proj`, a resampler, where it lies."""
    return {
        name: Source(PROJECTION_PREFIX + _renamed(name.removeprefix("image_proj."),
                                                  PROJECTION_RULES))
        for name in names
    }


def unused_image_tensors() -> dict[str, str]:
    """Tensors beside the image tower that we leave out, with the reason."""
    parts = ("positional_embedding", "text_projection", "logit_scale", "token_embedding.weight",
             "ln_final.weight", "ln_final.bias")
    reason = "rest of CLIP's text encoder beside the image encoder"
    return {IMAGE_PREFIX + part: reason for part in parts}


def _renamed(name: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
