"""Scenarios on the ground and in the water: golf, cars, tide, duck, fish."""

from __future__ import annotations

import numpy as np

from motifocal.scenes.drawing.draw import PALETTE, Fill, ball, box, ellipse, polygon, shade, shadow
from motifocal.scenes.world import (
    Action,
    Actor,
    Build,
    Motion,
    State,
    accelerate,
    both,
    face,
    heading,
    hop,
    shift,
    slow_down,
    swing,
    turn,
)

Generator = np.random.Generator


def _golf_course(x: float, y: float, side: float, colour: str) -> dict[str, Actor]:
    """Return the green, the hole at (x, y) and its flag, which points away from `side`."""
    flag = PALETTE[colour]
    green = (Fill(ellipse(0, 0.05, 0.5, 0.16, 48), (74, 132, 58)),
             Fill(ellipse(0, 0.05, 0.48, 0.145, 48), (88, 150, 66)))
    hole = (Fill(ellipse(0, 0, 0.115, 0.042), (26, 34, 24)),
            Fill(ellipse(0, 0.008, 0.1, 0.03), (12, 16, 12)))
    pole = (Fill(box(0, -0.28, 0.016, 0.56), (236, 236, 232)),
            Fill(polygon((0.008, -0.56), (-0.2 * side, -0.49), (0.008, -0.42)), flag),
            Fill(polygon((0.008, -0.5), (-0.14 * side, -0.48), (0.008, -0.42)), shade(flag, 0.8)))
    return {
        "green": Actor(green, State(x - 0.12 * side, y)),
        "hole": Actor(hole, State(x, y)),
        "flag": Actor(pole, State(x + 0.05 * side, y)),
    }


def _golf_ball(radius: float) -> tuple[Fill, ...]:
    """Return a white ball with dots, which show how it turns."""
    dots = tuple(Fill(ellipse(dx * radius, dy * radius, radius * 0.09, radius * 0.09, 8),
                      (196, 198, 200)) for dx, dy in ((0.3, 0.2), (-0.1, 0.45), (0.1, -0.15)))
    return (*ball(0, 0, radius, radius, PALETTE["white"]), *dots)


