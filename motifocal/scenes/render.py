"""A stage and one of its sentences become frames with exact masks and exact optical flow.

Letters: F frames, H W pixels, S supersampling. The picture is square and 1 world unit wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.scenes.backgrounds import background
from motifocal.scenes.draw import paint
from motifocal.scenes.world import Action, Actor, Stage, State

Camera = Literal["static", "left", "right", "up", "down", "in", "out"]
Matrix = npt.NDArray[np.float64]

FRAMES = 16
FPS = 8.0
MARGIN = 0.3  # background beyond each side of the picture, for moving cameras
TRAVEL = 0.22  # how far a moving camera travels over the clip, in picture widths
ZOOM = 1.25
CAMERA_WORDS: dict[Camera, str] = {
    "static": "",
    "left": ", the camera pans left",
    "right": ", the camera pans right",
    "up": ", the camera tilts up",
    "down": ", the camera tilts down",
    "in": ", the camera zooms in",
    "out": ", the camera zooms out",
}


@dataclass(frozen=True)
class SceneClip:
    """A rendered clip and everything that is known about it.

    frames (F, H, W, 3) uint8; mask (F, H, W) bool, the pixels of what moves in each frame (camera
    motion does not count); flow (F-1, 2, H, W) float32, pixels from frame f to f+1 as (x, y);
    flow_valid (F-1, H, W) bool, where that flow is defined (not where an object changes its look);
    objects (F, H, W) bool, the pixels of all objects, moving or not: what a segmenter would find.
    """

    frames: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    flow: npt.NDArray[np.float32] | None
    flow_valid: npt.NDArray[np.bool_] | None
    objects: npt.NDArray[np.bool_]
    caption: str
    scenario: str
    fps: float


@dataclass(frozen=True)
class _Layer:
    """One frame's paint: supersampled colours and the number of the object that owns each pixel."""

    colours: npt.NDArray[np.uint8]
    owner: npt.NDArray[np.uint8]


def render(
    stage: Stage,
    action: Action | None,
    *,
    size: int = 64,
    frames: int = FRAMES,
    fps: float = FPS,
    camera: Camera = "static",
    supersample: int | None = None,
    with_flow: bool = False,
) -> SceneClip:
    """Draw the clip that `action` makes of `stage`; no action gives the still picture.

    `size` is the side in pixels, `fps` only labels the clip: the motion always fills it. The first
    frame is the same for every action. Raises ValueError for a size under 16 or under 2 frames.
    """
    if size < 16 or frames < 2:
        raise ValueError(
            f"size should be at least 16 and frames at least 2, got {size} and {frames}"
        )
    s = supersample or (4 if size <= 96 else 2)
    views = [_view(camera, f / (frames - 1)) for f in range(frames)]
    states = [_states(stage, action, f / (frames - 1)) for f in range(frames)]
    canvas = _canvas(stage, size * s, camera)
    layers = [
        _paint(stage.actors, state, view, canvas, size * s, camera)
        for state, view in zip(states, views, strict=True)
    ]
    small = [cv2.resize(la.colours, (size, size), interpolation=cv2.INTER_AREA) for la in layers]
    pictures = np.stack(small).astype(np.uint8)
    names = list(stage.actors)
    mask = np.stack([_moving(layers[f].owner, names, states, f, size) for f in range(frames)])
    objects = np.stack([_half_covered((layer.owner > 0).astype(np.float32), size)
                        for layer in layers])
    flow, valid = (None, None)
    if with_flow:
        flow, valid = _flow(layers, names, states, views, size)
    text = (action.sentence if action else "nothing moves") + CAMERA_WORDS[camera]
    return SceneClip(pictures, mask, flow, valid, objects, text, stage.scenario, fps)


def first_picture(stage: Stage, size: int = 64) -> npt.NDArray[np.uint8]:
    """The picture that every sentence of this stage starts from, (size, size, 3) uint8."""
    return render(stage, None, size=size, frames=2).frames[0]


def _view(camera: Camera, u: float) -> Matrix:
    """(3, 3) from world units to picture units at time u; the identity at u = 0."""
    step = TRAVEL * u
    moves = {"left": (step, 0.0), "right": (-step, 0.0), "up": (0.0, step), "down": (0.0, -step)}
    if camera in moves:
        dx, dy = moves[camera]
        return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]])
    zoom = {"in": ZOOM**u, "out": ZOOM**-u}.get(camera, 1.0)
    shift = 0.5 * (1 - zoom)
    return np.array([[zoom, 0, shift], [0, zoom, shift], [0, 0, 1.0]])


