"""Objects, their states and their motions: how a prompt changes a stage over the clip.

Letters: u is time in the clip, 0 at the first frame and 1 at the last. Lengths are in image
widths, angles in radians (clockwise, since y points down).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from motifocal.scenes.drawing.draw import Fill
from motifocal.scenes.variant import STANDARD, SceneVariant


@dataclass(frozen=True)
class State:
    """Where an object is and how it looks: place, angle, size factors, look in [0, 1]."""

    x: float
    y: float
    angle: float = 0.0
    sx: float = 1.0
    sy: float = 1.0
    look: float = 0.0

    def matrix(self) -> npt.NDArray[np.float64]:
        """Return (3, 3) from the object's own coordinates to world units."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array(
            [[c * self.sx, -s * self.sy, self.x], [s * self.sx, c * self.sy, self.y], [0, 0, 1]]
        )


Motion = Callable[[State, float], State]
Ease = Callable[[float], float]


@dataclass(frozen=True)
class Actor:
    """One object: its shapes and its state in the first frame."""

    fills: tuple[Fill, ...]
    state: State


@dataclass(frozen=True)
class Action:
    """One prompt for an image and what it moves.

    `sentence` is the one used in benchmarks; `paraphrases` say the same for training. `facts` is
    what the prompt means in plain labels: the text encoder is trained to recover them.
    """

    sentence: str
    moves: dict[str, Motion]
    facts: tuple[str, ...]
    paraphrases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """An image that can be animated: background, objects from back to front, prompts."""

    scenario: str
    background: str
    background_seed: int
    colour: str
    actors: dict[str, Actor]
    actions: tuple[Action, ...] = field(default=())
    variant: SceneVariant = STANDARD


#: What a builder of scenarios returns: the objects from back to front, and what can happen to them.
Build = tuple[dict[str, Actor], tuple[Action, ...]]


def heading(rng: np.random.Generator) -> tuple[float, str]:
    """Draw a direction: 1 and "right", or -1 and "left"."""
    return (1.0, "right") if rng.random() < 0.5 else (-1.0, "left")


def linear(u: float) -> float:
    """Constant speed."""
    return u


def accelerate(u: float) -> float:
    """From slow to fast."""
    return u * (0.4 + 0.6 * u)


def slow_down(u: float) -> float:
    """From fast to slow."""
    return u * (1.6 - 0.6 * u)


def once_around(u: float) -> float:
    """To one side, to the other, and back: a sine."""
    return float(np.sin(2 * np.pi * u))


def shift(dx: float, dy: float, ease: Ease = linear) -> Motion:
    """Move by (dx, dy) over the clip."""
    return lambda s, u: replace(s, x=s.x + dx * ease(u), y=s.y + dy * ease(u))


def grow(fx: float, fy: float, ease: Ease = linear) -> Motion:
    """Scale by (fx, fy) about the object's origin over the clip."""
    return lambda s, u: replace(s, sx=s.sx * (1 + (fx - 1) * ease(u)),
                                sy=s.sy * (1 + (fy - 1) * ease(u)))


def turn(angle: float, ease: Ease = linear) -> Motion:
    """Rotate by `angle` about the object's origin over the clip."""
    return lambda s, u: replace(s, angle=s.angle + angle * ease(u))


def swing(amplitude: float, cycles: float) -> Motion:
    """Rotate to and fro about the object's origin."""
    return lambda s, u: replace(s, angle=s.angle + amplitude * np.sin(2 * np.pi * cycles * u))


def hop(height: float, count: int) -> Motion:
    """Bounce up from the ground `count` times."""
    return lambda s, u: replace(s, y=s.y - height * abs(np.sin(np.pi * count * u)))


def flap(depth: float, cycles: float) -> Motion:
    """Squeeze across the object's own y axis and back, as a wing seen from behind does."""
    return lambda s, u: replace(s, sy=s.sy * (1 - depth * np.sin(np.pi * cycles * u) ** 2))


def fold(depth: float, cycles: float) -> Motion:
    """Squeeze across the object's own x axis and back, as a butterfly's wing does."""
    return lambda s, u: replace(s, sx=s.sx * (1 - depth * np.sin(np.pi * cycles * u) ** 2))


def face(direction: float) -> Motion:
    """Turn around by narrowing to a line and widening again, mirrored when `direction` is -1."""
    return lambda s, u: replace(s, sx=s.sx * (1 + (direction - 1) * u))


def light(level: float, over: float = 0.4) -> Motion:
    """Change the look to `level` within the first `over` of the clip."""
    return lambda s, u: replace(s, look=s.look + (level - s.look) * min(1.0, u / over))


def blink(cycles: float) -> Motion:
    """Switch the look between its first value and the opposite, smoothly."""
    return lambda s, u: replace(
        s, look=s.look + (1 - 2 * s.look) * (0.5 - 0.5 * np.cos(2 * np.pi * cycles * u))
    )


def orbit(cx: float, cy: float, angle: float, ease: Ease = linear) -> Motion:
    """Move on a circle around (cx, cy) without turning, as a pan that hangs from a beam does."""

    def move(s: State, u: float) -> State:
        a = angle * ease(u)
        dx, dy = s.x - cx, s.y - cy
        return replace(
            s, x=cx + dx * np.cos(a) - dy * np.sin(a), y=cy + dx * np.sin(a) + dy * np.cos(a)
        )

    return move


def both(*motions: Motion) -> Motion:
    """Apply several motions one after the other at the same time u."""

    def move(s: State, u: float) -> State:
        for motion in motions:
            s = motion(s, u)
        return s

    return move
