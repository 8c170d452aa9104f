"""Draw moving objects that no prompt names: leaves, a passer-by, a shadow.

They are drawn as objects are, so their pixels and their motion are known exactly. Their place is a
function of the frame's number. Lengths are in image widths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from motifocal.scenes.drawing.draw import Colour, Fill, box, ellipse, polygon, shade
from motifocal.scenes.drawing.residue import MOVERS, stream
from motifocal.scenes.world import Actor, State

Path = Callable[[int], State]
Generator = np.random.Generator

LEAVES: tuple[Colour, ...] = ((126, 112, 46), (164, 104, 44), (92, 118, 52), (142, 82, 50))
COATS: tuple[Colour, ...] = ((74, 78, 92), (104, 92, 82), (86, 70, 74), (70, 88, 82))


@dataclass(frozen=True)
class Passer:
    """A mover that no prompt names, where it is in each frame, and whether it is in front."""

    fills: tuple[Fill, ...]
    path: Path
    in_front: bool

    def at(self, frame: int) -> Actor:
        """Return the mover as an object in this frame."""
        return Actor(self.fills, self.path(frame))


def passers(seed: int, background: str, most: int) -> Mapping[str, Passer]:
    """The unnamed movers of the stage with this background seed, by name: 0 to `most` of them."""
    rng = stream(seed, MOVERS)
    count = int(rng.integers(most + 1)) if most > 0 else 0
    kinds = KINDS.get(background, (_leaf,))
    made = [kinds[int(rng.integers(len(kinds)))](rng) for _ in range(count)]
    return MappingProxyType({f"unnamed {number}": mover for number, mover in enumerate(made)})


def _leaf(rng: Generator) -> Passer:
    """Return a leaf that falls, drifts and tumbles in front of everything."""
    size = rng.uniform(0.014, 0.028)
    colour = shade(LEAVES[int(rng.integers(len(LEAVES)))], rng.uniform(0.8, 1.15))
    outline = polygon((-1.3, 0.0), (-0.5, -0.55), (0.5, -0.5), (1.3, 0.0), (0.5, 0.5), (-0.5, 0.55))
    x, y = rng.uniform(-0.1, 0.9), rng.uniform(-0.5, 0.6)
    drift, fall = rng.uniform(-0.02, 0.03), rng.uniform(0.02, 0.05)
    spin, phase = rng.uniform(-0.5, 0.5), rng.uniform(0, 2 * np.pi)

    def path(frame: int) -> State:
        swing = 0.03 * np.sin(0.7 * frame + phase)
        tilt = 0.35 + 0.65 * abs(np.cos(0.45 * frame + phase))
        return State(x + drift * frame + swing, y + fall * frame, phase + spin * frame, sy=tilt)

    return Passer((Fill(outline * size, colour),), path, in_front=True)


def _walker(rng: Generator) -> Passer:
    """Return a walker behind all objects, seen down to the knees."""
    height = rng.uniform(0.3, 0.45)
    coat = COATS[int(rng.integers(len(COATS)))]
    way = 1.0 if rng.random() < 0.5 else -1.0
    start, speed = rng.uniform(-0.1, 0.8), rng.uniform(0.012, 0.025)
    ground, phase = rng.uniform(1.02, 1.1), rng.uniform(0, 2 * np.pi)
    fills = (
        Fill(box(-0.05 * height, -0.2 * height, 0.09 * height, 0.4 * height), shade(coat, 0.6)),
        Fill(box(0.06 * height, -0.2 * height, 0.09 * height, 0.4 * height), shade(coat, 0.7)),
        Fill(ellipse(0, -0.58 * height, 0.14 * height, 0.26 * height), coat),
        Fill(ellipse(0, -0.9 * height, 0.08 * height, 0.1 * height, 14), (168, 128, 104)),
    )

    def path(frame: int) -> State:
        bob = 0.01 * height * np.sin(1.6 * frame + phase)
        x = 0.5 + way * (start - 0.5 + speed * frame)
        return State(x, ground + bob, 0.03 * np.sin(0.8 * frame + phase), sx=way)

    return Passer(fills, path, in_front=False)


def _shade(rng: Generator) -> Passer:
    """Return the soft shadow of a person out of view, on the background behind all objects."""
    width, height = rng.uniform(0.12, 0.22), rng.uniform(0.4, 0.6)
    y, start = rng.uniform(0.4, 0.7), rng.uniform(-0.2, 0.9)
    speed = rng.choice([-1.0, 1.0]) * rng.uniform(0.01, 0.02)
    fills = tuple(Fill(ellipse(0, 0, width * r, height * r), (8, 8, 14), alpha=0.07)
                  for r in (1.0, 0.85, 0.7, 0.55))
    return Passer(fills, lambda frame: State(start + speed * frame, y), in_front=False)


# Who may pass before each background; leaves alone where nothing is named.
KINDS: Mapping[str, tuple[Callable[[Generator], Passer], ...]] = MappingProxyType({
    "brick": (_leaf, _walker),
    "bokeh": (_leaf, _walker),
    "meadow": (_leaf, _shade),
    "sand": (_leaf, _shade),
    "stone": (_leaf, _shade),
    "wood": (_shade,),
    "fabric": (_shade,),
    "night": (_shade,),
})
