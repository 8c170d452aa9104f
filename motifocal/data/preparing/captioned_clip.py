"""A clip with its caption, as a source yields it, and its heatmap and motion score.

F frames, H W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from motifocal.data.resizing import cropped
from motifocal.files.remote import fetched
from motifocal.motion.heatmap import (
    DEFAULT_SETTINGS,
    Heatmap,
    HeatmapSettings,
    clip_flow,
    flow_heatmap,
)
from motifocal.motion.score import motion_score
from motifocal.motion.settings import VECTORS
from motifocal.motion.vectors import read_vector_motion


@dataclass(frozen=True)
class CaptionedClip:
    """What a source gives for one index: frames (F, H, W, 3) uint8, a caption, frames a second.

    `mask` (F, H, W), bool or a weight in [0, 1], takes the place of the motion heatmap. `video` is
    the file that they are of and their indices there, scaled to cover H x W and cropped.
    """

    frames: npt.NDArray[np.uint8]
    caption: str
    fps: float
    mask: npt.NDArray[np.bool_] | Heatmap | None = None
    video: tuple[Path, range] | None = None

    def part(self, frames: slice) -> CaptionedClip:
        """Return the clip of some of its frames; a mask is left as it is."""
        video = self.video and (self.video[0], self.video[1][frames])
        return replace(self, frames=np.ascontiguousarray(self.frames[frames]), video=video)

    def heatmap(
        self, settings: HeatmapSettings, device: str | None = None
    ) -> Heatmap:
        """Return the map (F, H, W) that weights the loss: the source's mask, or one from flow."""
        return self.motion(settings, False, device)[0]

    def motion(
        self, settings: HeatmapSettings, score: bool, device: str | None = None
    ) -> tuple[Heatmap, float | None]:
        """Return the heatmap and, where asked for, the motion score, of the same flow."""
        if self.mask is not None and not score:
            return self.mask.astype(np.float32), None
        if settings.source == VECTORS and self.video is not None:
            path, taken = self.video
            crop = cropped(*self.frames.shape[1:3])
            with fetched(path) as local:
                moved = read_vector_motion(local, indices=taken, crop=crop,
                                           grey=not settings.sees_colour)  # fmt: skip
            flow, made = moved.flow, partial(moved.heatmap, settings)
        else:
            flow = clip_flow(self.frames, settings, workers=1, device=device)
            made = partial(flow_heatmap, self.frames, flow, settings)
        heatmap = made() if self.mask is None else self.mask.astype(np.float32)
        return heatmap, motion_score(flow) if score else None


def score_of(frames: npt.NDArray[np.uint8]) -> float:
    """Return the motion score of frames (F, H, W, 3) by the flow that heatmaps are made of."""
    return motion_score(clip_flow(frames, DEFAULT_SETTINGS, workers=1, device="cpu"))