def _states(stage: Stage, action: Action | None, u: float) -> dict[str, State]:
    moves = action.moves if action else {}
    return {
        name: moves[name](actor.state, u) if name in moves else actor.state
        for name, actor in stage.actors.items()
    }


@lru_cache(maxsize=8)
def _background(name: str, seed: int, size: int) -> npt.NDArray[np.uint8]:
    return background(name, seed, size)


def _canvas(stage: Stage, side: int, camera: Camera) -> npt.NDArray[np.uint8]:
    """The background with its margin; a static camera gets just the part it sees."""
    margin = round(side * MARGIN)
    whole = side + 2 * margin
    # At half the supersampled size: backgrounds have no edges that would show the difference.
    half = _background(stage.background, stage.background_seed, whole // 2)
    wide = np.asarray(cv2.resize(half, (whole, whole), interpolation=cv2.INTER_LINEAR), np.uint8)
    return wide[margin : margin + side, margin : margin + side] if camera == "static" else wide


def _paint(
    actors: dict[str, Actor],
    states: dict[str, State],
    view: Matrix,
    canvas: npt.NDArray[np.uint8],
    side: int,
    camera: Camera,
) -> _Layer:
    if camera == "static":
        colours = canvas.copy()
    else:
        offset = np.array([[1, 0, -MARGIN], [0, 1, -MARGIN], [0, 0, 1.0]])
        place = (view @ offset)[:2].copy()
        place[:, 2] *= side
        seen = cv2.warpAffine(canvas, place, (side, side), borderMode=cv2.BORDER_REFLECT)
        colours = np.asarray(seen, np.uint8)
    owner = np.zeros((side, side), np.uint8)
    for number, (name, actor) in enumerate(actors.items(), start=1):
        state = states[name]
        matrix = (view @ state.matrix())[:2] * side
        for fill in actor.fills:
            colour, alpha = fill.at(state.look)
            corners = fill.points @ matrix[:, :2].T + matrix[:, 2]
            paint(colours, owner, corners - 0.5, colour, alpha, number if fill.solid else 0)
    return _Layer(colours, owner)


def _moving(
    owner: npt.NDArray[np.uint8],
    names: list[str],
    states: list[dict[str, State]],
    f: int,
    size: int,
) -> npt.NDArray[np.bool_]:
    """Pixels of the objects whose state changes from frame f to the next (last: from before)."""
    a, b = (f, f + 1) if f + 1 < len(states) else (f - 1, f)
    moving = np.zeros(len(names) + 1, np.float32)
    for number, name in enumerate(names, start=1):
        moving[number] = states[a][name] != states[b][name]
    return _half_covered(moving[owner], size)


def _half_covered(part: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.bool_]:
    """The pixels of a picture `size` wide of which at least half is in the part."""
    return np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA) >= 0.5)


def _flow(
    layers: list[_Layer],
    names: list[str],
    states: list[dict[str, State]],
    views: list[Matrix],
    size: int,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """True flow between consecutive frames, each pixel following the object at its centre."""
    s = layers[0].owner.shape[0] // size
    centre = (np.arange(size) + 0.5) / size
    grid = np.stack([*np.meshgrid(centre, centre), np.ones((size, size))])
    flow = np.zeros((len(layers) - 1, 2, size, size), np.float32)
    valid = np.ones((len(layers) - 1, size, size), bool)
    for f in range(len(layers) - 1):
        owner = layers[f].owner[s // 2 :: s, s // 2 :: s]
        for number in np.unique(owner):
            here = owner == number
            step = views[f + 1] @ np.linalg.inv(views[f])
            if number:
                a, b = states[f][names[number - 1]], states[f + 1][names[number - 1]]
                # An object seen edge-on, halfway through turning around, has no inverse.
                edge_on = abs(a.sx * a.sy) < 1e-9
                valid[f, here] = a.look == b.look and not edge_on
                if not edge_on:
                    step = views[f + 1] @ b.matrix() @ np.linalg.inv(views[f] @ a.matrix())
            moved = np.einsum("ij,jn->in", step, grid[:, here])[:2]
            flow[f][:, here] = (moved - grid[:2, here]) * size
    return flow, valid
