"""How one family of image-to-video pipelines is sampled: its defaults, sizes, lengths, arguments.

Sizes are (height, width) in pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from motifocal.models.folder_files import named_distilled

if TYPE_CHECKING:
    from PIL.Image import Image

Size: TypeAlias = "tuple[int, int]"


def image_alone(image: Image, frames: int) -> dict[str, Any]:
    """Return the argument `image`, by which most pipelines take the image."""
    return {"image": image}


def number_of_steps(steps: int) -> dict[str, Any]:
    """Return the argument by which most pipelines take the number of steps."""
    return {"num_inference_steps": steps}


def same_number(frames: int) -> int:
    """Return the number of frames that most pipelines are asked for: as many as they make."""
    return frames


def first_video(output: Any) -> Any:
    """Return (F, H, W, 3) of what most pipelines return, a batch of videos."""
    return output.frames[0]


def distilled_by_name(pipeline: Any) -> bool:
    """Whether the name of what a pipeline was loaded from says that it is distilled."""
    place = pipeline.name_or_path
    return place is not None and named_distilled(Path(place))


@dataclass(frozen=True)
class Family:
    """How one family is sampled.

    `nearest` gives the valid size nearest to any. Lengths are `frame_step` k + 1 frames and at
    least `least_frames`. A family that makes a video in sections of `section_frames` makes whole
    ones, less the frames that would be too many for `frame_step` k + 1. `asked` gives the number
    that the call wants for a length.

    `guidance_name` is the argument of guidance, None where it is a part of the pipeline, and
    `fps_name` that of the rate, None where the network is not told. `call` holds other arguments
    that the authors sample with, and `flow_shift` replaces the shift of the scheduler, None where
    the folder's is right. `image_arguments` gives those for an image of the video's size,
    `step_arguments` those for a number of steps; `video_of` takes the video out of the output.

    `reads` is whether the prompt counts, `sees` whether the image does; a negative prompt counts
    where the argument `negative_name` (or guidance) is above 1.
    """

    size: Size
    frames: int
    fps: float
    steps: int
    guidance: float
    nearest: Callable[[Size], Size]
    frame_step: int = 1
    section_frames: int | None = None
    least_frames: int = 1
    asked: Callable[[int], int] = same_number
    frames_name: str = "num_frames"
    guidance_name: str | None = "guidance_scale"
    fps_name: str | None = None
    takes_size: bool = True
    reads: bool = True
    sees: bool = True
    negative_name: str | None = None
    noise_on_device: bool = False
    flow_shift: float | None = None
    call: Mapping[str, Any] = field(default_factory=dict)
    image_arguments: Callable[[Image, int], dict[str, Any]] = image_alone
    step_arguments: Callable[[int], dict[str, Any]] = number_of_steps
    video_of: Callable[[Any], Any] = first_video

    def check_frames(self, frames: int) -> None:
        """ValueError, with the nearest valid numbers, for a length the family cannot make."""
        if frames < self.least_frames:
            raise ValueError(f"frames should be at least {self.least_frames}, got {frames}")
        sections = 1
        while self._length(sections + 1) <= frames:
            sections += 1
        below = self._length(sections)
        if frames != below:
            rule = (f"{self.frame_step} k + 1" if self.section_frames in (None, self.frame_step)
                    else f"those of whole sections of {self.section_frames}")
            raise ValueError(f"frames should be {rule}, the nearest are {below} and "
                             f"{self._length(sections + 1)}, got {frames}")

    def _length(self, sections: int) -> int:
        """Count the frames of a video of so many sections; the last frame steps are whole."""
        frames = sections * (self.section_frames or self.frame_step)
        return (frames - 1) // self.frame_step * self.frame_step + 1

    def check_size(self, size: Size) -> None:
        """ValueError, with the nearest valid one, for a size the family cannot make."""
        nearest = self.nearest(size)
        if nearest != size:
            raise ValueError("size should be one that the model can make, the nearest is "
                             f"{nearest[0]}x{nearest[1]}, got {size[0]}x{size[1]}")


def multiples(divisor: int, most: Size | None = None) -> Callable[[Size], Size]:
    """Return the nearest size whose sides are multiples of `divisor`, and no larger than `most`."""
    height, width = most or (10**6, 10**6)

    def nearest(size: Size) -> Size:
        rounded = [max(1, round(side / divisor)) * divisor for side in size]
        return min(rounded[0], height), min(rounded[1], width)

    return nearest
