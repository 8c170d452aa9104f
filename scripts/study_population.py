"""Compute the values that endlessly many votes of a simulated study would give.

These are what an interval should cover: means over all pictures and annotators that could have
been drawn, by Gauss-Hermite quadrature. Q nodes of a picture's and pair's effect, A nodes of an
annotator's, R reasons; outcomes are won, lost, tied; sides are "first model on the left" and "on
the right".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import special

from motifocal.study.stats.bradley_terry import Edges, Ties, maximum_likelihood, outcome_model
from motifocal.study.stats.simulation_design import (
    NODES,
    Design,
    Truth,
    careless_chances,
    item_sd,
    normal_nodes,
    strengths,
    vote_chances,
)
from motifocal.study.stats.tally import LOST, TIED, WON, Values

ANNOTATOR_NODES = 31
REASON_NODES = 9


@dataclass(frozen=True)
class Population:
    """The expected values of one comparison's statistics. `reasons` (2, R): in votes won, lost."""

    share: float
    share_ties_halved: float
    majority: float
    ties: float
    alpha: float
    left: float
    reasons: Values


def careless_share(design: Design, truth: Truth) -> float:
    """Return the share of the annotators who are careless, a whole number of them."""
    return round(truth.careless * design.annotators) / design.annotators


def population(design: Design, truth: Truth, comparison: int = 0) -> Population:
    """Return the expected values of `design.comparisons[comparison]`."""
    chances, weight = _chances(design, truth, comparison)
    by_side = np.einsum("q,qso->so", weight, chances)
    lefts = design.on_left(comparison)
    sides = np.array([lefts.mean(), design.votes - lefts.mean()]) / design.votes
    outcome = sides @ by_side
    decided = by_side[:, WON] + by_side[:, LOST]
    return Population(
        share=float(outcome[WON] / (1 - outcome[TIED])),
        share_ties_halved=float(outcome[WON] + outcome[TIED] / 2),
        majority=_per_pair(_majority, design, comparison, chances, weight),
        ties=float(outcome[TIED]),
        alpha=1 - _per_pair(_disagreement, design, comparison, chances, weight)
        / (1 - float(outcome @ outcome)),
        left=float(by_side[0, WON] / decided[0] + by_side[1, LOST] / decided[1]) / 2,
        reasons=_reasons(design, truth, outcome),
    )


def population_scores(design: Design, truth: Truth, ties: Ties = "dropped") -> Values:
    """Return the Bradley-Terry scores (M,), ours at 0, that fit endlessly many votes best.

    Without effects of pictures and pairs these are minus `strengths`' distances themselves; with
    them the shares of all comparisons are drawn to a half, and so are the scores.
    """
    models = design.models
    ends = np.array([[models.index(name) for name in pair] for pair in design.comparisons])
    expected = []
    for comparison in range(len(ends)):
        chances, weight = _chances(design, truth, comparison)
        lefts = design.on_left(comparison).mean()
        sides = np.array([lefts, design.votes - lefts]) * len(design.pairs)
        expected.append(sides @ np.einsum("q,qso->so", weight, chances))
    counts, features = outcome_model(Edges(models, ends, np.array(expected)[None]), ties)
    fitted = maximum_likelihood(counts[0], features, ridge=0.0)[: len(models)]
    return np.asarray(fitted - fitted[0])


def _chances(design: Design, truth: Truth, comparison: int) -> tuple[Values, Values]:
    """Return the chances of a random annotator's vote at each node: (Q, sides, outcomes), (Q,)."""
    score = dict(zip(design.models, strengths(design, truth), strict=True))
    first, second = design.comparisons[comparison]
    nodes, weight = normal_nodes(NODES)
    people, people_weight = normal_nodes(ANNOTATOR_NODES)
    bias = special.logit(truth.left) * np.array([1.0, -1.0])
    lead = (score[first] - score[second] + item_sd(truth) * nodes[:, None, None]
            + bias[:, None] + truth.annotator_sd * people)
    attentive = np.einsum("qsao,a->qso", vote_chances(lead, truth), people_weight)
    careless = careless_share(design, truth)
    return (1 - careless) * attentive + careless * careless_chances(truth), weight


def _per_pair(
    of_votes: Callable[[Values], Values], design: Design, comparison: int, chances: Values,
    weight: Values,
) -> float:  # fmt: skip
    """Return the mean over pairs of a function of the chances of their votes, (Q, votes, 3) to
    (Q,)."""
    lefts, counts = np.unique(design.on_left(comparison), return_counts=True)
    values = [weight @ of_votes(chances[:, [0] * left + [1] * (design.votes - left)])
              for left in lefts]
    return float(np.average(values, weights=counts))


def _majority(chances: Values) -> Values:
    """Return P(more won than lost) + P(as many) / 2, vote by vote."""
    votes = chances.shape[1]
    lead = np.zeros((len(chances), 2 * votes + 1))
    lead[:, votes] = 1.0
    for vote in range(votes):
        won, lost, tied = chances[:, vote].T[:, :, None]
        lead = tied * lead + won * np.roll(lead, 1, axis=1) + lost * np.roll(lead, -1, axis=1)
    return np.asarray(lead[:, votes + 1 :].sum(axis=1) + lead[:, votes] / 2)


def _disagreement(chances: Values) -> Values:
    """Return P(two votes on one pair differ)."""
    votes = chances.shape[1]
    total = chances.sum(axis=1)
    same = (total**2).sum(axis=1) - (chances**2).sum(axis=(1, 2))
    return np.asarray(1 - same / (votes * (votes - 1)))


def _reasons(design: Design, truth: Truth, outcome: Values) -> Values:
    """Return the share of votes won, and of votes lost, that name each reason: (2, R).

    A careless annotator names one at random. Effects of pictures on reasons are independent of
    those on preference, so attentive votes name the same reasons wherever they were cast.
    """
    careless = careless_share(design, truth)
    clicks = careless * careless_chances(truth)
    shares = []
    for side, named in ((WON, "ours"), (LOST, "baseline")):
        named_by_careless = clicks[side] / outcome[side]
        attentive = _named(np.array(list(truth.reasons[named].values())), truth.reason_sd)
        shares.append((1 - named_by_careless) * attentive + named_by_careless / len(attentive))
    return np.array(shares)


def _named(chances: Values, spread: float) -> Values:
    """Return P(a reason is named | at least one is), over pictures: (R,) to (R,)."""
    nodes, weight = normal_nodes(REASON_NODES)
    effects = np.array(list(product(spread * nodes, repeat=len(chances))))
    weights = np.array(list(product(weight, repeat=len(chances)))).prod(axis=1)
    named = special.expit(special.logit(chances) + effects)
    return np.asarray(weights @ (named / (1 - (1 - named).prod(axis=1, keepdims=True))))
