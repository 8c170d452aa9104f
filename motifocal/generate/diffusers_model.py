"""Sample with any diffusers image-to-video pipeline, one video at a time.

F frames, H W pixels. What a pipeline returns is (F, H, W, 3) float in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from motifocal.generate.diffusers_call import extra_arguments, played_rate, seeded
from motifocal.generate.diffusers_load import load
from motifocal.generate.diffusers_lora import load_lora
from motifocal.generate.families.family import Family
from motifocal.generate.families.registry import family_of
from motifocal.generate.frame_model import JOB_FAILURES, FrameModel
from motifocal.generate.model import Format, Job, Sampling
from motifocal.generate.text_limit import limit_of_class
from motifocal.media.picture import Pixels, one_line, read_image, resize_crop
from motifocal.models.folder_files import flow_shift
from motifocal.models.noise import noise_generator
from motifocal.models.schedule import set_flow_shift


class DiffusersModel(FrameModel):
    """A loaded pipeline behind `motifocal.generate.model.Model`.

    What `sampling` leaves open is what the authors sample with (`families`). The image
    is scaled and cropped to the size; the first frame is what the pipeline makes of it. A video
    depends on its own job alone. Raises ValueError for what the pipeline cannot make.
    """

    def __init__(self, name: str, folder: Path, sampling: Sampling, weights: str) -> None:
        pipeline = load(name, folder, sampling)
        family = family_of(pipeline)
        taken = (family.guidance_name, family.fps_name)
        call = {**family.call, **extra_arguments(pipeline, sampling.extra, taken)}
        height, width = sampling.size or family.size
        frames = sampling.frames or family.frames
        family.check_size((height, width))
        family.check_frames(frames)
        fps = family.fps if sampling.fps is None else sampling.fps
        self.name = Path(name).resolve().name
        self.format = Format(frames, height, width, played_rate(fps))
        guidance = family.guidance if sampling.guidance is None else sampling.guidance
        steps = sampling.steps or family.steps
        negative = _negative_prompt(sampling, family)
        self.settings = {
            "model": name, "class": type(pipeline).__name__, "weights": weights,
            "steps": steps, "guidance": guidance, "frames": frames, "size": [height, width],
            "fps": fps, "negative_prompt": negative,
            "extra": dict(sampling.extra), "call": dict(family.call), "dtype": sampling.dtype,
            "reads_prompt": family.reads, **({} if family.sees else {"sees_image": False}),
            **_changed_schedule(pipeline, family),
            **({} if "sigmas" in sampling.extra else _noise_levels(family, steps)),
            # Earlier versions said "" where none was given: by this the two are told apart.
            **({"empty_negative_prompt": True}
               if negative == "" and family.negative_name is None else {}),
        }  # fmt: skip
        self._pipeline, self._family = pipeline, family
        self._call = self._fixed(sampling) | call
        self._check_negative(sampling.negative_prompt)
        tokenizer = getattr(pipeline, "tokenizer", None) if family.reads else None
        self.text_limit = limit_of_class(type(pipeline), tokenizer, self._call)

    def sample(
        self, jobs: Sequence[Job], after_step: Callable[[], None] | None = None,
        *, one_image: bool = False,
    ) -> Iterator[Pixels | str]:  # fmt: skip
        """Sample the jobs one after the other; see `FrameModel`."""
        for job in jobs:
            try:
                yield self.sample_video(read_image(job.image), job.prompt, job.seed)
            except JOB_FAILURES as error:
                # Parts that were on the accelerator when it failed would stay there.
                self._pipeline.maybe_free_model_hooks()
                torch.cuda.empty_cache()
                yield one_line(error)

    def load_lora(self, place: Path) -> None:
        """Sample with a LoRA from now on; ValueError where it does not fit."""
        digest = load_lora(self._pipeline, place)
        self.settings = {**self.settings, "lora": f"sha256 {digest}"}

    def show_steps(self, shown: bool) -> None:
        """Whether a bar follows the steps of every video."""
        self._pipeline.set_progress_bar_config(disable=not shown, leave=False)

    def sample_video(self, image: Pixels, prompt: str, seed: int) -> Pixels:
        """Sample (F, H, W, 3) from an image of any size; ValueError if it is not as promised."""
        place = self._pipeline._execution_device
        noise = place if self._family.noise_on_device else "cpu"
        given: dict[str, Any] = {"prompt": prompt} if self._family.reads else {}
        if self._family.sees:
            fitted = resize_crop(image, self.format.height, self.format.width)
            given |= self._family.image_arguments(Image.fromarray(fitted), self.format.frames)
        with seeded(seed, place):
            made = self._pipeline(
                output_type="np", **given, **self._call, generator=noise_generator(seed, noise),
            )
        return as_frames(np.asarray(self._family.video_of(made)), self.format)

    def _fixed(self, sampling: Sampling) -> dict[str, Any]:
        """Return the arguments of the call that are the same for all jobs."""
        settings, family = self.settings, self._family
        fixed = {family.frames_name: family.asked(settings["frames"]),
                 **family.step_arguments(settings["steps"])}
        if family.takes_size:
            fixed |= dict(zip(("height", "width"), settings["size"], strict=True))
        if family.fps_name is not None:
            fps = settings["fps"]
            fixed[family.fps_name] = int(fps) if fps == int(fps) else fps
        if family.guidance_name is not None:
            fixed[family.guidance_name] = settings["guidance"]
        elif sampling.guidance is not None:
            self._pipeline.guider = self._pipeline.guider.new(guidance_scale=sampling.guidance)
        if settings["negative_prompt"] is not None:
            fixed["negative_prompt"] = settings["negative_prompt"]
        return fixed

    def _check_negative(self, negative: str | None) -> None:
        """ValueError for a negative prompt that would not count."""
        if not negative:
            return
        kind, family = self.settings["class"], self._family
        if not family.reads:
            raise ValueError(f"{kind} reads no prompt: negative_prompt should be left out")
        name = family.negative_name or "guidance"
        scale = self._call.get(name, self.settings["guidance"] if name == "guidance" else 1)
        if scale <= 1:
            raise ValueError(f"{name} should be above 1 for a negative_prompt to count, got "
                             f"{scale:g}")


def _negative_prompt(sampling: Sampling, family: Family) -> str | None:
    """Return the negative prompt of the call; None leaves it to the pipeline."""
    if not family.reads:
        return None
    if sampling.negative_prompt is None and family.negative_name is not None:
        return ""  # without one these pipelines use no guidance of this kind
    return sampling.negative_prompt


def _noise_levels(family: Family, steps: int) -> dict[str, list[float]]:
    """Return the setting of the family's own noise levels, if it has some for so many steps."""
    levels = family.step_arguments(steps).get("sigmas")
    return {} if levels is None else {"sigmas": levels}


