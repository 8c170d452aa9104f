"""Fit Bradley-Terry scores to votes between several models, where the comparisons allow it.

M models, E edges (two models that were compared), O outcomes (first wins, second wins, tie),
K clusters, Q parameters: M scores and, for Davidson's model, the logarithm of nu.

P(i wins) : P(j wins) : P(tie) = exp(s_i) : exp(s_j) : nu exp((s_i + s_j) / 2)
(Bradley and Terry 1952 with nu = 0; Davidson 1970). A score is a logarithm of odds: a model one
above another wins 73 % of their decided votes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, sparse, special, stats
from scipy.sparse.csgraph import connected_components

from motifocal._moved import renamed_arguments
from motifocal.study.stats.tally import (
    LOST,
    TIED,
    WON,
    Cluster,
    Counts,
    Tally,
    Values,
    comparisons,
    numbered,
    tally,
)
from motifocal.study.votes import Vote

Ties = Literal["dropped", "halved", "davidson"]
TIES: tuple[Ties, ...] = ("dropped", "halved", "davidson")
#: Weight of the sum of squared scores: a normal prior of standard deviation 10 around the mean.
RIDGE = 0.01
TOLERANCE = 1e-8
NEARLY = 100  # times the tolerance: where rounding ends the search just before the maximum
#: Fewer clusters that tell of a model (see `_effective_clusters`) give no interval: two or three
#: that are alike by chance would make it far too short.
FEWEST_CLUSTERS = 3.5
#: Clusters whose variance is less than this part of that of independent votes are all alike.
ALIKE = 1e-6
LEVEL = 0.95


@dataclass(frozen=True)
class Scores:
    """Scores (M,) with bounds, in the order of `models`; the anchor has 0 and no width.

    `unbounded` are models of which no largest or smallest score fits the votes (see `_unbounded`):
    their score is what the ridge makes of it, their bounds are nan. So are those of models of which
    too few images tell. `log_nu` is Davidson's readiness to call a tie, None in other models.
    """

    models: tuple[str, ...]
    anchor: str
    ties: Ties
    score: Values
    low: Values
    high: Values
    unbounded: tuple[str, ...]
    log_nu: float | None
    clusters: int

    def chance(self, first: str, second: str) -> float:
        """Return how likely `first` wins a decided vote against `second`."""
        places = self.models.index(first), self.models.index(second)
        return float(special.expit(self.score[places[0]] - self.score[places[1]]))


@dataclass(frozen=True)
class Edges:
    """How often models met: `ends` (E, 2) are places in `models`, `counts` (K, E, O)."""

    models: tuple[str, ...]
    ends: Counts
    counts: Values


@renamed_arguments(over="cluster_by")
def bradley_terry(
    votes: Sequence[Vote], *, anchor: str | None = None, ties: Ties = "dropped",
    ridge: float = RIDGE, cluster_by: Cluster = "image_id", level: float = LEVEL,
) -> Scores:  # fmt: skip
    """Fit the scores that make the votes most likely, with intervals clustered by image.

    `anchor` is the model at 0 (the first model of the first vote by default). Ties are dropped,
    counted half for both, or fitted by Davidson's model. Bounds come from the sandwich estimator
    with one term an image and Student's t with one degree of freedom less than the images that tell
    of the two models (see `_effective_clusters`); nan where these are fewer than four.

    Raises ValueError where the comparisons fall into several parts, between which no chain of votes
    makes scores comparable.
    """
    edges = edges_of([tally(votes, *pair, cluster_by=cluster_by) for pair in comparisons(votes)])
    return scores_of(edges, anchor=anchor, ties=ties, ridge=ridge, level=level)


def scores_of(
    edges: Edges, *, anchor: str | None = None, ties: Ties = "dropped", ridge: float = RIDGE,
    level: float = LEVEL,
) -> Scores:  # fmt: skip
    """Fit `bradley_terry` to votes that are counted already."""
    if ties not in TIES:
        raise ValueError(f"ties should be one of {', '.join(TIES)}, got {ties!r}")
    parts = components(edges)
    if len(parts) != 1:
        listed = "; ".join(", ".join(part) for part in parts) or "no votes"
        raise ValueError(f"all models should be linked by votes, got {len(parts)} parts: {listed}")
    anchor = edges.models[0] if anchor is None else anchor
    if anchor not in edges.models:
        raise ValueError(f"anchor should be one of {', '.join(edges.models)}, got {anchor!r}")
    counts, features = outcome_model(edges, ties)
    fitted = maximum_likelihood(counts.sum(axis=0), features, ridge)
    return _scores(edges, counts, features, fitted, anchor, ties, ridge, level)


def edges_of(tallies: Sequence[Tally]) -> Edges:
    """Return several comparisons as one graph; clusters of the same name are one."""
    models, ends = numbered([name for part in tallies for name in (part.ours, part.theirs)])
    names = dict.fromkeys(name for part in tallies for name in part.clusters)
    clusters = {name: k for k, name in enumerate(names)}
    counts = np.zeros((len(clusters), len(tallies), 3))
    for e, part in enumerate(tallies):
        rows = [clusters[name] for name in part.clusters]
        counts[rows, e] = part.per_cluster(part.outcomes)
    return Edges(models, ends.reshape(-1, 2), counts)


def components(edges: Edges) -> list[tuple[str, ...]]:
    """Return the models in parts between which there is no vote, in the models' order."""
    labels = _labels(edges, edges.ends, directed=False)
    return [_named(edges.models, labels == part) for part in dict.fromkeys(labels)]


