"""Draw a stage from a scenario, a split and a seed: an image with its three to five prompts.

Training and evaluation never share a seed, and one in six combinations of scenario, main colour
and background belongs to evaluation alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from motifocal.scenes.drawing import in_the_air, on_the_ground, still_life
from motifocal.scenes.variant import STANDARD, SceneVariant
from motifocal.scenes.world import Build, Stage

Split = Literal["train", "eval"]
Builder = Callable[[np.random.Generator, list[str], float], Build]

HELD_OUT_ONE_IN = 6
SPLIT_NUMBERS: dict[Split, int] = {"train": 1, "eval": 2}
ALL = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
VIVID = ("red", "orange", "yellow", "green", "blue", "purple")


@dataclass(frozen=True)
class Scenario:
    """How to draw one scenario: its builder, the colours and the backgrounds it may have.

    `smallest` is the scale at which its smallest movers cover about 1 % of the image.
    """

    build: Builder
    colours: tuple[str, ...]
    backgrounds: tuple[str, ...]
    smallest: float


SCENARIOS: dict[str, Scenario] = {
    "balloons": Scenario(in_the_air.balloons, VIVID, ("sky", "clouds", "dusk", "brick"), 0.43),
    "sun": Scenario(in_the_air.sun, ("yellow", "orange", "red"), ("sky", "dusk", "clouds"), 0.5),
    "bird": Scenario(in_the_air.bird, ALL, ("sky", "clouds", "dusk", "stone"), 0.55),
    "butterfly": Scenario(in_the_air.butterfly, (*VIVID, "pink"), ("meadow", "bokeh", "sky"), 0.4),
    "volcano": Scenario(
        in_the_air.volcano, ("red", "blue", "white", "green"), ("dusk", "night", "sky", "clouds"),
        0.64,
    ),
    "golf": Scenario(on_the_ground.golf, ALL, ("meadow", "sand"), 0.77),
    "car": Scenario(on_the_ground.car, ALL, ("meadow", "sand", "stone"), 0.42),
    "tide": Scenario(on_the_ground.tide, VIVID, ("sand", "stone"), 0.53),
    "duck": Scenario(
        on_the_ground.duck,
        ("yellow", "orange", "pink", "white", "green"),
        ("brick", "sky", "bokeh", "meadow"),
        0.38,
    ),
    "fish": Scenario(on_the_ground.fish, ALL, ("water", "stone", "sand"), 0.53),
    "traffic_light": Scenario(
        still_life.traffic_light, ("red", "yellow", "green"), ("sky", "clouds", "brick", "dusk"),
        0.56,
    ),
    "candle": Scenario(still_life.candle, ALL, ("night", "wood", "bokeh", "fabric"), 0.66),
    "bulbs": Scenario(still_life.bulbs, VIVID, ("night", "brick", "wood", "fabric"), 0.32),
    "balance": Scenario(still_life.balance, VIVID, ("wood", "fabric", "stone", "bokeh"), 0.32),
    "flower": Scenario(
        still_life.flower, (*VIVID, "pink", "white"), ("brick", "wood", "sky", "fabric"),
        0.32,
    ),
}


def is_held_out(scenario: str, colour: str, background: str) -> bool:
    """True for the combinations that never occur in training."""
    key = f"{scenario}/{colour}/{background}".encode()
    return zlib.crc32(key) % HELD_OUT_ONE_IN == 0


def make_stage(scenario: str, split: Split, seed: int, variant: SceneVariant = STANDARD) -> Stage:
    """Return the stage of this scenario, split and seed; the same arguments give the same stage.

    The variant's background changes how the stage is rendered and nothing of the stage itself. Its
    difficulty changes the size of the objects, log-uniform from the scenario's smallest to the
    usual one, and how the background is painted.

    In training, held-out combinations are drawn again; in evaluation every other stage prefers
    one, so that about half of the images show a combination that training never saw.
    Raises ValueError for an unknown scenario or split, and for a mixed background.
    """
    if variant.background == "mixed":
        raise ValueError("background of a stage should be one, got 'mixed', which is of many clips")
    if scenario not in SCENARIOS:
        raise ValueError(f"scenario should be one of {sorted(SCENARIOS)}, got {scenario!r}")
    if split not in SPLIT_NUMBERS:
        raise ValueError(f"split should be one of {sorted(SPLIT_NUMBERS)}, got {split!r}")
    rule = SCENARIOS[scenario]
    number = sorted(SCENARIOS).index(scenario)
    rng = np.random.default_rng([SPLIT_NUMBERS[split], number, seed])
    held_out = False if split == "train" else seed % 2 == 1
    colours, background = _draw(rng, rule)
    for _ in range(64):
        if is_held_out(scenario, colours[0], background) == held_out:
            break
        colours, background = _draw(rng, rule)
    else:
        if split == "train":
            raise ValueError(f"{scenario} has no combination left for training")
    scale = 1.0
    if variant.difficulty == "hard":
        # Numbers of their own, so that the rest of the stage is that of the standard difficulty.
        draw = np.random.default_rng([SPLIT_NUMBERS[split], number, seed, 7003])
        scale = float(rule.smallest ** draw.uniform())
    actors, actions = rule.build(rng, colours, scale)
    background_seed = int(rng.integers(2**31))
    return Stage(scenario, background, background_seed, colours[0], actors, actions, variant)


def _draw(rng: np.random.Generator, rule: Scenario) -> tuple[list[str], str]:
    colours = [str(c) for c in rng.permutation(rule.colours)]
    return colours, str(rng.choice(rule.backgrounds))
