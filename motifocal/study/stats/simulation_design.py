"""Describe a simulated study: its design and its true preferences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import combinations

import numpy as np
from scipy import optimize, special

from motifocal.bench.pairs import Pair
from motifocal.study.stats.tally import Counts, Values, numbered
from motifocal.study.votes import REASONS

#: TI2V-Bench by scenario: images, prompts of each image, different prompts in all.
PAPER_SCENARIOS = (
    *((4, 4, 4),) * 8, *((4, 3, 3),) * 3, *((3, 3, 3),) * 2,
    (4, 3, 12), (4, 4, 8), (4, 5, 5), (5, 4, 20), (3, 6, 18), (4, 5, 10), (4, 3, 9), (6, 2, 2),
    (4, 2, 2),
)  # fmt: skip


@lru_cache(maxsize=1)
def paper_pairs() -> tuple[Pair, ...]:
    """Return pairs as in the paper: 22 scenarios, 88 images, 133 prompts, 320 pairs."""
    pairs = []
    for s, (pictures, prompts, different) in enumerate(PAPER_SCENARIOS, start=1):
        sets = different // prompts  # images take turns with the sets of prompts
        pairs += [
            Pair(f"place{s}", f"place{s}_{p + 1}", f"prompt {p % sets * prompts + q + 1} of {s}")
            for p in range(pictures)
            for q in range(prompts)
        ]
    return tuple(pairs)


@dataclass(frozen=True)
class Design:
    """The pairs, the models, how many judge each pair, and by whom.

    `ours` is compared with every baseline; with `round_robin` all models are with each other.
    Every annotator also gets `gold` items.
    """

    pairs: tuple[Pair, ...] = field(default_factory=paper_pairs)
    ours: str = "ours"
    baselines: tuple[str, ...] = ("baseline",)
    votes: int = 5
    annotators: int = 40
    gold: int = 0
    round_robin: bool = False

    def __post_init__(self) -> None:
        if not self.pairs or not self.baselines or len(set(self.models)) < len(self.models):
            raise ValueError("a design should have pairs, and models of different names, got "
                             f"{len(self.pairs)} pairs of {', '.join(self.models)}")
        if not 1 <= self.votes <= self.annotators:
            raise ValueError(f"votes should be 1 to {self.annotators}, the number of annotators, "
                             f"got {self.votes}")
        if self.gold < 0:
            raise ValueError(f"gold should be at least 0, got {self.gold}")

    @property
    def models(self) -> tuple[str, ...]:
        return self.ours, *self.baselines

    @property
    def comparisons(self) -> list[tuple[str, str]]:
        if self.round_robin:
            return list(combinations(self.models, 2))
        return [(self.ours, baseline) for baseline in self.baselines]

    @cached_property
    def stems(self) -> tuple[str, ...]:
        return tuple(pair.stem for pair in self.pairs)

    @cached_property
    def pictures(self) -> tuple[tuple[str, ...], Counts]:
        """The images' names (K,), and each pair's place among them (P,)."""
        return numbered([pair.image_id for pair in self.pairs])

    @cached_property
    def scenarios(self) -> tuple[tuple[str, ...], Counts]:
        return numbered([pair.scenario for pair in self.pairs])

    def on_left(self, comparison: int) -> Counts:
        """Return in how many of its votes the first model is on the left, for each pair: (P,).

        Half of them; with an odd number of votes one more or one less, in turn over the pairs.
        """
        turns = (np.arange(len(self.pairs)) + comparison) % 2
        return self.votes // 2 + turns * (self.votes % 2)


DEFAULT_REASONS = {
    "ours": dict(zip(REASONS, (0.55, 0.65, 0.25, 0.30), strict=True)),
    "baseline": dict(zip(REASONS, (0.40, 0.45, 0.35, 0.40), strict=True)),
}


@dataclass(frozen=True)
class Truth:
    """The true preferences and behaviour of annotators in a simulated study.

    `shares`: how often ours is preferred to each baseline, over all images and attentive
    annotators. The standard deviations, in log-odds, say how far the preference differs between
    images, prompts of one image, scenarios, annotators. `left` and `ties` are the shares of left
    choices and of ties where the two videos are equally good, `careless` that of annotators who
    click at random. `reasons`: how likely a vote for ours or for a baseline names each reason,
    before "at least one" is asked for; `reason_sd`: how much that differs between images.
    """

    shares: tuple[float, ...] = (0.6,)
    picture_sd: float = 0.5
    pair_sd: float = 0.75
    scenario_sd: float = 0.0
    annotator_sd: float = 0.0
    left: float = 0.5
    ties: float = 0.0
    careless: float = 0.0
    reasons: Mapping[str, Mapping[str, float]] = field(default_factory=lambda: DEFAULT_REASONS)
    reason_sd: float = 0.5

    def __post_init__(self) -> None:
        open_ends = {"shares": self.shares, "left": (self.left,),
                     "reasons": [p for of in self.reasons.values() for p in of.values()]}
        for name, values in open_ends.items():
            if not all(0 < value < 1 for value in values):
                raise ValueError(f"{name} should lie between 0 and 1, got {list(values)}")
        for name in ("picture_sd", "pair_sd", "scenario_sd", "annotator_sd", "reason_sd"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} should be at least 0, got {getattr(self, name)}")
        if not 0 <= self.ties < 1 or not 0 <= self.careless <= 1:
            raise ValueError("ties should be in [0, 1) and careless in [0, 1], got "
                             f"{self.ties} and {self.careless}")
        shapes = {side: tuple(of) for side, of in self.reasons.items()}
        if shapes != {"ours": REASONS, "baseline": REASONS}:
            raise ValueError(f"reasons should have ours and baseline, each with "
                             f"{', '.join(REASONS)}, got {shapes}")


NODES = 81  # of Gauss-Hermite quadrature


def strengths(design: Design, truth: Truth) -> Values:
    """Return the models' scores in log-odds (M,), ours at 0, that give the wanted shares.

    Raises ValueError unless there is one share for each baseline.
    """
    if len(truth.shares) != len(design.baselines):
        raise ValueError(f"shares should be one for each of {len(design.baselines)} baselines, got "
                         f"{len(truth.shares)}")
    spread = np.hypot(item_sd(truth), truth.annotator_sd)
    nodes, weight = normal_nodes(NODES)

    def share(score: float) -> float:
        return float(weight @ special.expit(spread * nodes - score))

    scores = [optimize.brentq(lambda score, target=target: share(score) - target, -60, 60)
              for target in truth.shares]
    return np.array([0.0, *scores])


def vote_chances(lead: Values, truth: Truth) -> Values:
    """Map log-odds for the first model (...), side bias included, to chances (..., 3)."""
    half = np.abs(lead) / 2  # the larger of the two is divided out
    nu = 2 * truth.ties / (1 - truth.ties)
    favourite, other, tie = np.ones_like(half), np.exp(-2 * half), nu * np.exp(-half)
    ahead = lead >= 0
    chances = np.stack([np.where(ahead, favourite, other), np.where(ahead, other, favourite), tie],
                       axis=-1)
    return np.asarray(chances / chances.sum(axis=-1, keepdims=True))


def careless_chances(truth: Truth) -> Values:
    """Return the chances (3,) of an annotator who presses any of the buttons."""
    return np.array([1, 1, 1]) / 3 if truth.ties else np.array([1, 1, 0]) / 2


def item_sd(truth: Truth) -> float:
    return float(np.linalg.norm([truth.picture_sd, truth.pair_sd, truth.scenario_sd]))


@lru_cache(maxsize=8)
def normal_nodes(nodes: int) -> tuple[Values, Values]:
    """Return nodes and weights of a standard normal variable."""
    places, weight = np.polynomial.hermite_e.hermegauss(nodes)
    return places, weight / weight.sum()
