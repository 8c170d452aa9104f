"""Count the votes of one comparison per pair: everything that the statistics need.

P pairs (an image, a prompt and a sampling seed: what five annotators judge), K clusters
(images, unless asked otherwise), R reasons. Gold votes are never counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from motifocal._moved import renamed_arguments
from motifocal.study.votes import MODEL_A, REASONS, TIE, WINNERS, Vote

Counts = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
#: What is drawn anew in another study: images (with all their prompts) or whole scenarios.
Cluster = Literal["image_id", "scenario"]

WON, LOST, TIED = range(3)


@dataclass(frozen=True)
class Tally:
    """One comparison, counted per pair.

    `outcomes` (P, 3): votes won by `ours`, lost, tied. `left` (P, 2): those won and lost in which
    `ours` was on the left. `reasons` (P, 2, R): how often each was given in votes won and lost.
    `cluster` (P,): which of `clusters` a pair belongs to. `scenarios` (P,) are names.
    """

    ours: str
    theirs: str
    pairs: tuple[str, ...]
    clusters: tuple[str, ...]
    scenarios: tuple[str, ...]
    cluster: Counts
    outcomes: Counts
    left: Counts
    reasons: Counts

    def per_cluster(self, values: npt.ArrayLike) -> Values:
        """Sum (P, ...) over the pairs of each cluster: (K, ...)."""
        per_pair = np.asarray(values, dtype=np.float64)
        sums = np.zeros((len(self.clusters), *per_pair.shape[1:]))
        np.add.at(sums, self.cluster, per_pair)
        return sums

    def where(self, chosen: npt.ArrayLike) -> Tally:
        """Return the pairs for which `chosen` (P,) is true, with only their clusters."""
        kept = np.flatnonzero(chosen)
        used, cluster = np.unique(self.cluster[kept], return_inverse=True)
        return Tally(
            ours=self.ours, theirs=self.theirs,
            pairs=tuple(self.pairs[i] for i in kept),
            clusters=tuple(self.clusters[i] for i in used),
            scenarios=tuple(self.scenarios[i] for i in kept),
            cluster=cluster.astype(np.int64).reshape(-1),
            outcomes=self.outcomes[kept], left=self.left[kept], reasons=self.reasons[kept],
        )  # fmt: skip


@renamed_arguments(over="cluster_by")
def tally(
    votes: Sequence[Vote], ours: str, theirs: str, *, cluster_by: Cluster = "image_id"
) -> Tally:
    """Count the votes between two models, whichever of them is `model_a`.

    Pairs and clusters keep the order of their first vote. Raises ValueError where there is no such
    vote and for an unknown winner, side or reason.
    """
    models = frozenset((ours, theirs))
    kept = [vote for vote in votes if vote.gold is None and vote.unit[0] == models]
    if not kept or len(models) != 2:
        known = sorted({" and ".join(sorted(vote.unit[0])) for vote in votes if vote.gold is None})
        listed = ", ".join(known) or "no votes"
        raise ValueError(f"votes should compare {ours!r} with {theirs!r}, got {listed}")
    first = first_votes(kept)
    place = {unit: index for index, unit in enumerate(first)}
    clusters, cluster = numbered([getattr(vote, cluster_by) for vote in first.values()])
    return counted(
        ours=ours, theirs=theirs, pairs=tuple(pair for pair, _ in first), clusters=clusters,
        scenarios=tuple(vote.scenario for vote in first.values()), cluster=cluster,
        pair=np.array([place[vote.pair, vote.seed] for vote in kept]),
        outcome=np.array([{ours: WON, None: TIED}.get(winner_of(vote), LOST) for vote in kept]),
        on_left=np.array([_on_left(vote, ours) for vote in kept]),
        reasons=np.array([_reasons(vote) for vote in kept]),
    )  # fmt: skip


def counted(
    *, ours: str, theirs: str, pairs: tuple[str, ...], clusters: tuple[str, ...],
    scenarios: tuple[str, ...], cluster: npt.NDArray[np.integer], pair: npt.NDArray[np.integer],
    outcome: npt.NDArray[np.integer], on_left: npt.NDArray[np.bool_],
    reasons: npt.NDArray[np.bool_],
) -> Tally:  # fmt: skip
    """Count votes given as arrays, V of them: `pair` (V,), `outcome` (V,) 0 won, 1 lost, 2 tied,
    `on_left` (V,) whether ours was shown there, `reasons` (V, R)."""
    outcomes = np.zeros((len(pairs), 3), dtype=np.int64)
    np.add.at(outcomes, (pair, outcome), 1)
    left = np.zeros_like(outcomes)
    np.add.at(left, (pair[on_left], outcome[on_left]), 1)
    given = np.zeros((len(pairs), 3, len(REASONS)), dtype=np.int64)
    np.add.at(given, (pair, outcome), reasons)
    return Tally(ours, theirs, pairs, clusters, scenarios, cluster.astype(np.int64), outcomes,
                 left[:, :TIED], given[:, :TIED])  # fmt: skip


def numbered(names: Sequence[str]) -> tuple[tuple[str, ...], Counts]:
    """Return the different names in the order of their first, and the place of each name."""
    places = {name: k for k, name in enumerate(dict.fromkeys(names))}
    return tuple(places), np.array([places[name] for name in names], dtype=np.int64)


def first_votes(votes: Iterable[Vote]) -> dict[tuple[str, int], Vote]:
    """Map each pair and seed to its first vote, in the order of these votes."""
    first: dict[tuple[str, int], Vote] = {}
    for vote in votes:
        first.setdefault((vote.pair, vote.seed), vote)
    return first


def comparisons(votes: Sequence[Vote]) -> list[tuple[str, str]]:
    """List the pairs of models that were compared, in the order of their first vote, gold aside."""
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    for vote in votes:
        if vote.gold is None:
            pairs.setdefault(vote.unit[0], (vote.model_a, vote.model_b))
    return list(pairs.values())


def winner_of(vote: Vote) -> str | None:
    """Return the name of the chosen model; None for a tie. Raise ValueError if unknown."""
    if vote.winner not in WINNERS:
        raise ValueError(f"winner should be one of {', '.join(WINNERS)}, got {vote.winner!r}")
    if vote.winner == TIE:
        return None
    return vote.model_a if vote.winner == MODEL_A else vote.model_b


def _on_left(vote: Vote, ours: str) -> bool:
    if vote.left not in WINNERS[:2]:
        raise ValueError(f"left should be one of {', '.join(WINNERS[:2])}, got {vote.left!r}")
    return (vote.model_a if vote.left == MODEL_A else vote.model_b) == ours


def _reasons(vote: Vote) -> list[bool]:
    unknown = set(vote.reasons) - set(REASONS)
    if unknown:
        raise ValueError(f"reasons should be among {', '.join(REASONS)}, got {sorted(unknown)}")
    return [reason in vote.reasons for reason in REASONS]


def check_compared(tallies: Sequence[Tally], scores: str, models: Collection[str]) -> None:
    """Raise ValueError, naming the `scores`, where they are of none of the compared models."""
    compared = dict.fromkeys(name for tally in tallies for name in (tally.ours, tally.theirs))
    if not set(models) & set(compared):
        raise ValueError(f"{scores} should be of {', '.join(compared)}, got "
                         f"{', '.join(sorted(models)) or 'none'}")