def _changed_schedule(pipeline: Any, family: Family) -> dict[str, float]:
    """Give the scheduler the family's shift; return the setting where the folder has another."""
    shift = family.flow_shift
    if shift is None or shift == flow_shift(pipeline.scheduler.config):
        return {}
    set_flow_shift(pipeline, shift)
    return {"flow_shift": shift}


def as_frames(video: NDArray[Any], form: Format) -> Pixels:
    """Convert (F, H, W, 3) float in [0, 1] to uint8; ValueError for NaN and another format."""
    if video.ndim != 4 or video.shape[-1] != 3:
        raise ValueError(f"a video should be (F, H, W, 3), got {video.shape}")
    if len(video) != form.frames:
        raise ValueError(f"the video should be {form.frames} frames, got {len(video)}")
    if video.shape[1:3] != (form.height, form.width):
        raise ValueError(f"the video should be {form.height}x{form.width}, got "
                         f"{video.shape[1]}x{video.shape[2]}")
    pixels = np.empty(video.shape, np.uint8)
    for frame, output in zip(video, pixels, strict=True):  # a long video in float fills the memory
        if np.isnan(frame).any():
            raise ValueError("the video should hold numbers, got NaN; another dtype may help")
        output[:] = (frame * 255).round().clip(0, 255)
    return pixels
