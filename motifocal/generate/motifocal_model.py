"""A Motifocal folder becomes a model of the benchmark: batches of jobs in, video files out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from motifocal.generate.diffusers_call import JOB_FAILURES, extra_arguments, played_rate
from motifocal.generate.diffusers_load import DTYPES, check_device, place
from motifocal.generate.model import Format, Job, Sampling
from motifocal.media.codec import FINE_CRF
from motifocal.media.picture import Pixels, one_line, read_image, resize_crop
from motifocal.media.video import write_video
from motifocal.models.noise import noise_generator
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.pipeline_parts import check_clip
from motifocal.models.text_limit import TextLimit


class MotifocalModel:
    """`TI2VPipeline` behind `motifocal.generate.model.Model`; all jobs of a call are one batch.

    Video `seed` is the one of `motifocal animate --seed`, up to the rounding of a batch. Raises
    ValueError for a folder that is none, and for what the pipeline cannot make.
    """

    def __init__(self, name: str, folder: Path, sampling: Sampling, weights: str) -> None:
        check_device(sampling)
        pipeline = TI2VPipeline.from_pretrained(folder, torch_dtype=DTYPES[sampling.dtype])
        pipeline.set_progress_bar_config(disable=True)
        extra = extra_arguments(pipeline, sampling.extra, ("fps", "guidance_scale"))
        own: Any = pipeline.config
        height, width = sampling.size or pipeline.sample_size
        frames = sampling.frames or own.sample_frames
        # What the network is told is the rate asked for, not the fraction that the file holds.
        fps = own.sample_fps if sampling.fps is None else sampling.fps
        check_clip((height, width), pipeline.divisor, frames, fps, 1, "uint8")
        place(pipeline, sampling)
        self.name = Path(name).resolve().name
        self.format: Format | None = Format(frames, height, width, played_rate(fps))
        steps = sampling.steps or own.sample_steps
        guidance = own.sample_guidance if sampling.guidance is None else sampling.guidance
        if sampling.negative_prompt and guidance == 1:
            raise ValueError("guidance should not be 1 for a negative_prompt to count")
        self.settings: Mapping[str, Any] = {
            "model": name, "class": type(pipeline).__name__, "weights": weights,
            "steps": steps, "guidance": guidance, "frames": frames, "size": [height, width],
            "fps": fps, "negative_prompt": sampling.negative_prompt or "",
            "extra": dict(sampling.extra), "dtype": sampling.dtype,
        }  # fmt: skip
        self.text_limit: TextLimit | None = pipeline.text_limit
        self._pipeline = pipeline
        self._call = {
            "height": height, "width": width, "num_frames": frames, "fps": fps,
            "num_inference_steps": steps, "guidance_scale": guidance, **extra,
        }  # fmt: skip

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        """Write the videos of all jobs; see `Model`."""
        reasons: list[str | None] = [None] * len(jobs)
        pictures: dict[int, Pixels] = {}
        for index, job in enumerate(jobs):
            try:
                pictures[index] = self._fitted(job.picture)
            except JOB_FAILURES as error:
                reasons[index] = one_line(error)
        if not pictures:
            return reasons
        able = [jobs[index] for index in pictures]
        try:
            videos = self._sample(list(pictures.values()), able)
        except JOB_FAILURES as error:
            torch.cuda.empty_cache()
            return [reason or one_line(error) for reason in reasons]
        for index, video in zip(pictures, videos, strict=True):
            try:
                write_video(jobs[index].output, video, self._rate, FINE_CRF)
            except JOB_FAILURES as error:
                reasons[index] = one_line(error)
        return reasons

    @property
    def _rate(self) -> float:
        assert self.format is not None
        return self.format.fps

    def _fitted(self, path: Path) -> Pixels:
        assert self.format is not None
        return resize_crop(read_image(path), self.format.height, self.format.width)

    def _sample(self, pictures: list[Pixels], jobs: Sequence[Job]) -> Pixels:
        """`(B, F, H, W, 3)` uint8, one video a job, each with noise of its own."""
        negative = self.settings["negative_prompt"]
        made = self._pipeline(
            pictures, [job.prompt for job in jobs], negative_prompt=negative,
            generator=[noise_generator(job.seed) for job in jobs], output_type="uint8",
            **self._call,
        )  # fmt: skip
        frames: Pixels = made.frames
        return frames
