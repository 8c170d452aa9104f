"""What each published family of image-to-video pipelines is made for, and what its calls need.

Sizes, lengths, rates, steps and guidance are those of the authors' own cards and scripts; the rules
are what the pipelines compute with. Several checkpoints share a class and differ in configuration
only, so a family is told from a loaded pipeline. Sizes are (height, width) in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Size: TypeAlias = "tuple[int, int]"


@dataclass(frozen=True)
class Family:
    """How one family is sampled.

    `nearest` gives the valid size nearest to any. Lengths are `frame_step` k + 1 frames and at
    least `least_frames`; `dropped` more are asked for, which the pipeline cuts off the front.
    `guidance_name` is the argument of guidance, None where it is a part of the pipeline, and
    `fps_name` that of the rate, None where the network is not told. `call` holds other arguments
    that the authors sample with. `reads` is whether the prompt counts, `sees` whether the image
    does; a negative prompt counts where the argument `negative_name` (or guidance) is above 1.
    """

    size: Size
    frames: int
    fps: float
    steps: int
    guidance: float
    nearest: Callable[[Size], Size]
    frame_step: int = 1
    least_frames: int = 1
    dropped: int = 0
    guidance_name: str | None = "guidance_scale"
    fps_name: str | None = None
    takes_size: bool = True
    reads: bool = True
    sees: bool = True
    negative_name: str | None = None
    noise_on_device: bool = False
    call: Mapping[str, Any] = field(default_factory=dict)

    def check_frames(self, frames: int) -> None:
        """ValueError, with the nearest valid numbers, for a length the family cannot make."""
        below = max(1, (frames - 1) // self.frame_step * self.frame_step + 1)
        if frames < self.least_frames:
            raise ValueError(f"frames should be at least {self.least_frames}, got {frames}")
        if frames != below:
            raise ValueError(f"frames should be {self.frame_step} k + 1, the nearest are {below} "
                             f"and {below + self.frame_step}, got {frames}")

    def check_size(self, size: Size) -> None:
        """ValueError, with the nearest valid one, for a size the family cannot make."""
        nearest = self.nearest(size)
        if nearest != size:
            raise ValueError("size should be one that the model can make, the nearest is "
                             f"{nearest[0]}x{nearest[1]}, got {size[0]}x{size[1]}")


def family_of(pipeline: Any) -> Family:
    """Return the family of a loaded pipeline of a class in FAMILIES."""
    return FAMILIES[type(pipeline).__name__](pipeline)


def multiples(divisor: int, most: Size | None = None) -> Callable[[Size], Size]:
    """Return the nearest size whose sides are multiples of `divisor`, and no larger than `most`."""
    height, width = most or (10**6, 10**6)

    def nearest(size: Size) -> Size:
        rounded = [max(1, round(side / divisor)) * divisor for side in size]
        return min(rounded[0], height), min(rounded[1], width)

    return nearest


def _wan(pipeline: Any) -> Family:
    transformer = pipeline.transformer or pipeline.transformer_2
    # The pipeline shrinks other sizes silently.
    divisor = math.lcm(16, pipeline.vae_scale_factor_spatial * transformer.config.patch_size[1])
    rules: dict[str, Any] = {
        "nearest": multiples(divisor), "frame_step": pipeline.vae_scale_factor_temporal,
    }
    if getattr(transformer.config, "pos_embed_seq_len", None) is not None:
        raise ValueError("Wan's first-and-last-frame checkpoint should be given two pictures, and "
                         "there is one")
    if pipeline.config.expand_timesteps:  # 2.2 TI2V-5B
        return Family((704, 1280), 121, 24.0, 50, 5.0, **rules)
    if pipeline.config.boundary_ratio is not None:  # 2.2 I2V-A14B
        return Family((720, 1280), 81, 16.0, 40, 3.5, **rules)
    return Family((480, 832), 81, 16.0, 40, 5.0, **rules)  # 2.1 I2V-14B; its 720P is no different


def _skyreels(pipeline: Any) -> Family:
    divisor = pipeline.vae_scale_factor_spatial * pipeline.transformer.config.patch_size[1]
    return Family((544, 960), 97, 24.0, 50, 5.0, multiples(math.lcm(16, divisor)),
                  frame_step=pipeline.vae_scale_factor_temporal)


def _cogvideox(pipeline: Any) -> Family:
    config = pipeline.transformer.config
    factor = pipeline.vae_scale_factor_spatial
    largest = config.sample_height * factor, config.sample_width * factor
    nearest = multiples(factor * config.patch_size)
    size, frames, fps = (480, 720), 49, 8.0
    if config.patch_size_t is not None:  # 1.5: positions are cut out of a table
        size, frames, fps = (768, 1360), 81, 16.0
        nearest = multiples(factor * config.patch_size, most=largest)
    elif config.use_learned_positional_embeddings:
        size, nearest = largest, lambda _: largest
    dpm = type(pipeline.scheduler).__name__ == "CogVideoXDPMScheduler"
    # The autoencoder decodes two latents at a time, and the first frame stands alone only where
    # their number is odd.
    return Family(size, frames, fps, 50, 6.0, nearest,
                  frame_step=2 * pipeline.vae_scale_factor_temporal,
                  call={"use_dynamic_cfg": dpm})


def _ltx(pipeline: Any) -> Family:
    divisor = math.lcm(32, pipeline.vae_spatial_compression_ratio
                       * pipeline.transformer_spatial_patch_size)
    timed = bool(pipeline.vae.config.timestep_conditioning)  # 0.9.1 and later
    # Those draw noise for the decoder on the device, which takes no generator of the CPU's.
    return Family((512, 704), 161, 25.0, 50, 3.0, multiples(divisor),
                  frame_step=pipeline.vae_temporal_compression_ratio, fps_name="frame_rate",
                  noise_on_device=timed,
                  call={"decode_timestep": 0.05, "decode_noise_scale": 0.025} if timed else {})


def _hunyuan(pipeline: Any) -> Family:
    config = pipeline.transformer.config
    # Guidance is distilled into the checkpoint that replaces tokens; the one that concatenates
    # latents has none, and its first four frames are thrown away.
    distilled = bool(config.guidance_embeds)
    dropped = 4 if config.image_condition_type == "latent_concat" else 0
    return Family((720, 1280), 129 - dropped, 24.0, 50, 6.0 if distilled else 1.0,
                  multiples(math.lcm(16, pipeline.vae_scale_factor_spatial * config.patch_size)),
                  frame_step=pipeline.vae_scale_factor_temporal, dropped=dropped,
                  guidance_name="guidance_scale" if distilled else "true_cfg_scale",
                  negative_name="true_cfg_scale")


def _hunyuan15(pipeline: Any) -> Family:
    target = pipeline.target_size

    def chosen(size: Size) -> Size:
        height, width = pipeline.video_processor.calculate_default_height_width(*size, target)
        return int(height), int(width)

    def nearest(size: Size) -> Size:
        # A size that the pipeline would choose again for an image of that very size.
        while (again := chosen(size)) != size:
            size = again
        return size

    return Family(nearest((720, 1280)), 121, 24.0, 50, pipeline.guider.guidance_scale, nearest,
                  frame_step=pipeline.vae_scale_factor_temporal, guidance_name=None,
                  takes_size=False)


def _ltx2(pipeline: Any) -> Family:
    divisor = math.lcm(32, pipeline.vae_spatial_compression_ratio
                       * pipeline.transformer_spatial_patch_size)
    # Guidance in space and time skips one of the blocks.
    return Family((512, 768), 121, 24.0, 30, 3.0, multiples(divisor),
                  frame_step=pipeline.vae_temporal_compression_ratio, fps_name="frame_rate",
                  call={"spatio_temporal_guidance_blocks": [29]})


def _kandinsky5(pipeline: Any) -> Family:
    # Sparse attention is laid out in blocks. The first four latents are evened out by later ones.
    sparse = pipeline.transformer.config.attention_type == "nabla"
    return Family((512, 768), 121, 24.0, 50, 5.0, multiples(128 if sparse else 16),
                  frame_step=pipeline.vae_scale_factor_temporal, least_frames=17)


def _svd(pipeline: Any) -> Family:
    return Family((576, 1024), pipeline.unet.config.num_frames, 7.0, 25, 3.0,
                  multiples(pipeline.vae_scale_factor), least_frames=2,
                  guidance_name="max_guidance_scale", fps_name="fps", reads=False)


def _i2vgen_xl(pipeline: Any) -> Family:
    # Its target_fps of 16 is a condition; the authors play the frames at 8.
    return Family((704, 1280), 16, 8.0, 50, 9.0, multiples(pipeline.vae_scale_factor))


def _modelscope(pipeline: Any) -> Family:
    # A control: text to video. TI2V-Zero and AnimateAnything start from its weights.
    return Family((256, 256), 16, 8.0, 50, 9.0, multiples(pipeline.vae_scale_factor), sees=False)


#: Class name -> its family, told from a pipeline of that class.
FAMILIES: Mapping[str, Callable[[Any], Family]] = {
    "WanImageToVideoPipeline": _wan,
    "SkyReelsV2ImageToVideoPipeline": _skyreels,
    "CogVideoXImageToVideoPipeline": _cogvideox,
    "LTXImageToVideoPipeline": _ltx,
    "LTXConditionPipeline": _ltx,
    "HunyuanVideoImageToVideoPipeline": _hunyuan,
    "HunyuanVideo15ImageToVideoPipeline": _hunyuan15,
    "LTX2ImageToVideoPipeline": _ltx2,
    "Kandinsky5I2VPipeline": _kandinsky5,
    "StableVideoDiffusionPipeline": _svd,
    "I2VGenXLPipeline": _i2vgen_xl,
    "TextToVideoSDPipeline": _modelscope,
}
#: Parts that the authors keep in float32 whatever the rest computes in.
IN_FLOAT32: Mapping[str, tuple[str, ...]] = {
    "WanImageToVideoPipeline": ("vae", "image_encoder"),
    "SkyReelsV2ImageToVideoPipeline": ("vae", "image_encoder"),
}
#: Packages that a class fails without when it is called, and that diffusers does not ask for.
PACKAGES: Mapping[str, tuple[str, ...]] = {
    "WanImageToVideoPipeline": ("ftfy",),
    "SkyReelsV2ImageToVideoPipeline": ("ftfy",),
}


def class_of(index: Mapping[str, Any], place: str) -> str:
    """Return the class in FAMILIES for a folder's model_index.json.

    Three families are published under the name of their text-to-video class. ValueError for a class
    that is in none and for a Wan checkpoint that takes no image.
    """
    named = index.get("_class_name")
    if named in ("LTXPipeline", "LTX2Pipeline"):
        return named.replace("Pipeline", "ImageToVideoPipeline")
    if named == "WanPipeline":
        if not index.get("expand_timesteps"):
            raise ValueError(f"{place} should be an image-to-video model, got a WanPipeline that "
                             "takes no picture")
        return "WanImageToVideoPipeline"
    if not isinstance(named, str) or named not in FAMILIES:
        raise ValueError(f"{place} should hold a pipeline of one of the classes "
                         f"{', '.join(FAMILIES)}, got {named!r}")
    return named
