"""Scenarios that stay in place: traffic light, candle, bulbs, balance, flower."""

from __future__ import annotations

import numpy as np

from motifocal.scenes.drawing.draw import (
    PALETTE,
    Colour,
    Fill,
    ball,
    box,
    ellipse,
    glow,
    polygon,
    shade,
    shadow,
)
from motifocal.scenes.world import (
    Action,
    Actor,
    Build,
    Motion,
    State,
    blink,
    both,
    grow,
    heading,
    light,
    once_around,
    orbit,
    swing,
    turn,
)

Generator = np.random.Generator

LAMPS: dict[str, Colour] = {"red": (255, 62, 48), "yellow": (255, 212, 52), "green": (64, 235, 104)}


def traffic_light(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a traffic light with one lamp on; change without displacement."""
    on = colours[0]
    x, y = rng.uniform(0.36, 0.64), rng.uniform(0.44, 0.52)
    scale *= rng.uniform(0.92, 1.08)
    case = (
        Fill(box(0, 0.62 * scale, 0.07, 0.6), (70, 72, 76)),
        Fill(box(0.012, 0.012, 0.36 * scale, 0.8 * scale, 0.06), (18, 20, 22)),
        Fill(box(0, 0, 0.34 * scale, 0.78 * scale, 0.06), (52, 56, 60)),
        Fill(box(0, 0, 0.28 * scale, 0.72 * scale, 0.05), (36, 38, 42)),
    )
    actors = {"case": Actor(case, State(x, y))}
    radius = 0.098 * scale
    for row, (name, lit) in enumerate(LAMPS.items()):
        rings = tuple(
            Fill(ellipse(-(1 - r) * 0.02, -(1 - r) * 0.02, radius * r, radius * r),
                 shade(lit, 0.2 * f), shade(lit, f))
            for r, f in ((1.0, 0.8), (0.82, 1.0), (0.5, 1.35))
        )
        lamp = (*rings, *glow(0, 0, radius * 1.35, lit, 0.12))
        actors[name] = Actor(lamp, State(x, y + (row - 1) * 0.24 * scale, look=float(name == on)))
    others = [name for name in LAMPS if name != on]
    actions = [
        Action(f"the traffic light turns {name}", {name: light(1, 0.35), on: light(0, 0.35)},
               ("traffic light", name, "turn"), (f"the light changes to {name}",))
        for name in rng.permutation(others)
    ]
    flash = Action("the traffic light flashes", {on: blink(2)}, ("traffic light", "same", "flash"),
                   ("the light is blinking",))
    return actors, (*actions, flash)


def candle(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a candle with a flame that grows, shrinks, sways or goes out."""
    wax = PALETTE[colours[0]]
    x, top = rng.uniform(0.36, 0.64), rng.uniform(0.6, 0.66)
    width, height = rng.uniform(0.17, 0.22), 0.5
    body = (
        Fill(box(0, height / 2, width, height), shade(wax, 0.84)),
        Fill(box(-width * 0.12, height / 2, width * 0.66, height), wax),
        Fill(box(-width * 0.26, height / 2, width * 0.16, height), shade(wax, 1.3)),
        Fill(ellipse(0, 0, width / 2, width * 0.14), shade(wax, 1.16)),
        Fill(ellipse(0, 0.004, width * 0.34, width * 0.09), shade(wax, 0.9)),
        Fill(box(0, -0.02, 0.014, 0.06), (40, 34, 32)),
    )
    halo = tuple(Fill(ellipse(0, -0.14, 0.2 * r, 0.24 * r), (255, 206, 110), alpha=0.1, solid=False)
                 for r in (1.0, 0.8, 0.6))

    def tongue(scale: float, colour: Colour) -> Fill:
        a = np.linspace(0, np.pi, 12)
        side = np.stack([0.075 * np.sin(a) * (1 - 0.35 * a / np.pi), -0.27 * a / np.pi], 1)
        outline = np.concatenate([side, side[::-1] * [-1, 1]])
        return Fill(outline * scale - [0, 0.012], colour)

    flame = (*halo, tongue(1.0, (246, 138, 38)), tongue(0.78, (255, 196, 70)),
             tongue(0.5, (255, 244, 190)))
    actors = {"body": Actor(body, State(x, top, sx=scale)),
              "flame": Actor(flame, State(x, top - 0.03, sx=scale, sy=scale))}
    out = grow(0.02, 0.02, lambda u: min(1.0, u / 0.5))
    actions = (
        Action("the candle flame becomes bigger", {"flame": grow(1.75, 1.95)},
               ("candle", "flame", "bigger"), ("the flame grows", "the flame gets larger")),
        Action("the candle flame becomes smaller", {"flame": grow(0.5, 0.45)},
               ("candle", "flame", "smaller"), ("the flame shrinks",)),
        Action("the flame sways in the wind", {"flame": swing(0.75, 1.5)},
               ("candle", "flame", "sway"), ("the flame flickers to and fro",)),
        Action("the candle goes out", {"flame": out}, ("candle", "flame", "out"),
               ("the flame dies", "the candle is blown out")),
    )
    return actors, actions


def bulbs(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Three dark bulbs; the prompt says which one lights up."""
    actors = {}
    y = rng.uniform(0.44, 0.54)
    for colour, x in zip(colours[:3], rng.permutation([0.19, 0.5, 0.81]), strict=True):
        lit, dark = shade(PALETTE[colour], 1.3), shade(PALETTE[colour], 0.42)
        # However small the bulb, its cord hangs from above the image.
        cord = Fill(box(0, -0.1 - 0.4 / scale, 0.014, 0.8 / scale), (40, 40, 42))
        cap = Fill(box(0, -0.13, 0.1, 0.09, 0.012), (92, 92, 96))
        glass = tuple(Fill(ellipse(0, 0.01, 0.115 * r, 0.125 * r), shade(dark, d), shade(lit, b))
                      for r, d, b in ((1.0, 0.8, 0.9), (0.8, 1.0, 1.15), (0.45, 1.15, 1.7)))
        spot = Fill(ellipse(-0.04, -0.04, 0.022, 0.022, 10), (255, 255, 255), alpha=0.6,
                    solid=False)
        actors[colour] = Actor((cord, cap, *glow(0, 0.01, 0.19, lit, 0.18), *glass, spot),
                               State(x, y + rng.uniform(-0.03, 0.03), sx=scale, sy=scale))
    actions = [
        Action(f"the {c} light bulb lights up", {c: light(1)}, ("bulbs", c, "on"),
               (f"the {c} bulb starts to glow", f"the {c} lamp turns on"))
        for c in rng.permutation(colours[:3])
    ]
    every = Action("all the light bulbs light up", {c: light(1) for c in colours[:3]},
                   ("bulbs", "all", "on"), ("all the bulbs start to glow",))
    return actors, (*actions, every)


def balance(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a pair of scales that tilts or swings."""
    metal = (206, 168, 84)
    x, y, arm = rng.uniform(0.46, 0.54), rng.uniform(0.28, 0.36), rng.uniform(0.3, 0.34)
    y += 0.61 * (1 - scale)  # a smaller one stands on the same ground
    stand = (
        Fill(box(0, 0.3, 0.036, 0.6), shade(metal, 0.72)),
        Fill(box(-0.006, 0.3, 0.014, 0.6), metal),
        *shadow(0, 0.61, 0.2, 0.04),
        Fill(box(0, 0.59, 0.3, 0.05, 0.02), shade(metal, 0.62)),
        Fill(box(0, 0.578, 0.26, 0.022, 0.01), metal),
    )
    beam = (Fill(box(0, 0, arm * 2, 0.042, 0.02), shade(metal, 0.82)),
            Fill(box(0, -0.008, arm * 1.9, 0.014, 0.006), shade(metal, 1.3)),
            *ball(0, 0, 0.042, 0.042, metal))

    def pan(colour: str) -> tuple[Fill, ...]:
        chains = tuple(Fill(polygon((0, 0), (0.012, 0), (sx * 0.1 + 0.006, 0.22),
                                    (sx * 0.1 - 0.006, 0.22)), shade(metal, 0.8)) for sx in (-1, 1))
        weight = ball(0, 0.175, 0.062, 0.062, PALETTE[colour])
        dish = Fill(polygon((-0.125, 0.22), (0.125, 0.22), (0.07, 0.28), (-0.07, 0.28)), metal)
        return (*chains, *weight, dish)

    def placed(fills: tuple[Fill, ...], dx: float) -> Actor:
        return Actor(fills, State(x + dx * scale, y, sx=scale, sy=scale))

    actors = {"stand": placed(stand, 0), "left pan": placed(pan(colours[0]), -arm),
              "right pan": placed(pan(colours[1]), arm), "beam": placed(beam, 0)}

    def tilt(angle: float) -> dict[str, Motion]:
        return {"beam": turn(angle), "left pan": orbit(x, y, angle),
                "right pan": orbit(x, y, angle)}

    rock = orbit(x, y, 0.42, once_around)
    actions = (
        Action("the balance tilts to the left", tilt(-0.5), ("balance", "left", "tilt"),
               ("the left side of the scale goes down",)),
        Action("the balance tilts to the right", tilt(0.5), ("balance", "right", "tilt"),
               ("the right side of the scale goes down",)),
        Action("the balance swings left and right", {"beam": swing(0.42, 1), "left pan": rock,
               "right pan": rock}, ("balance", "both", "swing"),
               ("the scale rocks to and fro",)),
    )
    return actors, actions


def _pot() -> tuple[Fill, ...]:
    """Return a flower pot, whose rim is at 0."""
    return (
        *shadow(0, 0.2, 0.18, 0.04),
        Fill(polygon((-0.15, 0), (0.15, 0), (0.11, 0.21), (-0.11, 0.21)), (176, 96, 62)),
        Fill(box(0, 0.01, 0.34, 0.06, 0.01), (198, 116, 78)),
        Fill(box(-0.07, 0.12, 0.04, 0.14), (206, 132, 94)),
    )


def _blossom(colour: str) -> tuple[Fill, ...]:
    """Return seven petals around a yellow middle, or around an orange one where they are yellow."""
    petal = PALETTE[colour]
    petals = tuple(
        Fill(ellipse(0.105 * np.cos(a), 0.105 * np.sin(a), 0.085, 0.085, 18), shade(petal, f))
        for a, f in zip(np.linspace(0, 2 * np.pi, 8), (0.8, 0.92, 1.0, 0.84, 0.96, 1.08, 0.9),
                        strict=False)
    )
    middle = PALETTE["yellow" if colour != "yellow" else "orange"]
    return (*petals, *ball(0, 0, 0.062, 0.062, middle))


def flower(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a flower in a pot that opens, wilts or sways."""
    x, foot = rng.uniform(0.4, 0.6), rng.uniform(0.76, 0.8)
    tall = rng.uniform(0.36, 0.42)
    foot += 0.2 * (1 - scale)  # a smaller one stands on the same ground
    stem = (
        Fill(box(0, -tall / 2, 0.03, tall), (70, 134, 62)),
        Fill(polygon((0, -0.1), (0.16, -0.22), (0.19, -0.16), (0.01, -0.05)), (84, 156, 72)),
        Fill(polygon((0, -0.16), (-0.15, -0.28), (-0.18, -0.22), (-0.01, -0.11)), (76, 146, 66)),
    )
    actors = {
        "stem": Actor(stem, State(x, foot, sx=scale, sy=scale)),
        "head": Actor(_blossom(colours[0]),
                      State(x, foot - tall * scale, sx=0.8 * scale, sy=0.8 * scale)),
        "pot": Actor(_pot(), State(x, foot, sx=scale, sy=scale)),
    }

    def lean(angle: float) -> dict[str, Motion]:
        return {"stem": turn(angle), "head": both(orbit(x, foot, angle), turn(angle))}

    side, _ = heading(rng)
    sway = orbit(x, foot, 0.36, once_around)
    actions = (
        Action("the flower opens", {"head": grow(1.6, 1.6)}, ("flower", "flower", "open"),
               ("the flower blooms",)),
        Action("the flower wilts", {**lean(1.15 * side), "head": both(orbit(x, foot, 1.15 * side),
               turn(1.15 * side), grow(0.7, 0.7))}, ("flower", "flower", "wilt"),
               ("the flower bends down and fades",)),
        Action("the flower sways in the wind", {"stem": swing(0.36, 1), "head": sway},
               ("flower", "flower", "sway"), ("the wind moves the flower to and fro",)),
    )
    return actors, actions
