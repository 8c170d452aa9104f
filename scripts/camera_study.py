"""Pictures moved by known cameras, with an object before them, become a table of fits.

    .venv/bin/python scripts/camera_study.py

prints the table of docs/heatmap.md: how often each model of a camera is off by more than half a
pixel. The pictures are the real ones where MOTIFOCAL_SHARED names the folder of them, and first
images of synthetic scenes elsewhere.

H W pixels, P pairs of frames. A camera is (3, 3), pixels to pixels.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import click
import cv2
import numpy as np
from heatmap_study import markdown
from numpy.typing import NDArray

from motifocal.media.arrays import Frames
from motifocal.media.picture import Pixels, read_image, resize_crop
from motifocal.motion.camera import camera_flow, fit_camera, textured
from motifocal.motion.camera_models import AFFINE, HOMOGRAPHY, SIMILARITY, Model
from motifocal.motion.flow import estimate_flow
from motifocal.scenes.render import first_image
from motifocal.scenes.stage import SCENARIOS, make_stage

WHOLE, SIDE = 320, 240  # of the pictures, and of what the camera sees of them
OFF = 0.5  # pixels, the mean over the background
WAYS: dict[str, Sequence[Model]] = {
    "similarity": (SIMILARITY,),
    "affine": (AFFINE,),
    "homography": (HOMOGRAPHY,),
    "the simplest sufficient": (SIMILARITY, AFFINE, HOMOGRAPHY),
}
#: Largest shift in pixels, zoom, roll, shear, and change of scale from the centre to the side.
KINDS = {
    "static": (0.0, 0.0, 0.0, 0.0, 0.0),
    "similarity": (6.0, 0.03, 0.02, 0.0, 0.0),
    "affine": (6.0, 0.03, 0.02, 0.03, 0.0),
    "homography": (6.0, 0.03, 0.02, 0.03, 0.05),
}


def pictures() -> list[Pixels]:
    if "MOTIFOCAL_SHARED" in os.environ:
        folder = Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips" / "images"
        return [resize_crop(read_image(path), WHOLE, WHOLE) for path in sorted(folder.iterdir())]
    return [first_image(make_stage(name, "eval", 0), WHOLE) for name in sorted(SCENARIOS)]


def camera(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """A random one about the middle of the view."""
    shift, zoom, roll, shear, tilt = KINDS[kind]
    middle = (SIDE - 1) / 2
    to_middle = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1]])
    scale, turn = 1 + rng.uniform(-zoom, zoom), rng.uniform(-roll, roll)
    c, s = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[c, -s, rng.uniform(-shift, shift)], [s, c, rng.uniform(-shift, shift)],
                       [0, 0, 1]])  # fmt: skip
    bent = np.eye(3)
    bent[0, :2] += rng.uniform(-shear, shear, 2)
    bent[1, 0] += rng.uniform(-shear, shear)
    matrix = matrix @ bent
    matrix[2, :2] = rng.uniform(-tilt, tilt, 2) / (SIDE / 2)
    return np.linalg.inv(to_middle) @ matrix @ to_middle


def pairs(
    kind: str, share: float, found: Sequence[Pixels], rounds: int, seed: int
) -> Iterator[tuple[Frames, NDArray[np.float64], NDArray[np.bool_]]]:
    """Two frames, the camera between them, and what is background; an object covers a share."""
    rng = np.random.default_rng(seed)
    margin = (WHOLE - SIDE) / 2
    view = np.array([[1, 0, -margin], [0, 1, -margin], [0, 0, 1]])
    for number, picture in enumerate(list(found) * rounds):
        truth = camera(kind, rng)
        frames = np.array([
            cv2.warpPerspective(picture, step @ view, (SIDE, SIDE), flags=cv2.INTER_CUBIC)
            for step in (np.eye(3), truth)
        ], np.uint8)  # fmt: skip
        background = np.ones((SIDE, SIDE), np.bool_)
        side = int(SIDE * share**0.5)
        if side:
            thing = resize_crop(found[(7 * number + 3) % len(found)], side, side)
            at = rng.integers(8, SIDE - side - 8, 2)
            for frame, (y, x) in zip(frames, (at, at + rng.integers(-6, 7, 2)), strict=True):
                frame[y : y + side, x : x + side] = thing
            background[at[0] : at[0] + side, at[1] : at[1] + side] = False
        yield frames, truth, background


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=2, show_default=True,
              help="Cameras for each picture.")
@click.option("--object", "share", type=click.FloatRange(0, 0.8), default=1 / 3,
              help="Share of the picture that it covers.  [default: a third]")
@click.option("--seed", default=0, show_default=True, help="Of cameras and objects.")
def main(rounds: int, share: float, seed: int) -> None:  # fmt: skip
    """Print how often each model of a camera is off by more than half a pixel."""
    cv2.setNumThreads(1)
    found, rows = pictures(), []
    for kind, covered in product(KINDS, (0.0, share)):
        off: dict[str, list[bool]] = defaultdict(list)
        for frames, truth, background in pairs(kind, covered, found, rounds, seed):
            flow, valid = estimate_flow(frames, workers=1), textured(frames)
            true = camera_flow(truth[None], SIDE, SIDE)
            for name, models in WAYS.items():
                wrong = camera_flow(fit_camera(flow, valid, models), SIDE, SIDE) - true
                off[name].append(np.hypot(*wrong[0])[background].mean() > OFF)
        label = f"{kind}, {'an object before it' if covered else 'alone'}"
        rows.append([label, *(f"{np.mean(off[name]):.1%}" for name in WAYS)])
    print(f"{len(found)} pictures, {rounds} cameras each, off by more than {OFF} pixels\n")
    print(markdown(["the camera", *WAYS], rows))


if __name__ == "__main__":
    main()
