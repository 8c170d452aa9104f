"""A diffusers image-to-video pipeline becomes a model of the benchmark, one video at a time.

F frames, H W pixels. What a pipeline returns is (F, H, W, 3) float in [0, 1].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from motifocal.generate.diffusers_call import (
    JOB_FAILURES,
    extra_arguments,
    played_rate,
    seeded,
)
from motifocal.generate.diffusers_families import family_of
from motifocal.generate.diffusers_load import load
from motifocal.generate.model import Format, Job, Sampling
from motifocal.generate.text_limit import limit_of_class
from motifocal.media.picture import Pixels, one_line, read_image, resize_crop
from motifocal.media.video import write_video
from motifocal.models.noise import noise_generator
from motifocal.models.text_limit import TextLimit


class DiffusersModel:
    """A loaded pipeline behind `motifocal.generate.model.Model`.

    What `sampling` leaves open is what the authors sample with (`diffusers_families`). The picture
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
        self.format: Format | None = Format(frames, height, width, played_rate(fps))
        guidance = family.guidance if sampling.guidance is None else sampling.guidance
        steps = sampling.steps or family.steps
        self.settings: Mapping[str, Any] = {
            "model": name, "class": type(pipeline).__name__, "weights": weights,
            "steps": steps, "guidance": guidance, "frames": frames, "size": [height, width],
            "fps": fps, "negative_prompt": sampling.negative_prompt or "",
            "extra": dict(sampling.extra), "call": dict(family.call), "dtype": sampling.dtype,
            "reads_sentence": family.reads,
        }  # fmt: skip
        self._pipeline, self._family = pipeline, family
        self._call = call | self._fixed(sampling)
        self._check_negative(sampling.negative_prompt)
        tokenizer = getattr(pipeline, "tokenizer", None) if family.reads else None
        self.text_limit: TextLimit | None = limit_of_class(type(pipeline), tokenizer, self._call)

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        """Write the videos of all jobs, one after the other; see `Model`."""
        return [self._attempt(job) for job in jobs]

    def show_steps(self, shown: bool) -> None:
        """Whether a bar follows the steps of every video."""
        self._pipeline.set_progress_bar_config(disable=not shown, leave=False)

    def sample(self, picture: Pixels, prompt: str, seed: int) -> Pixels:
        """One video (F, H, W, 3) of a picture of any size; ValueError if it is not as promised."""
        assert self.format is not None
        place = self._pipeline._execution_device
        noise = place if self._family.noise_on_device else "cpu"
        shown = resize_crop(picture, self.format.height, self.format.width)
        said = {"prompt": prompt} if self._family.reads else {}
        with seeded(seed, place):
            made = self._pipeline(
                image=Image.fromarray(shown), output_type="np", **said, **self._call,
                generator=noise_generator(seed, noise),
            )  # fmt: skip
        return as_frames(np.asarray(made.frames[0]), self.format)

    def _attempt(self, job: Job) -> str | None:
        assert self.format is not None
        try:
            frames = self.sample(read_image(job.picture), job.prompt, job.seed)
            write_video(job.output, frames, self.format.fps)
        except JOB_FAILURES as error:
            # Parts that were on the accelerator when it failed would stay there.
            self._pipeline.maybe_free_model_hooks()
            torch.cuda.empty_cache()
            return one_line(error)
        return None

    def _fixed(self, sampling: Sampling) -> dict[str, Any]:
        """The arguments of the call that are the same for all jobs."""
        settings, family = self.settings, self._family
        fixed = {"num_frames": settings["frames"] + family.dropped,
                 "num_inference_steps": settings["steps"]}
        if family.takes_size:
            fixed |= dict(zip(("height", "width"), settings["size"], strict=True))
        if family.fps_name is not None:
            fps = settings["fps"]
            fixed[family.fps_name] = int(fps) if fps == int(fps) else fps
        if family.guidance_name is not None:
            fixed[family.guidance_name] = settings["guidance"]
        elif sampling.guidance is not None:
            self._pipeline.guider = self._pipeline.guider.new(guidance_scale=sampling.guidance)
        if family.reads and (sampling.negative_prompt or family.negative_name is not None):
            fixed["negative_prompt"] = sampling.negative_prompt or ""
        return fixed

    def _check_negative(self, negative: str | None) -> None:
        """ValueError for a negative prompt that would not count."""
        if not negative:
            return
        kind, family = self.settings["class"], self._family
        if not family.reads:
            raise ValueError(f"{kind} reads no sentence: negative_prompt should be left out")
        name = family.negative_name or "guidance"
        scale = self._call.get(name, self.settings["guidance"] if name == "guidance" else 1)
        if scale <= 1:
            raise ValueError(f"{name} should be above 1 for a negative_prompt to count, got "
                             f"{scale:g}")


def as_frames(made: NDArray[Any], form: Format) -> Pixels:
    """(F, H, W, 3) float in [0, 1] becomes uint8; ValueError for NaN and for another format."""
    if made.ndim != 4 or made.shape[-1] != 3:
        raise ValueError(f"a video should be (F, H, W, 3), got {made.shape}")
    if len(made) != form.frames:
        raise ValueError(f"the video should be {form.frames} frames, got {len(made)}")
    if made.shape[1:3] != (form.height, form.width):
        raise ValueError(f"the video should be {form.height}x{form.width}, got "
                         f"{made.shape[1]}x{made.shape[2]}")
    pixels = np.empty(made.shape, np.uint8)
    for frame, into in zip(made, pixels, strict=True):  # a long video in float fills the memory
        if np.isnan(frame).any():
            raise ValueError("the video should hold numbers, got NaN; another dtype may help")
        into[:] = (frame * 255).round().clip(0, 255)
    return pixels
