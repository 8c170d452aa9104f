"""diffusers' image-to-video pipelines by class, and the class that opens a model folder.

Sizes, lengths, rates, steps and guidance are those of the authors' own cards and scripts, or the
defaults of the class where docs/models.md says so; the rules are what the pipelines compute with.
Several checkpoints share a class and differ in configuration only, so a family is told from a
loaded pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from motifocal.generate.families import (
    cosmos,
    hunyuan,
    kandinsky,
    latent_video,
    ltx,
    unets,
    wan,
)
from motifocal.generate.families.family import Family

#: Class name -> its family, told from a pipeline of that class.
FAMILIES: Mapping[str, Callable[[Any], Family]] = {
    "WanImageToVideoPipeline": wan.wan,
    "WanVACEPipeline": wan.wan_vace,
    "SkyReelsV2ImageToVideoPipeline": wan.skyreels_v2,
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": wan.skyreels_v2_forcing,
    "HeliosPipeline": wan.helios,
    "HeliosPyramidPipeline": wan.helios_pyramid,
    "CogVideoXImageToVideoPipeline": latent_video.cogvideox,
    "LTXImageToVideoPipeline": ltx.ltx,
    "LTXConditionPipeline": ltx.ltx,
    "LTXI2VLongMultiPromptPipeline": ltx.ltx_long,
    "LTX2ImageToVideoPipeline": ltx.ltx2,
    "HunyuanVideoImageToVideoPipeline": hunyuan.hunyuan,
    "HunyuanVideo15ImageToVideoPipeline": hunyuan.hunyuan15,
    "HunyuanSkyreelsImageToVideoPipeline": hunyuan.skyreels_v1,
    "HunyuanVideoFramepackPipeline": hunyuan.framepack,
    "Kandinsky5I2VPipeline": kandinsky.kandinsky5,
    "Kandinsky6TI2VAPipeline": kandinsky.kandinsky6,
    "MotifVideoImage2VideoPipeline": latent_video.motif_video,
    "SanaImageToVideoPipeline": latent_video.sana_video,
    "CosmosVideoToWorldPipeline": cosmos.predict1,
    "Cosmos2VideoToWorldPipeline": cosmos.predict2,
    "Cosmos2_5_PredictBasePipeline": cosmos.predict25,
    "Cosmos3OmniPipeline": cosmos.cosmos3,
    "StableVideoDiffusionPipeline": unets.svd,
    "I2VGenXLPipeline": unets.i2vgen_xl,
    "TextToVideoSDPipeline": unets.modelscope,
}
#: A class that weights are published or saved under -> the one with the same parts that animates.
SIBLINGS: Mapping[str, str] = {
    "LTXPipeline": "LTXImageToVideoPipeline",
    "LTX2Pipeline": "LTX2ImageToVideoPipeline",
    "LTX2ConditionPipeline": "LTX2ImageToVideoPipeline",
    "MotifVideoPipeline": "MotifVideoImage2VideoPipeline",
    "SanaVideoPipeline": "SanaImageToVideoPipeline",
    "SkyReelsV2DiffusionForcingPipeline": "SkyReelsV2DiffusionForcingImageToVideoPipeline",
}
#: Parts that the authors keep in float32 whatever the rest computes in.
IN_FLOAT32: Mapping[str, tuple[str, ...]] = {
    "WanImageToVideoPipeline": ("vae", "image_encoder"),
    "WanVACEPipeline": ("vae",),
    "SkyReelsV2ImageToVideoPipeline": ("vae", "image_encoder"),
    "SkyReelsV2DiffusionForcingImageToVideoPipeline": ("vae",),
    "HeliosPipeline": ("vae",),
    "HeliosPyramidPipeline": ("vae",),
    "SanaImageToVideoPipeline": ("vae",),
}
#: Classes that fail without ftfy when they are called, which diffusers does not ask for.
NEED_FTFY = frozenset({
    "WanImageToVideoPipeline", "WanVACEPipeline", "SkyReelsV2ImageToVideoPipeline",
    "SkyReelsV2DiffusionForcingImageToVideoPipeline", "HeliosPipeline", "HeliosPyramidPipeline",
})  # fmt: skip
#: What NVIDIA's pipelines need besides: its checks of prompts and videos, without which its licence
#: and diffusers allow no sampling, and torchvision for the mask of padding.
GUARDRAIL = "cosmos_guardrail"


def family_of(pipeline: Any) -> Family:
    """Return the family of a loaded pipeline of a class in FAMILIES."""
    return FAMILIES[type(pipeline).__name__](pipeline)


def class_of(index: Mapping[str, Any], place: str) -> str:
    """Return the class in FAMILIES for a folder's model_index.json.

    Some families are published under the name of their text-to-video class. ValueError for a class
    that is in none and for a Wan checkpoint that takes no image.
    """
    named = index.get("_class_name")
    if named == "WanPipeline":
        if not index.get("expand_timesteps"):
            raise ValueError(f"{place} should be an image-to-video model, got a WanPipeline that "
                             "takes no image")
        return "WanImageToVideoPipeline"
    if isinstance(named, str) and SIBLINGS.get(named, named) in FAMILIES:
        return SIBLINGS.get(named, named)
    raise ValueError(f"{place} should hold a pipeline of one of the classes "
                     f"{', '.join(FAMILIES)}, got {named!r}")


def other_packages(kind: str, index: Mapping[str, Any]) -> list[str]:
    """Return the packages that no extra of Motifocal brings and a class fails without."""
    if not kind.startswith("Cosmos"):
        return []
    if kind == "Cosmos3OmniPipeline":
        return [GUARDRAIL] if index.get("enable_safety_checker", True) else []
    return [GUARDRAIL, "torchvision"]
