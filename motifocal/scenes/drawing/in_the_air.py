"""Scenarios in the air: balloons, sun, bird, butterfly, volcano; each draws a stage from a seed."""

from __future__ import annotations

import numpy as np

from motifocal.scenes.drawing.draw import PALETTE, Fill, ball, box, ellipse, glow, polygon, shade
from motifocal.scenes.world import (
    Action,
    Actor,
    Build,
    Motion,
    State,
    accelerate,
    both,
    flap,
    fold,
    grow,
    heading,
    light,
    once_around,
    orbit,
    shift,
    slow_down,
    turn,
)

Generator = np.random.Generator


def balloons(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Three balloons; the prompt names one of them or all."""
    actors: dict[str, Actor] = {}
    size = rng.uniform(0.105, 0.13)
    for colour, x in zip(colours[:3], rng.permutation((0.2, 0.5, 0.8)), strict=True):
        string = Fill(box(0, size * 1.15 + 0.11, 0.008, 0.22), (92, 92, 96))
        knot = Fill(polygon((0, size * 1.1), (-0.025, size * 1.32), (0.025, size * 1.32)),
                    shade(PALETTE[colour], 0.7))
        fills = (string, knot, *ball(0, 0, size, size * 1.18, PALETTE[colour]))
        place = (x + rng.uniform(-0.03, 0.03), rng.uniform(0.34, 0.46))
        actors[colour] = Actor(fills, State(*place, sx=scale, sy=scale))
    one, two, three = rng.permutation(list(actors))
    every = Action("all the balloons drift higher into the sky",
                   {c: shift(0, -0.62) for c in actors},
                   ("balloon", "all", "up"), ("the balloons float up together",))
    return actors, (_balloon(one, "down"), _balloon(two, "down"), _balloon(three, "up"),
                    _balloon(one, "up"), every)


def _balloon(colour: str, way: str) -> Action:
    if way == "down":
        return Action(f"the {colour} balloon dips down", {colour: shift(0, 0.36)},
                      ("balloon", colour, "down"), (f"the {colour} balloon sinks",))
    return Action(f"the {colour} balloon floats up", {colour: shift(0, -0.62)},
                  ("balloon", colour, "up"), (f"the {colour} balloon rises",))


def sun(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a sun above hills, with a cloud."""
    warm = {"yellow": (255, 214, 84), "orange": (252, 150, 58), "red": (236, 84, 60)}[colours[0]]
    radius = rng.uniform(0.1, 0.13)
    x = rng.uniform(0.3, 0.7)
    halo = tuple(Fill(ellipse(0, 0, radius * r, radius * r), warm, alpha=0.14, solid=False)
                 for r in (1.7, 1.45, 1.2))
    disk = tuple(Fill(ellipse(0, 0, radius * r, radius * r), shade(warm, f))
                 for r, f in ((1.0, 0.96), (0.85, 1.1), (0.6, 1.3)))
    puff = tuple(Fill(ellipse(dx, dy, r, r * 0.72), (250, 250, 252))
                 for dx, dy, r in ((-0.09, 0.01, 0.07), (0.0, -0.025, 0.09), (0.09, 0.01, 0.075)))
    side, way = heading(rng)
    cloud = State(0.16 if side > 0 else 0.84, rng.uniform(0.14, 0.2), sx=scale, sy=scale)
    actors = {
        "sun": Actor((*halo, *disk), State(x, rng.uniform(0.44, 0.52), sx=scale, sy=scale)),
        "cloud": Actor(puff, cloud),
        "far hills": Actor((Fill(_ridge(rng, 0.7, 0.07), (92, 116, 132)),), State(0, 0)),
        "near hills": Actor((Fill(_ridge(rng, 0.8, 0.06), (58, 96, 72)),), State(0, 0)),
    }
    actions = (
        Action("the sun rises higher", {"sun": shift(0, -0.3)}, ("sun", "sun", "up"),
               ("the sun climbs into the sky", "the sun is getting higher")),
        Action("the sun sets behind the hills", {"sun": shift(0, 0.4)}, ("sun", "sun", "down"),
               ("the sun goes down", "the sun is getting lower")),
        Action(f"the cloud drifts to the {way}", {"cloud": shift(0.62 * side, 0)},
               ("sun", "cloud", way), (f"a cloud moves {way}",)),
    )
    return actors, actions


def _ridge(rng: Generator, height: float, rough: float) -> np.ndarray:
    """A skyline at about `height`, closed below the image; wider than it for moving cameras."""
    x = np.linspace(-0.5, 1.5, 41)
    phase = rng.uniform(0, 6, 3)
    y = height + rough * (np.sin(x * 4 + phase[0]) * 0.6 + np.sin(x * 9 + phase[1]) * 0.3
                          + np.sin(x * 17 + phase[2]) * 0.1)
    return np.concatenate([np.stack([x, y], 1), [[1.5, 1.6], [-0.5, 1.6]]])


def _bird(colour: str, size: float, x: float, y: float, facing: float) -> dict[str, Actor]:
    base = PALETTE[colour]
    body = (
        Fill(polygon((-1.0, -0.05), (-1.7, -0.35), (-1.75, 0.25)) * size, shade(base, 0.7)),
        Fill(ellipse(0, 0, size * 1.15, size * 0.5), shade(base, 0.92)),
        Fill(ellipse(0.1 * size, 0.12 * size, size * 0.8, size * 0.3), shade(base, 1.3)),
        Fill(ellipse(size * 1.0, -size * 0.3, size * 0.42, size * 0.4), base),
        Fill(polygon((1.35, -0.4), (1.85, -0.22), (1.35, -0.1)) * size, (240, 170, 60)),
        Fill(ellipse(size * 1.1, -size * 0.38, size * 0.09, size * 0.09, 10), (20, 20, 24)),
    )
    wing = (
        Fill(polygon((0.5, 0.0), (0.1, -1.0), (-0.6, -1.75), (-0.55, -0.8), (-0.6, 0.0)) * size,
             shade(base, 0.72)),
        Fill(polygon((0.35, 0.0), (0.05, -0.8), (-0.4, -1.3), (-0.4, -0.5), (-0.4, 0.0)) * size,
             shade(base, 1.08)),
    )
    return {"body": Actor(body, State(x, y, sx=facing)),
            "wing": Actor(wing, State(x, y - 0.1 * size, sx=facing))}


def bird(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a bird in flight; a second one may fly in."""
    facing, way = heading(rng)
    size = rng.uniform(0.085, 0.105) * scale
    first = _bird(colours[0], size, 0.5 - 0.2 * facing, rng.uniform(0.42, 0.58), facing)
    second = _bird(colours[1], size, 0.5 + 0.85 * facing, rng.uniform(0.22, 0.3), -facing)
    actors = {**{f"first {k}": a for k, a in first.items()},
              **{f"second {k}": a for k, a in second.items()}}

    def fly(which: str, dx: float, dy: float) -> dict[str, Motion]:
        wing = both(flap(0.8, 4), shift(dx, dy))
        return {f"{which} body": shift(dx, dy), f"{which} wing": wing}

    actions = (
        Action("the bird flies upward", fly("first", 0.1 * facing, -0.42), ("bird", "first", "up"),
               ("the bird climbs", "the bird soars up")),
        Action("the bird flies downward", fly("first", 0.1 * facing, 0.4),
               ("bird", "first", "down"), ("the bird dives", "the bird descends")),
        Action(f"the bird glides to the {way}", {k: shift(0.48 * facing, 0) for k in
               ("first body", "first wing")}, ("bird", "first", way), (f"the bird flies {way}",)),
        Action(f"a second, {colours[1]} bird flies in", fly("second", -0.5 * facing, 0.02),
               ("bird", colours[1], "enter"), (f"a new {colours[1]} bird flies into view",)),
    )
    return actors, actions


def _butterfly(colour: str, size: float, x: float, y: float) -> dict[str, Actor]:
    base = PALETTE[colour]
    wings = {}
    for side, sign in (("left wing", -1.0), ("right wing", 1.0)):
        flip = np.array([sign * size, size])
        wing = (Fill(ellipse(0.62, -0.45, 0.62, 0.6) * flip, shade(base, 0.7)),
                Fill(ellipse(0.5, 0.5, 0.46, 0.46) * flip, shade(base, 0.78)),
                Fill(ellipse(0.6, -0.45, 0.44, 0.42) * flip, shade(base, 1.08)),
                Fill(ellipse(0.48, 0.48, 0.3, 0.3) * flip, shade(base, 1.25)))
        wings[side] = Actor(wing, State(x, y))
    body = (Fill(ellipse(0, 0, size * 0.14, size * 0.75, 16), (48, 36, 34)),)
    return {**wings, "body": Actor(body, State(x, y))}


def butterfly(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a butterfly on a flower; a second one may fly in."""
    x, y = rng.uniform(0.4, 0.6), rng.uniform(0.46, 0.54)
    size = rng.uniform(0.125, 0.15) * scale
    petal = PALETTE[colours[1]]
    stem = Fill(box(0, 0.36, 0.03 * scale, 0.72), (62, 124, 58))
    blade = polygon((0, 0), (0.15, -0.12), (0.2, -0.08), (0.02, 0.06)) * scale
    leaf = Fill(blade + np.array([0, 0.42]), (74, 146, 66))
    petals = tuple(
        Fill(ellipse(0.15 * np.cos(a), 0.08 * np.sin(a), 0.085, 0.05) * scale, shade(petal, f))
        for a, f in zip(np.linspace(0, 2 * np.pi, 7), (0.8, 0.9, 1, 0.85, 0.95, 1.05), strict=False)
    )
    centre = Fill(ellipse(0, 0, 0.07, 0.045) * scale, (236, 188, 66))
    # The stem's foot is the flower's origin, so that it sways about the ground.
    lift = 0.74 + 0.08 * (1 - scale)
    lifted = tuple(Fill(f.points - [0, lift], f.colour) for f in (stem, leaf, *petals, centre))
    side, way = heading(rng)
    away = "left" if side > 0 else "right"
    actors = {"flower": Actor(lifted, State(x, y + 0.82))}
    actors |= {f"first {k}": a for k, a in _butterfly(colours[0], size, x, y).items()}
    second = _butterfly(colours[2], size * 0.95, 0.5 + 0.74 * side, rng.uniform(0.2, 0.28))
    actors |= {f"second {k}": a for k, a in second.items()}
    sway = both(orbit(x, y + 0.82, 0.2, once_around), turn(0.2, once_around))

    def wings(which: str, cycles: float, *motion: Motion) -> dict[str, Motion]:
        beat = both(fold(0.75, cycles), *motion)
        moves: dict[str, Motion] = {f"{which} left wing": beat, f"{which} right wing": beat}
        return moves | ({f"{which} body": both(*motion)} if motion else {})

    actions = (
        Action("the butterfly flaps its wings", wings("first", 3), ("butterfly", "first", "flap"),
               ("the butterfly beats its wings gently",)),
        Action(f"the butterfly flies away to the {away}", wings("first", 4,
               shift(-0.75 * side, -0.3, accelerate)), ("butterfly", "first", f"away {away}"),
               (f"the butterfly leaves the flower to the {away}",)),
        Action(f"a second, {colours[2]} butterfly flies in from the {way}", wings("second", 4,
               shift(-0.5 * side, 0, slow_down)), ("butterfly", colours[2], "enter"),
               (f"a new {colours[2]} butterfly comes in from the {way}",)),
        Action("the flower sways in the wind", {k: sway for k in actors
               if not k.startswith("second")}, ("butterfly", "flower", "sway"),
               ("the flower swings to and fro",)),
    )
    return actors, actions


def _cone() -> tuple[Fill, ...]:
    """Return a mountain with a crater, whose rim is at 0."""
    rock = (104, 84, 82)
    return (
        Fill(polygon((-0.09, 0), (0.09, 0), (0.42, 0.6), (-0.42, 0.6)), rock),
        Fill(polygon((0.02, 0), (0.09, 0), (0.42, 0.6), (0.12, 0.6)), shade(rock, 0.72)),
        Fill(ellipse(0, 0.005, 0.09, 0.022), (58, 40, 40)),
        Fill(polygon((-0.05, 0.01), (0.0, 0.02), (-0.06, 0.2), (-0.1, 0.26)), (232, 92, 40)),
    )


def _smoke() -> tuple[Fill, ...]:
    """Return three puffs of smoke."""
    return tuple(Fill(ellipse(dx, dy, r, r * 0.85), shade((96, 92, 96), f))
                 for dx, dy, r, f in ((-0.07, -0.05, 0.09, 0.9), (0.07, -0.09, 0.1, 1.05),
                                      (-0.02, -0.17, 0.11, 1.2)))


def _lava() -> tuple[Fill, ...]:
    """Return a tongue of lava that points up, brighter in its middle."""
    return (Fill(polygon((-0.05, 0), (0.05, 0), (0.09, -0.2), (0, -0.34), (-0.09, -0.2)),
                  (244, 110, 36)),
            Fill(polygon((-0.025, 0), (0.025, 0), (0.04, -0.14), (0, -0.24), (-0.04, -0.14)),
                  (255, 206, 88)))


def _plane(colour: str, side: float) -> tuple[Fill, ...]:
    """Return a plane whose nose points away from `side`."""
    paint, flip = PALETTE[colour], np.array([-side, 1])
    return (Fill(polygon((-0.13, -0.08), (-0.16, -0.02), (-0.1, 0.01)) * flip, shade(paint, 0.8)),
            Fill(ellipse(0, 0, 0.15, 0.042) * flip, paint),
            Fill(polygon((0.03, 0.0), (-0.08, 0.1), (-0.04, 0.0)) * flip, shade(paint, 0.62)))


def volcano(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a volcano; it erupts, a plane passes, or lightning strikes its peak."""
    peak_x, peak_y = rng.uniform(0.42, 0.58), rng.uniform(0.5, 0.56)
    side, _ = heading(rng)
    bolt = (Fill(polygon((0.05, -0.56), (-0.06, -0.26), (0.01, -0.27), (-0.02, 0.0), (0.1, -0.32),
                         (0.03, -0.31), (0.12, -0.56)), (255, 246, 170)),
            *glow(0, 0, 0.16, (255, 250, 200), 0.25))
    off = State(peak_x, peak_y + 0.03, sx=0.02 * scale, sy=0.02 * scale)
    actors = {
        "smoke": Actor(_smoke(), off),
        "lava": Actor(_lava(), off),
        "bolt": Actor(bolt, State(peak_x, -0.03, sx=scale, sy=scale)),
        "cone": Actor(_cone(), State(peak_x, peak_y)),
        "plane": Actor(_plane(colours[0], side),
                       State(0.5 + 0.68 * side, rng.uniform(0.2, 0.28), sx=scale, sy=scale)),
    }
    strike = both(shift(0, peak_y + 0.03, lambda u: min(1.0, 2.5 * u)), light(1, 0.8))
    way = "left" if side > 0 else "right"
    actions = (
        Action("the volcano erupts", {"lava": grow(60, 70), "smoke": both(grow(80, 80),
               shift(0, -0.24))}, ("volcano", "lava", "erupt"),
               ("the volcano is erupting and smoking",)),
        Action(f"a {colours[0]} plane flies across the peak", {"plane": shift(-1.3 * side, 0)},
               ("volcano", colours[0], f"enter {way}"),
               (f"a {colours[0]} plane passes the volcano",)),
        Action("lightning strikes the peak", {"bolt": strike}, ("volcano", "bolt", "strike"),
               ("a lightning bolt hits the volcano",)),
    )
    return actors, actions
