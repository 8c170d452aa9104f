"""Sample with a Motifocal model folder: batches of jobs in, frames or video files out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from motifocal.generate.diffusers_call import extra_arguments, played_rate
from motifocal.generate.diffusers_load import DTYPES, check_device, place
from motifocal.generate.domain import domain_notes, read_domain
from motifocal.generate.frame_model import JOB_FAILURES, FrameModel
from motifocal.generate.model import Format, Job, Sampling
from motifocal.media.codec import FINE_CRF
from motifocal.media.picture import Pixels, one_line, read_image, resize_crop
from motifocal.models.noise import noise_generator
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.pipeline_parts import check_clip, check_priors
from motifocal.models.schedule import late_start


class MotifocalModel(FrameModel):
    """`TI2VPipeline` behind `motifocal.generate.model.Model`; all jobs of a call are one batch.

    Video `seed` is the one of `motifocal animate --seed`, up to the rounding of a batch. Raises
    ValueError for a folder that is none, and for what the pipeline cannot make.
    """

    crf, samples_batches = FINE_CRF, True

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
        check_priors(pipeline.unet.unet_config, extra.get("motion"), extra.get("motion_mask"))
        place(pipeline, sampling)
        self.name = Path(name).resolve().name
        self.format = Format(frames, height, width, played_rate(fps))
        steps = sampling.steps or own.sample_steps
        guidance = own.sample_guidance if sampling.guidance is None else sampling.guidance
        if sampling.negative_prompt and guidance == 1:
            raise ValueError("guidance should not be 1 for a negative_prompt to count")
        self.settings = {
            "model": name, "class": type(pipeline).__name__, "weights": weights,
            "steps": steps, "guidance": guidance, "frames": frames, "size": [height, width],
            "fps": fps, "negative_prompt": sampling.negative_prompt or "",
            "extra": dict(sampling.extra), "dtype": sampling.dtype,
        }  # fmt: skip
        self.notes = [*filter(None, [late_start(pipeline.scheduler, steps)])]
        self.text_limit = pipeline.text_limit
        self.pipeline, self._folder = pipeline, folder
        self._call = {
            "height": height, "width": width, "num_frames": frames, "fps": fps,
            "num_inference_steps": steps, "guidance_scale": guidance, **extra,
        }  # fmt: skip

    def sample(
        self, jobs: Sequence[Job], after_step: Callable[[], None] | None = None,
        *, one_image: bool = False,
    ) -> Iterator[Pixels | str]:  # fmt: skip
        """Sample all jobs in one batch, or each alone where that fails; see `FrameModel`."""
        pictures = [self._fitted(job.image) for job in jobs]
        able = {index: picture for index, picture in enumerate(pictures)
                if not isinstance(picture, str)}
        videos: Iterator[Pixels | str] = iter(())
        if able:
            able_jobs = [jobs[index] for index in able]
            videos = self._sampled(list(able.values()), able_jobs, after_step, one_image)
        for picture in pictures:
            yield picture if isinstance(picture, str) else next(videos)

    def _sampled(
        self, images: list[Pixels], jobs: Sequence[Job], after_step: Callable[[], None] | None,
        one_image: bool,
    ) -> Iterator[Pixels | str]:  # fmt: skip
        """Yield the video of every job, or why there is none.

        A batch that fails is sampled one by one: a video of NaN spoils no other, and a batch may
        need more memory than there is. Steps of the second attempt are not told.
        """
        try:
            videos = self._sample_batch(images[: 1 if one_image else None], jobs, after_step)
        except JOB_FAILURES as error:
            reason = one_line(error)
        else:
            yield from videos
            return
        # The error is gone here, and what it held; parts that were on the accelerator would stay.
        self.pipeline.maybe_free_model_hooks()
        torch.cuda.empty_cache()
        if len(jobs) == 1:
            yield reason
            return
        for image, job in zip(images, jobs, strict=True):
            yield from self._sampled([image], [job], None, one_image)

    def domain_notes(self, image: Pixels, prompts: Sequence[str]) -> list[str]:
        """Compare a request with what the model folder says that it was trained on."""
        domain = read_domain(self._folder)
        if domain is None:
            return []
        size = self._call["height"], self._call["width"]
        return domain_notes(domain, self.pipeline.vae, resize_crop(image, *size), prompts)

    def _fitted(self, path: Path) -> Pixels | str:
        """Read an image as the network sees it, (H, W, 3), or say why it cannot be read."""
        try:
            return resize_crop(read_image(path), self._call["height"], self._call["width"])
        except JOB_FAILURES as error:
            return one_line(error)

    def _sample_batch(
        self, images: list[Pixels], jobs: Sequence[Job], after_step: Callable[[], None] | None
    ) -> Pixels:
        """Sample `(B, F, H, W, 3)` uint8, one video a job, each with noise of its own."""

        def notify(*step: Any) -> None:
            if after_step is not None:
                after_step()

        given = {name: [getattr(job, name) for job in jobs] for name in ("motion", "motion_mask")}
        priors = {name: values for name, values in given.items() if None not in values}
        frames: Pixels = self.pipeline(
            images, [job.prompt for job in jobs], output_type="uint8",
            negative_prompt=self.settings["negative_prompt"],
            generator=[noise_generator(job.seed) for job in jobs],
            callback_on_step_end=notify, **(self._call | priors),
        ).frames  # fmt: skip
        return frames