def golf(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a ball and a hole with a flag."""
    side, _ = heading(rng)
    y = rng.uniform(0.66, 0.74)
    hole_x, ball_x = 0.5 + 0.3 * side, 0.5 - 0.06 * side
    radius = rng.uniform(0.068, 0.08) * scale
    # The lip hides the ball once it has dropped in.
    lip = Fill(polygon((-0.13, 0.035), (0.13, 0.035), (0.1, 0.185), (-0.1, 0.185)), (88, 150, 66))
    actors = {
        **_golf_course(hole_x, y, side, colours[0]),
        "shadow": Actor(shadow(0, 0, radius * 1.1, radius * 0.35), State(ball_x, y)),
        "ball": Actor(_golf_ball(radius), State(ball_x, y - radius * 0.9)),
        "lip": Actor((lip,), State(hole_x, y)),
    }

    def roll(dx: float) -> Motion:
        return both(shift(dx, 0), turn(dx / radius))

    def drop(s: State, u: float) -> State:
        over = np.clip((u - 0.72) / 0.28, 0, 1)
        s = roll(hole_x - ball_x)(s, min(1.0, u / 0.72))
        return State(s.x, s.y + 0.15 * over, s.angle, s.sx, s.sy, s.look)

    def fade(s: State, u: float) -> State:
        gone = 1 - np.clip((u - 0.72) / 0.14, 0, 1) * 0.98
        return State(s.x + (hole_x - ball_x) * min(1.0, u / 0.72), s.y, 0, s.sx * gone, s.sy * gone)

    stop = 0.15 * side
    actions = (
        Action("the golf ball rolls into the hole", {"ball": drop, "shadow": fade},
               ("golf", "ball", "into"), ("the ball drops into the hole",)),
        Action("the golf ball rolls away from the hole", {"ball": roll(-0.58 * side),
               "shadow": shift(-0.58 * side, 0)}, ("golf", "ball", "away"),
               ("the ball moves away from the hole",)),
        Action("the golf ball bounces off the ground", {"ball": hop(0.42, 2)},
               ("golf", "ball", "bounce"), ("the ball bounces up and down",)),
        Action("the golf ball rolls and stops before the hole", {"ball": both(
               shift(stop, 0, slow_down), turn(stop / radius, slow_down)),
               "shadow": shift(stop, 0, slow_down)}, ("golf", "ball", "short"),
               ("the ball stops short of the hole",)),
    )
    return actors, actions


def _car(colour: str, length: float) -> tuple[Fill, ...]:
    """Return a car from above, driving up the image."""
    base, width = PALETTE[colour], length * 0.52
    wheels = tuple(Fill(box(sx * width * 0.48, sy * length * 0.3, width * 0.16, length * 0.18,
                            0.004), (24, 24, 28)) for sx in (-1, 1) for sy in (-1, 1))
    return (
        *shadow(0.015, 0.02, width * 0.66, length * 0.58, 0.12),
        *wheels,
        Fill(box(0, 0, width, length, width * 0.3), shade(base, 0.82)),
        Fill(box(-width * 0.03, 0, width * 0.8, length * 0.94, width * 0.26), base),
        Fill(box(0, length * 0.05, width * 0.72, length * 0.48, width * 0.16), shade(base, 1.2)),
        Fill(box(0, -length * 0.2, width * 0.68, length * 0.14, width * 0.06), (52, 66, 84)),
        Fill(box(0, length * 0.3, width * 0.64, length * 0.09, width * 0.05), (52, 66, 84)),
        *(Fill(ellipse(sx * width * 0.32, -length * 0.46, width * 0.1, length * 0.03, 10),
               (255, 248, 200)) for sx in (-1, 1)),
    )


def car(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Two cars on a road seen from above; the prompt names one."""
    length = rng.uniform(0.3, 0.34) * scale
    dashes = tuple(Fill(box(0.5, y, 0.022, 0.11), (232, 230, 220))
                   for y in np.arange(-0.6, 1.7, 0.24))
    kerbs = tuple(Fill(box(x, 0.5, 0.02, 2.2), (222, 220, 212)) for x in (0.09, 0.91))
    asphalt = shade((98, 100, 106), rng.uniform(0.8, 1.05))
    road = (Fill(box(0.5, 0.5, 0.86, 2.2), asphalt), *dashes, *kerbs)
    actors = {"road": Actor(road, State(0, 0))}
    for colour, x in zip(colours[:2], rng.permutation((0.3, 0.7)), strict=True):
        actors[colour] = Actor(_car(colour, length), State(x, rng.uniform(0.46, 0.56)))
    a, b = rng.permutation(colours[:2])
    return actors, (_drive(a, "forward"), _drive(b, "forward"), _drive(a, "backward"),
                    _drive(b, "backward"))


def _drive(colour: str, way: str) -> Action:
    dy = -0.62 if way == "forward" else 0.4
    other = "drives up the road" if way == "forward" else "backs up"
    return Action(f"the {colour} car moves {way}", {colour: shift(0, dy, accelerate)},
                  ("car", colour, way), (f"the {colour} car {other}",))


def tide(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a beach seen from above: waves come and go, a boat sails."""
    level = rng.uniform(0.42, 0.5)
    x = np.linspace(-0.5, 1.5, 61)
    phase = rng.uniform(0, 6, 2)
    edge = 0.022 * np.sin(x * 9 + phase[0]) + 0.014 * np.sin(x * 21 + phase[1])

    def band(offset: float) -> np.ndarray:
        return np.concatenate([np.stack([x, edge + offset], 1), [[1.5, -1.6], [-0.5, -1.6]]])

    sea = (Fill(band(0.035), (240, 244, 242)), Fill(band(0.0), (128, 198, 208)),
           Fill(band(-0.07), (72, 160, 188)), Fill(band(-0.16), (42, 126, 166)))
    hull, (side, way) = PALETTE[colours[0]], heading(rng)
    flip = np.array([side, 1.0])
    boat = (Fill(polygon((0.0, -0.2), (0.0, -0.02), (0.12, -0.02)) * flip, (246, 244, 238)),
            Fill(polygon((-0.015, -0.17), (-0.015, -0.02), (-0.09, -0.02)) * flip, (222, 220, 214)),
            Fill(polygon((-0.14, 0), (0.14, 0), (0.09, 0.06), (-0.1, 0.06)) * flip, hull),
            Fill(polygon((-0.125, 0.025), (0.118, 0.025), (0.09, 0.06), (-0.1, 0.06)) * flip,
                 shade(hull, 0.76)))
    actors = {"sea": Actor(sea, State(0, level)),
              "boat": Actor(boat, State(0.5 - 0.24 * side, level - 0.18, sx=scale, sy=scale))}
    actions = (
        Action("waves advance towards the shore", {"sea": shift(0, 0.36)},
               ("tide", "sea", "advance"), ("the tide comes in", "the water moves up the beach")),
        Action("waves recede back into the ocean", {"sea": shift(0, -0.24)},
               ("tide", "sea", "recede"), ("the tide goes out",)),
        Action(f"the boat sails to the {way}", {"boat": shift(0.48 * side, 0)},
               ("tide", "boat", way), (f"the boat moves {way}",)),
    )
    return actors, actions


def duck(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Return a rubber duck on water; a band of water hides its lower edge."""
    base = PALETTE[colours[0]]
    size = rng.uniform(0.17, 0.2) * scale
    facing, _ = heading(rng)
    y = rng.uniform(0.52, 0.58)
    body = (
        Fill(polygon((-0.8, -0.15), (-1.15, -0.55), (-0.5, -0.3)) * size, shade(base, 0.8)),
        Fill(ellipse(0, 0.1 * size, size, size * 0.52), shade(base, 0.82)),
        Fill(ellipse(-0.05 * size, 0.02 * size, size * 0.86, size * 0.42), base),
        Fill(ellipse(-0.2 * size, 0.02 * size, size * 0.45, size * 0.24), shade(base, 1.2)),
        Fill(ellipse(0.55 * size, -0.62 * size, size * 0.46, size * 0.45), shade(base, 0.95)),
        Fill(ellipse(0.5 * size, -0.68 * size, size * 0.34, size * 0.32), shade(base, 1.12)),
        Fill(polygon((0.92, -0.66), (1.35, -0.52), (0.9, -0.4)) * size, (242, 128, 40)),
        Fill(ellipse(0.68 * size, -0.74 * size, size * 0.08, size * 0.09, 10), (24, 22, 26)),
    )
    blue = (46, 124, 168)
    ripples = tuple(Fill(box(dx, dy, w, 0.014, 0.006), shade(blue, 1.35))
                    for dx, dy, w in ((0.2, 0.1, 0.2), (0.62, 0.16, 0.26), (0.34, 0.26, 0.3),
                                      (0.8, 0.3, 0.18)))
    water = (Fill(polygon((-0.6, 0), (1.6, 0), (1.6, 1.2), (-0.6, 1.2)), blue), *ripples)
    far = Fill(polygon((-0.6, -0.12), (1.6, -0.12), (1.6, 1.2), (-0.6, 1.2)), shade(blue, 1.18))
    actors = {
        "far water": Actor((far,), State(0, y + 0.1)),
        "duck": Actor(body, State(0.5, y, sx=facing)),
        "water": Actor(water, State(0, y + size * 0.42)),
    }
    bob = swing(0.08, 2)
    actions = (
        Action("the rubber duck floats to the left", {"duck": both(bob, shift(-0.4, 0))},
               ("duck", "duck", "left"), ("the duck swims left",)),
        Action("the rubber duck floats to the right", {"duck": both(bob, shift(0.4, 0))},
               ("duck", "duck", "right"), ("the duck swims right",)),
        Action("the rubber duck turns around", {"duck": face(-1)}, ("duck", "duck", "turn"),
               ("the duck spins around",)),
        Action("the rubber duck sinks under the water", {"duck": shift(0, 0.42)},
               ("duck", "duck", "down"), ("the duck goes down",)),
    )
    return actors, actions


def _fish(colour: str, size: float) -> tuple[Fill, ...]:
    base = PALETTE[colour]
    return (
        Fill(polygon((-0.7, 0), (-1.35, -0.5), (-1.2, 0), (-1.35, 0.5)) * size, shade(base, 0.78)),
        Fill(polygon((-0.3, -0.4), (0.1, -0.85), (0.35, -0.4)) * size, shade(base, 0.78)),
        Fill(ellipse(0, 0, size, size * 0.56), shade(base, 0.86)),
        Fill(ellipse(0.05 * size, -0.08 * size, size * 0.84, size * 0.4), base),
        Fill(box(0.2 * size, 0, size * 0.16, size * 0.9, size * 0.05), (250, 248, 240)),
        Fill(ellipse(0.62 * size, -0.12 * size, size * 0.14, size * 0.14, 12), (250, 250, 250)),
        Fill(ellipse(0.65 * size, -0.12 * size, size * 0.08, size * 0.08, 10), (16, 18, 24)),
    )


def fish(rng: Generator, colours: list[str], scale: float = 1.0) -> Build:
    """Two fish; the prompt names one, or a third swims in."""
    size = rng.uniform(0.115, 0.135) * scale
    side, way = heading(rng)
    rows = rng.permutation([0.34, 0.7])
    actors = {}
    for colour, y in zip(colours[:2], rows, strict=True):
        x = 0.5 - 0.2 * side + rng.uniform(-0.05, 0.05)
        actors[colour] = Actor(_fish(colour, size), State(x, y, sx=side))
    actors["third"] = Actor(_fish(colours[2], size), State(0.5 + 0.7 * side, 0.52, sx=-side))
    a, b = rng.permutation(colours[:2])
    wiggle = swing(0.12, 3)
    swim = both(wiggle, shift(0.5 * side, 0))
    actions = (
        Action(f"the {a} fish swims forward", {a: swim}, ("fish", a, f"forward {way}"),
               (f"the {a} fish swims to the {way}",)),
        Action(f"the {b} fish swims forward", {b: swim}, ("fish", b, f"forward {way}"),
               (f"the {b} fish swims to the {way}",)),
        Action(f"the {a} fish turns around", {a: face(-1)}, ("fish", a, "turn"),
               (f"the {a} fish changes direction",)),
        Action(f"a new {colours[2]} fish swims in", {"third": both(wiggle, shift(-0.5 * side, 0))},
               ("fish", colours[2], "enter"), (f"a new {colours[2]} fish swims into view",)),
    )
    return actors, actions
