"""Render a stage and one of its prompts: frames with exact masks and exact optical flow.

Letters: F frames, H W pixels, S supersampling. The image is square and 1 world unit wide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from motifocal.scenes.drawing.backdrop import Backdrop
from motifocal.scenes.drawing.draw import paint
from motifocal.scenes.drawing.passers import Passer, passers
from motifocal.scenes.drawing.residue import LEVELS, REST, Level, shake
from motifocal.scenes.drawing.sensor import record
from motifocal.scenes.world import Action, Actor, Stage, State

Camera = Literal["static", "left", "right", "up", "down", "in", "out"]
Matrix = npt.NDArray[np.float64]

FRAMES = 16
FPS = 8.0
TRAVEL = 0.22  # how far a moving camera travels over the clip, in image widths
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

    frames (F, H, W, 3) uint8; mask (F, H, W) bool, the pixels of what the prompt moves in each
    frame (camera motion does not count); flow (F-1, 2, H, W) float32, pixels from frame f to f+1
    as (x, y), shake included; flow_valid (F-1, H, W) bool, where that flow is defined (not where
    an object changes its look, nor on background that sways); objects (F, H, W) bool, the pixels
    of all objects, moving or not, unnamed movers too: what a segmenter would find; residue
    (F, H, W) bool, the pixels that move though the prompt does not say so, never those of `mask`.
    """

    frames: npt.NDArray[np.uint8]
    mask: npt.NDArray[np.bool_]
    flow: npt.NDArray[np.float32] | None
    flow_valid: npt.NDArray[np.bool_] | None
    objects: npt.NDArray[np.bool_]
    residue: npt.NDArray[np.bool_]
    caption: str
    scenario: str
    fps: float


@dataclass(frozen=True)
class _Layer:
    """One frame's paint: supersampled colours and the number of the object that owns each pixel."""

    colours: npt.NDArray[np.uint8]
    owner: npt.NDArray[np.uint8]


def render(
    stage: Stage, action: Action | None, *, size: int = 64, frames: int = FRAMES, fps: float = FPS,
    camera: Camera = "static", supersample: int | None = None, with_flow: bool = False,
    level: Level | None = None,
) -> SceneClip:
    """Draw the clip that `action` makes of `stage`; no action gives the still image.

    `size` is the side in pixels, `fps` only labels the clip: the motion always fills it. The first
    frame is the same for every action. The residue of a living background depends on the stage and
    the frame's number alone; `level` gives it other strengths than the stage's variant. Raises
    ValueError for a size under 16 or under 2 frames.
    """
    if size < 16 or frames < 2:
        raise ValueError(
            f"size should be at least 16 and frames at least 2, got {size} and {frames}"
        )
    s = supersample or (4 if size <= 96 else 2)
    level = level or LEVELS.get(stage.variant.background, REST)
    views = _views(stage, camera, frames, level)
    cast = _Cast(stage, action, level)
    states = [cast.states(f, frames) for f in range(frames)]
    rests = camera == "static" and level is REST
    backdrop = Backdrop(stage, size * s, level.sway, rests)
    layers = [_paint(cast, states[f], views[f], backdrop, f) for f in range(frames)]
    small = [cv2.resize(la.colours, (size, size), interpolation=cv2.INTER_AREA) for la in layers]
    pixels = np.stack(small).astype(np.uint8)
    if level is not REST:
        pixels = record(pixels, stage.background_seed, level)
    mask = np.stack([_moving(layers[f].owner, cast.named, states, f, size)
                     for f in range(frames)])
    objects = np.stack([_half_covered((layer.owner > 0).astype(np.float32), size)
                        for layer in layers])
    residue = _residue(layers, cast, backdrop, views, objects) & ~mask
    flow, valid = (None, None)
    if with_flow:
        flow, valid = _flow(layers, list(cast.actors), states, views, size)
        valid &= objects[:-1] | ~residue[:-1]
    text = (action.sentence if action else "nothing moves") + CAMERA_WORDS[camera]
    return SceneClip(pixels, mask, flow, valid, objects, residue, text, stage.scenario, fps)


def first_image(stage: Stage, size: int = 64) -> npt.NDArray[np.uint8]:
    """Return the image that every prompt of this stage starts from, (size, size, 3) uint8."""
    return render(stage, None, size=size, frames=2).frames[0]


def _view(camera: Camera, u: float) -> Matrix:
    """Return (3, 3) from world units to image units at time u; the identity at u = 0."""
    step = TRAVEL * u
    moves = {"left": (step, 0.0), "right": (-step, 0.0), "up": (0.0, step), "down": (0.0, -step)}
    if camera in moves:
        dx, dy = moves[camera]
        return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1.0]])
    zoom = {"in": ZOOM**u, "out": ZOOM**-u}.get(camera, 1.0)
    shift = 0.5 * (1 - zoom)
    return np.array([[zoom, 0, shift], [0, zoom, shift], [0, 0, 1.0]])


