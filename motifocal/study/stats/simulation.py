"""Simulate the votes of a study from a design and a truth: to test statistics, and to rehearse.

V votes, I items (a comparison and a pair), P pairs, M models, W annotators, R reasons.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from motifocal.study.schedule import other_side
from motifocal.study.stats.simulation_design import (
    Design,
    Truth,
    careless_chances,
    strengths,
    vote_chances,
)
from motifocal.study.stats.tally import LOST, Cluster, Counts, Tally, Values, counted
from motifocal.study.votes import GOLD, MODEL_A, MODEL_B, REASONS, TIE, Vote, hash_worker

Bools = npt.NDArray[np.bool_]

#: How likely an attentive annotator gets each kind of gold item right; for a repeat, how likely
#: the same choice is made again.
GOLD_RIGHT = dict(zip(GOLD, (0.97, 0.95, 0.90, 0.80), strict=True))
ATTENTIVE_MS, CARELESS_MS = 15_000, 4_000  # medians
MS_SPREAD = 0.5  # of the logarithm
LOOP_MS = 2_000


@dataclass(frozen=True)
class Drawn:
    """Votes as arrays (V,); `outcome` is 0 for the first model, 1 for the second, 2 for a tie."""

    design: Design
    comparison: Counts
    pair: Counts
    worker: Counts
    on_left: Bools
    outcome: Counts
    reasons: Bools
    careless: Bools

    def tally(self, comparison: int = 0, cluster_by: Cluster = "image_id") -> Tally:
        """Count the votes of one comparison: what `tally` makes of the votes."""
        kept = self.comparison == comparison
        design = self.design
        names, places = design.pictures if cluster_by == "image_id" else design.scenarios
        ours, theirs = design.comparisons[comparison]
        return counted(
            ours=ours, theirs=theirs, pairs=design.stems, clusters=names,
            scenarios=tuple(pair.scenario for pair in design.pairs), cluster=places,
            pair=self.pair[kept], outcome=self.outcome[kept], on_left=self.on_left[kept],
            reasons=self.reasons[kept],
        )  # fmt: skip


def simulate(design: Design, truth: Truth, seed: int) -> list[Vote]:
    """Draw the votes of a whole study, gold items last. The same seed gives the same votes."""
    rng = np.random.default_rng(seed)
    drawn = draw(design, truth, rng)
    return list(_votes(drawn, seed, rng))


def draw(design: Design, truth: Truth, rng: np.random.Generator) -> Drawn:
    """Draw votes without times, names and gold: arrays only, for thousands of studies."""
    comparisons, pairs = len(design.comparisons), len(design.pairs)
    items = comparisons * pairs
    careless = np.zeros(design.annotators, dtype=bool)
    bad = round(truth.careless * design.annotators)
    careless[rng.permutation(design.annotators)[:bad]] = True
    worker = _assigned(items, design, rng)
    lefts = np.concatenate([design.on_left(c) for c in range(comparisons)])
    on_left = rng.random((items, design.votes)).argsort(axis=1) < lefts[:, None]
    outcome = _outcomes(design, truth, worker, on_left, careless, rng)
    item = np.repeat(np.arange(items), design.votes)
    flat = outcome.reshape(-1)
    clicked = careless[worker].reshape(-1)
    return Drawn(
        design=design, comparison=item // pairs, pair=item % pairs, worker=worker.reshape(-1),
        on_left=on_left.reshape(-1), outcome=flat,
        reasons=_reasons(design, truth, item % pairs, flat, clicked, rng), careless=careless,
    )  # fmt: skip


def _assigned(items: int, design: Design, rng: np.random.Generator) -> Counts:
    """Assign annotators: (I, votes), never one twice to an item, all about equally busy."""
    per_round = design.annotators // design.votes
    rounds = -(-items // per_round)
    order = np.tile(np.arange(design.annotators), (rounds, 1))
    shuffled = rng.permuted(order, axis=1)[:, : per_round * design.votes]
    return np.asarray(shuffled.reshape(-1, design.votes)[:items])


def _outcomes(
    design: Design, truth: Truth, worker: Counts, on_left: Bools, careless: Bools,
    rng: np.random.Generator,
) -> Counts:  # fmt: skip
    """Draw the votes (I, votes): 0 first model, 1 second, 2 tie."""
    models = len(design.models)
    ends = np.array([[design.models.index(name) for name in pair] for pair in design.comparisons])
    score = strengths(design, truth) + sum(
        _effects(places, models, spread, rng)
        for places, spread in (
            (design.pictures[1], truth.picture_sd),
            (np.arange(len(design.pairs)), truth.pair_sd),
            (design.scenarios[1], truth.scenario_sd),
        )
    )
    taste = _effects(np.arange(design.annotators), models, truth.annotator_sd, rng)
    # (comparisons, P) and (comparisons, W): how far the first model is ahead
    lead = (score[:, ends[:, 0]] - score[:, ends[:, 1]]).T.reshape(-1, 1)
    tastes = (taste[:, ends[:, 0]] - taste[:, ends[:, 1]]).T
    comparison = np.repeat(np.arange(len(ends)), len(design.pairs))[:, None]
    bias = np.where(on_left, 1.0, -1.0) * special.logit(truth.left)
    chances = vote_chances(lead + tastes[comparison, worker] + bias, truth)
    chances = np.where(careless[worker][..., None], careless_chances(truth), chances)
    return np.asarray((rng.random(worker.shape)[..., None] > chances.cumsum(axis=-1)[..., :2])
                      .sum(axis=-1))  # fmt: skip


def _effects(
    places: Counts, models: int, spread: float, rng: np.random.Generator
) -> Values:
    """Draw a normal effect of each group on each model, (P,) to (P, M), so that the difference
    between two models has the standard deviation `spread`."""
    return np.asarray(rng.standard_normal((places.max() + 1, models))[places] * spread / np.sqrt(2))


def _reasons(
    design: Design, truth: Truth, pair: Counts, outcome: Counts, clicked: Bools,
    rng: np.random.Generator,
) -> Bools:  # fmt: skip
    """Draw reasons (V, R): at least one for a choice, none for a tie, a random one for a click."""
    votes, number = len(outcome), len(REASONS)
    names, place = design.pictures
    effects = truth.reason_sd * rng.standard_normal((2, len(names), number))
    basis = np.array([list(truth.reasons[side].values()) for side in ("ours", "baseline")])
    side = np.minimum(outcome, LOST)
    chances = special.expit(special.logit(basis)[side] + effects[side, place[pair]])
    given = np.zeros((votes, number), dtype=bool)
    for r in range(number):
        # While none is given, what is left must hold at least one.
        some = 1 - (1 - chances[:, r:]).prod(axis=1)
        chance = np.where(given.any(axis=1), chances[:, r], chances[:, r] / some)
        given[:, r] = rng.random(votes) < chance
    given[clicked] = np.eye(number, dtype=bool)[rng.integers(0, number, int(clicked.sum()))]
    given[outcome > LOST] = False
    return given


def _votes(drawn: Drawn, seed: int, rng: np.random.Generator) -> Iterator[Vote]:
    design = drawn.design
    salt = f"simulated votes, seed {seed}"
    workers = [hash_worker(f"annotator {w}", salt) for w in range(design.annotators)]
    protocol = hashlib.sha256(repr((design, seed)).encode()).hexdigest()
    names = [MODEL_A, MODEL_B, TIE]
    milliseconds = _milliseconds(drawn.careless[drawn.worker], rng)
    real: list[Vote] = []
    for v in range(len(drawn.pair)):
        first, second = design.comparisons[drawn.comparison[v]]
        pair = design.pairs[drawn.pair[v]]
        real.append(Vote(
            model_a=first, model_b=second, winner=names[drawn.outcome[v]],
            pair=design.stems[drawn.pair[v]], image_id=pair.image_id, scenario=pair.scenario,
            prompt=pair.prompt, left=MODEL_A if drawn.on_left[v] else MODEL_B,
            reasons=tuple(np.array(REASONS)[drawn.reasons[v]].tolist()),
            milliseconds=milliseconds[v], loops=1 + milliseconds[v] // LOOP_MS,
            worker=workers[drawn.worker[v]], protocol=protocol,
        ))  # fmt: skip
    yield from real
    for w in range(design.annotators):
        own = [real[v] for v in np.flatnonzero(drawn.worker == w)]
        yield from _gold(own, design.gold, bool(drawn.careless[w]), rng)


def _milliseconds(careless: Bools, rng: np.random.Generator) -> list[int]:
    median = np.where(careless, CARELESS_MS, ATTENTIVE_MS)
    drawn = median * np.exp(MS_SPREAD * rng.standard_normal(len(median)))
    return [LOOP_MS + int(value) for value in drawn]


def _gold(own: list[Vote], number: int, careless: bool, rng: np.random.Generator) -> Iterator[Vote]:
    """Yield gold items made of pairs that the annotator has judged, the four kinds in turn.

    Each pair is used once, however many comparisons it was judged in: its damaged video is the
    same in all of them, and nobody judges one item twice.
    """
    places: dict[str, int] = {}
    for v in rng.permutation(len(own)):
        places.setdefault(own[v].pair, v)
    chosen = list(places.values())[:number]
    milliseconds = _milliseconds(np.full(len(chosen), careless), rng)
    for g, v in enumerate(chosen):
        base, kind = own[v], GOLD[g % len(GOLD)]
        right = rng.random() < (0.5 if careless else GOLD_RIGHT[kind])
        repeat = kind == "repeat"
        answer = base.winner if repeat else MODEL_A
        yield Vote(
            model_a=base.model_a, model_b=base.model_b if repeat else kind,
            winner=answer if right else other_side(answer), pair=base.pair, image_id=base.image_id,
            scenario=base.scenario, prompt=base.prompt, worker=base.worker, gold=kind,
            left=other_side(base.left) if repeat else (MODEL_A, MODEL_B)[rng.integers(2)],
            milliseconds=milliseconds[g], loops=1 + milliseconds[g] // LOOP_MS,
            protocol=base.protocol,
        )  # fmt: skip