def _named(models: Sequence[str], chosen: npt.NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(name for name, there in zip(models, chosen, strict=True) if there)


def _labels(edges: Edges, links: Counts, *, directed: bool) -> Counts:
    """Return the part each model belongs to (M,), given links (L, 2) from one place to another."""
    size = len(edges.models)
    graph = sparse.coo_array((np.ones(len(links)), (links[:, 0], links[:, 1])), (size, size))
    _, labels = connected_components(graph, directed=directed, connection="strong")
    return np.asarray(labels, dtype=np.int64)


def outcome_model(edges: Edges, ties: Ties) -> tuple[Values, Values]:
    """Return counts (K, E, O) and what each outcome adds to its utility, (E, O, Q)."""
    models, number = len(edges.models), len(edges.ends)
    rows = np.arange(number)
    features = np.zeros((number, 3, models + 1))
    features[rows, WON, edges.ends[:, 0]] = 1.0
    features[rows, LOST, edges.ends[:, 1]] = 1.0
    features[:, TIED] = (features[:, WON] + features[:, LOST]) / 2
    features[:, TIED, models] = 1.0
    if ties == "davidson" and edges.counts[..., TIED].any():
        return edges.counts, features
    half = edges.counts[..., TIED:] / 2 if ties == "halved" else 0.0
    return edges.counts[..., :TIED] + half, features[:, :TIED, :models]


def maximum_likelihood(counts: Values, features: Values, ridge: float) -> Values:
    """Fit the parameters (Q,) to counts (E, O), by Newton's method with a trust region.

    The scores, not nu, are pulled to their mean by `ridge`. Raises RuntimeError where the search
    does not end at a maximum.
    """
    size = features.shape[-1]
    pull = _pull(size, features.shape[1] == 3, ridge)

    def loss(parameters: Values) -> float:
        utilities = features @ parameters
        log_chances = utilities - special.logsumexp(utilities, axis=1, keepdims=True)
        return float(-(counts * log_chances).sum() + parameters @ pull @ parameters / 2)

    def slope(parameters: Values) -> Values:
        return pull @ parameters - _gradients(counts[None], features, parameters)[0]

    def curvature(parameters: Values) -> Values:
        return _information(counts, features, parameters) + pull

    tolerance = TOLERANCE * max(1.0, counts.sum())
    result = optimize.minimize(loss, np.zeros(size), jac=slope, hess=curvature,
                               method="trust-exact", options={"gtol": tolerance})
    if not result.success and not np.linalg.norm(result.jac) <= NEARLY * tolerance:
        raise RuntimeError(f"the scores did not converge: {result.message}")
    return np.asarray(result.x)


def _pull(size: int, with_nu: bool, ridge: float) -> Values:
    """Return the second derivative of the ridge. Scores may move together for free, so their mean
    is held at 0 by a weight of its own, which changes no difference between them."""
    pull = np.zeros((size, size))
    models = size - with_nu
    pull[:models, :models] = ridge * np.eye(models) + 1 / models
    return pull


def _gradients(counts: Values, features: Values, parameters: Values) -> Values:
    """Return the derivative of each cluster's log likelihood, (K, E, O) to (K, Q)."""
    chances = special.softmax(features @ parameters, axis=1)
    surprise = counts - counts.sum(axis=2, keepdims=True) * chances
    return np.einsum("keo,eoq->kq", surprise, features)


def _information(counts: Values, features: Values, parameters: Values) -> Values:
    """Return minus the second derivative of the log likelihood, (E, O) to (Q, Q)."""
    chances = special.softmax(features @ parameters, axis=1)
    mean = np.einsum("eo,eoq->eq", chances, features)
    away = features - mean[:, None]
    weight = counts.sum(axis=1)[:, None] * chances
    return np.einsum("eo,eoq,eor->qr", weight, away, away)


def _scores(
    edges: Edges, counts: Values, features: Values, fitted: Values, anchor: str, ties: Ties,
    ridge: float, level: float,
) -> Scores:  # fmt: skip
    models, clusters = len(edges.models), len(counts)
    place = edges.models.index(anchor)
    pull = _pull(len(fitted), features.shape[1] == 3, ridge)
    inverse = np.linalg.inv(_information(counts.sum(axis=0), features, fitted) + pull)
    contrasts = inverse[:, :models] - inverse[:, [place]]  # (Q, M), of each model to the anchor
    # The sandwich: only different clusters are independent.
    variance = ((_gradients(counts, features, fitted) @ contrasts) ** 2).sum(axis=0)
    images, if_independent = _effective_clusters(counts, features, fitted, contrasts)
    enough = (images >= FEWEST_CLUSTERS) & (variance > ALIKE * if_independent)
    free = np.where(enough, images - 1, 1.0)
    width = np.sqrt(variance * (free + 1) / free) * stats.t.ppf((1 + level) / 2, free)
    width[~enough] = np.nan
    width[place] = 0.0
    score = fitted[:models] - fitted[place]
    unbounded = _unbounded(edges, counts, place)
    width[unbounded] = np.nan
    return Scores(
        models=edges.models, anchor=anchor, ties=ties,
        score=score, low=score - width, high=score + width,
        unbounded=_named(edges.models, unbounded),
        log_nu=float(fitted[models]) if len(fitted) > models else None, clusters=clusters,
    )  # fmt: skip


def _effective_clusters(
    counts: Values, features: Values, fitted: Values, contrasts: Values
) -> tuple[Values, Values]:
    """Return the number of clusters that tell of each contrast (Q, M): (M,), 0 where none does;
    and the contrast's variance (M,) if all votes were independent.

    With v_k for a cluster's part in that variance, the number is (sum of v)^2 / sum of v^2: K where
    all of K clusters tell equally much (Satterthwaite 1946).
    """
    chances = special.softmax(features @ fitted, axis=1)
    mean = np.einsum("eo,eoq->eq", chances, features)
    reach = (features - mean[:, None]) @ contrasts  # (E, O, M)
    per_vote = np.einsum("eo,eom->em", chances, reach**2)
    parts = counts.sum(axis=2) @ per_vote  # (K, M)
    total, square = parts.sum(axis=0), (parts**2).sum(axis=0)
    number = np.divide(total**2, square, out=np.zeros(square.shape), where=square > 0)
    return number, total


def _unbounded(edges: Edges, counts: Values, anchor: int) -> npt.NDArray[np.bool_]:
    """Return which models (M,) are not linked to the anchor by chains of wins both ways.

    Ford (1957) shows that the likelihood has a maximum exactly where all are. In Davidson's model
    a tie does not help: a larger nu would explain it as well as a closer score.
    """
    total = counts.sum(axis=0)
    links = [edges.ends[total[:, WON] > 0], edges.ends[total[:, LOST] > 0][:, ::-1]]
    labels = _labels(edges, np.concatenate(links), directed=True)
    return np.asarray(labels != labels[anchor])