def _views(stage: Stage, camera: Camera, frames: int, level: Level) -> list[Matrix]:
    """Return the view of each frame, held in a hand where the level shakes it."""
    views = [_view(camera, f / (frames - 1)) for f in range(frames)]
    for view, (dx, dy) in zip(views, shake(stage.background_seed, frames, level.shake),
                              strict=True):
        view[:2, 2] += (dx, dy)
    return views


class _Cast:
    """Everything that is drawn on a stage's background, from back to front, and what moves it."""

    def __init__(self, stage: Stage, action: Action | None, level: Level) -> None:
        self.stage = stage
        self.moves = action.moves if action else {}
        self.unnamed = passers(stage.background_seed, stage.background, level.movers)
        behind = {name: p for name, p in self.unnamed.items() if not p.in_front}
        front = {name: p for name, p in self.unnamed.items() if p.in_front}
        self.actors: dict[str, Actor | Passer] = {**behind, **stage.actors, **front}
        # Numbers in the object map, from 1 on, of what prompts can move.
        self.named = {name: number for number, name in enumerate(self.actors, start=1)
                      if name in stage.actors}
        moved = {name for action in stage.actions for name in action.moves}
        # By number in the object map: whether no prompt ever moves it, as a road.
        self.scenery = np.array([False, *(name in stage.actors and name not in moved
                                          for name in self.actors)])

    def states(self, frame: int, frames: int) -> dict[str, State]:
        """Where each of them is in this frame; the prompt fills the clip."""
        u = frame / (frames - 1)
        return {name: self._state(name, actor, frame, u) for name, actor in self.actors.items()}

    def _state(self, name: str, actor: Actor | Passer, frame: int, u: float) -> State:
        if isinstance(actor, Passer):
            return actor.path(frame)
        return self.moves[name](actor.state, u) if name in self.moves else actor.state


def _paint(
    cast: _Cast, states: dict[str, State], view: Matrix, backdrop: Backdrop, frame: int
) -> _Layer:
    side = backdrop.side
    colours = backdrop.seen(view, frame)
    owner = np.zeros((side, side), np.uint8)
    for number, (name, actor) in enumerate(cast.actors.items(), start=1):
        state = states[name]
        matrix = (view @ state.matrix())[:2] * side
        for fill in actor.fills:
            colour, alpha = fill.at(state.look)
            corners = fill.points @ matrix[:, :2].T + matrix[:, 2]
            paint(colours, owner, corners - 0.5, colour, alpha, number if fill.solid else 0)
    if backdrop.photographic and cast.scenery.any():
        here = cast.scenery[owner]
        lit = colours[here] * backdrop.surface(view)[here][:, None]
        colours[here] = np.clip(np.rint(lit), 0, 255)
    return _Layer(colours, owner)


def _moving(
    owner: npt.NDArray[np.uint8], numbers: Mapping[str, int], states: list[dict[str, State]], f:
    int, size: int,
) -> npt.NDArray[np.bool_]:
    """Pixels of the objects whose state changes from frame f to the next (last: from before).

    `numbers` has those that count, with their numbers in the object map.
    """
    a, b = (f, f + 1) if f + 1 < len(states) else (f - 1, f)
    moving = np.zeros(len(states[a]) + 1, np.float32)
    for name, number in numbers.items():
        moving[number] = states[a][name] != states[b][name]
    return _half_covered(moving[owner], size)


def _residue(
    layers: list[_Layer], cast: _Cast, backdrop: Backdrop, views: list[Matrix], objects:
    npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Pixels (F, H, W) of unnamed movers and of background that moves by itself."""
    residue = np.zeros_like(objects)
    size = objects.shape[1]
    if not backdrop.amplitude and not cast.unnamed:
        return residue
    unnamed = np.ones(len(cast.actors) + 1, np.float32)
    unnamed[[0, *cast.named.values()]] = 0
    for f, layer in enumerate(layers):
        residue[f] = backdrop.moving(views[f], min(f, len(layers) - 2), size) & ~objects[f]
        if cast.unnamed:
            residue[f] |= _half_covered(unnamed[layer.owner], size)
    return residue


def _half_covered(part: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.bool_]:
    """Return the pixels of an image `size` wide of which at least half is in the part."""
    return np.asarray(cv2.resize(part, (size, size), interpolation=cv2.INTER_AREA) >= 0.5)


def _flow(
    layers: list[_Layer], names: list[str], states: list[dict[str, State]], views: list[Matrix],
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
