"""The interface of image-to-video models: jobs in, video files out.

An adapter is a class with these members; `open_model` (open.py) picks one. Failures belong to
single jobs, so that one bad image does not end a run of hundreds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from motifocal.media.arrays import Frames
    from motifocal.models.text_limit import TextLimit


@dataclass(frozen=True)
class Job:
    """One video to make: the file of the image, the prompt, a seed, and the .mp4 to write.

    A model that was trained with motion priors may be told how much moves, in [0, 1], and by an
    image where: then all jobs of a call say so.
    """

    image: Path
    prompt: str
    seed: int
    output: Path
    motion: float | None = None
    motion_mask: Path | None = None


@dataclass(frozen=True)
class Format:
    """The format of a video: frames, pixels, frames per second."""

    frames: int
    height: int
    width: int
    fps: float

    @classmethod
    def of(cls, frames: Frames, fps: float) -> Format:
        """Return the format of (F, H, W, 3) frames."""
        count, height, width, _ = frames.shape
        return cls(count, height, width, fps)

    def __str__(self) -> str:
        return f"{self.frames} frames of {self.height}x{self.width} at {self.fps:g}/s"


@dataclass(frozen=True)
class Sampling:
    """How a model should sample; None leaves a choice to what the model is made for.

    `size` is (height, width) in pixels, `offload` one of OFFLOADS, `extra` what else goes into the
    call of a diffusers pipeline.
    """

    steps: int | None = None
    guidance: float | None = None
    frames: int | None = None
    size: tuple[int, int] | None = None
    fps: float | None = None
    negative_prompt: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    offload: str = "none"
    extra: Mapping[str, Any] = field(default_factory=dict)


OFFLOADS = ("none", "model", "sequential")


@dataclass(frozen=True)
class ModelInfo:
    """What `Model` says of itself, without its weights."""

    name: str
    settings: Mapping[str, Any]
    format: Format | None
    text_limit: TextLimit | None

    @classmethod
    def of(cls, model: Model) -> ModelInfo:
        """Return the information on a model that is loaded."""
        return cls(model.name, model.settings, model.format, model.text_limit)


class Model(Protocol):
    """Something that animates images.

    `name` stands in tables and file names. `settings` are JSON values that, with the job, decide
    the video: they are compared when a run is resumed. `format` is that of its videos, where
    that is known beforehand. `text_limit` is how much of a prompt it reads, None where that is not
    known or all of it is.
    """

    name: str
    settings: Mapping[str, Any]
    text_limit: TextLimit | None

    @property
    def format(self) -> Format | None: ...

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        """Write the video of every job to its `output` (its folder exists, the file does not).

        Returns for each job None, or why there is no video, in one line. What concerns all jobs
        is raised instead. The same jobs give the same files.
        """
        ...
