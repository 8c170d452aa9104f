"""Base class of the models that sample in this process: frames first, then files.

F frames, H W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from motifocal.generate.model import Format, Job
from motifocal.media.picture import Pixels, one_line
from motifocal.media.video import write_video
from motifocal.models.text_limit import TextLimit

#: What spoils one video and not the next: an image that cannot be read, values that are no
#: numbers, and memory that does not suffice (torch's OutOfMemoryError is a RuntimeError).
JOB_FAILURES = (ValueError, RuntimeError)


class FrameModel(ABC):
    """A `motifocal.generate.model.Model` whose videos can be had as frames.

    `crf` is the quality of the files that `animate` writes (see `write_video`), `samples_batches`
    whether all jobs of a call are sampled together, step by step, and `notes` what is to be said of
    the settings, one line each.
    """

    name: str
    settings: Mapping[str, Any]
    format: Format
    text_limit: TextLimit | None
    crf: int = 18
    samples_batches: bool = False
    notes: Sequence[str] = ()

    @abstractmethod
    def sample(
        self, jobs: Sequence[Job], after_step: Callable[[], None] | None = None,
        *, one_image: bool = False,
    ) -> Iterator[Pixels | str]:  # fmt: skip
        """Yield the frames (F, H, W, 3) uint8 of every job, or in one line why there are none.

        `after_step` is called after each denoising step where `samples_batches`. `one_image` says
        that all jobs have the same image, which may then be encoded once.
        """

    def domain_notes(self, image: Pixels, prompts: Sequence[str]) -> list[str]:
        """Return one line for each thing in the request that the model was not trained on."""
        return []

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        """Write the videos of all jobs; see `Model`."""
        return [frames if isinstance(frames, str) else self._write(job, frames)
                for job, frames in zip(jobs, self.sample(jobs), strict=True)]

    def _write(self, job: Job, frames: Pixels) -> str | None:
        try:
            write_video(job.output, frames, self.format.fps, self.crf)
        except JOB_FAILURES as error:
            return one_line(error)
        return None
