"""Paint the visible background in each frame, static or moved by wind.

Letters: S supersampled pixels along each side of the image, h w cells of a coarse grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.media.arrays import Image
from motifocal.scenes.drawing.backgrounds import background
from motifocal.scenes.drawing.photographic import photographic_background, surface_light
from motifocal.scenes.drawing.residue import Field, sway
from motifocal.scenes.world import Stage

Matrix = npt.NDArray[np.float64]

MARGIN = 0.3  # background beyond each side of the image, for moving cameras
GRID = 32  # cells of a displacement field along each side of the image
LEAST_SWAY = 0.05  # pixels from one frame to the next from which on a place counts as moving


@dataclass(frozen=True)
class Backdrop:
    """The background of a stage, drawn `side` supersampled pixels wide with its margin.

    `amplitude` is that of its own motion in image widths; `rests` tells that neither it nor the
    camera ever moves.
    """

    stage: Stage
    side: int
    amplitude: float
    rests: bool

    @property
    def living(self) -> bool:
        """Whether wind and a hand may move it."""
        return self.stage.variant.background != "still"

    @property
    def photographic(self) -> bool:
        """Whether it and what stands before it are to look like a photograph."""
        return self.stage.variant.difficulty == "hard"

    def seen(self, view: Matrix, frame: int) -> Image:
        """What is seen through `view` (3, 3), world to image units, in this frame: (S, S, 3).

        The result is the caller's own to paint on.
        """
        if self.rests:
            margin = round(self.side * MARGIN)
            inside = slice(margin, margin + self.side)
            return self._wide[inside, inside].copy()
        if not self.living:
            offset = np.array([[1, 0, -MARGIN], [0, 1, -MARGIN], [0, 0, 1.0]])
            place = (view @ offset)[:2].copy()
            place[:, 2] *= self.side
            seen = cv2.warpAffine(self._wide, place, (self.side, self.side),
                                  borderMode=cv2.BORDER_REFLECT)
            return np.asarray(seen, np.uint8)
        from_x, from_y = self._places(view)
        displaced = self._displaced(view, frame)
        if displaced is not None:
            fine = cv2.resize(displaced * np.float32(self._scale), (self.side, self.side))
            from_x += fine[..., 0]
            from_y += fine[..., 1]
        seen = cv2.remap(self._half, from_x, from_y, cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REFLECT)
        return np.asarray(seen, np.uint8)

    def surface(self, view: Matrix) -> Field:
        """Factors (S, S) that make what is drawn flat and never moves look rough and lit."""
        canvas = _lit(self.stage.background_seed, len(self._half))
        seen = cv2.remap(canvas, *self._places(view), cv2.INTER_LINEAR,
                         borderMode=cv2.BORDER_REFLECT)
        return np.asarray(seen, np.float32)

    @property
    def _scale(self) -> float:
        """Pixels of the half canvas for one image width."""
        return len(self._half) / (1 + 2 * MARGIN)

    def _places(self, view: Matrix) -> tuple[Field, Field]:
        """Where in the half canvas each pixel of the image lies, columns and rows, (S, S)."""
        x, y = (self._scale * (axis + MARGIN) - 0.5 for axis in _world(view, self.side))
        return (np.repeat(x.astype(np.float32)[None], self.side, axis=0),
                np.repeat(y.astype(np.float32)[:, None], self.side, axis=1))

    def moving(self, view: Matrix, frame: int, size: int) -> npt.NDArray[np.bool_]:
        """Where the background itself moves from this frame to the next, (size, size)."""
        before, after = self._displaced(view, frame), self._displaced(view, frame + 1)
        if before is None or after is None:
            return np.zeros((size, size), np.bool_)
        step = np.linalg.norm(after - before, axis=-1) * size
        return np.asarray(cv2.resize(step, (size, size)) > LEAST_SWAY)

    def _displaced(self, view: Matrix, frame: int) -> Field | None:
        x, y = _world(view, GRID)
        stage = self.stage
        return sway(stage.background_seed, stage.background, frame, x, y, self.amplitude)

    @cached_property
    def _half(self) -> Image:
        """The background with its margin, at half the supersampled size.

        Backgrounds have no edges that would show the difference.
        """
        whole = self.side + 2 * round(self.side * MARGIN)
        stage = self.stage
        return _drawn(stage.background, stage.background_seed, whole // 2, self.photographic)

    @cached_property
    def _wide(self) -> Image:
        whole = self.side + 2 * round(self.side * MARGIN)
        wide = cv2.resize(self._half, (whole, whole), interpolation=cv2.INTER_LINEAR)
        return np.asarray(wide, np.uint8)


def _world(view: Matrix, cells: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """World coordinates of `cells` columns and rows of the image; views only shift and zoom."""
    centre = (np.arange(cells) + 0.5) / cells
    return (centre - view[0, 2]) / view[0, 0], (centre - view[1, 2]) / view[1, 1]


@lru_cache(maxsize=8)
def _drawn(name: str, seed: int, size: int, photographic: bool) -> Image:
    return (photographic_background if photographic else background)(name, seed, size)


@lru_cache(maxsize=8)
def _lit(seed: int, size: int) -> Field:
    return surface_light(seed, size)
