"""Votes drawn from a known truth, and votes written down one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from motifocal.study.stats.simulation import simulate
from motifocal.study.stats.simulation_design import Design, Truth, paper_pairs
from motifocal.study.stats.tally import Tally, tally
from motifocal.study.votes import Vote

TRUTH = Truth(shares=(0.65,), ties=0.1, left=0.55)
VOTES = simulate(Design(), TRUTH, seed=4)
LEAGUE = simulate(
    Design(pairs=paper_pairs()[:60], baselines=("a", "b", "c"), round_robin=True),
    Truth(shares=(0.4, 0.6, 0.75), ties=0.2), seed=6,
)  # fmt: skip


def vote(
    winner: str = "model_a", pair: str = "p", image_id: str = "i", worker: str = "w",
    left: str = "model_a", models: tuple[str, str] = ("ours", "theirs"), **other: Any,
) -> Vote:  # fmt: skip
    return Vote(model_a=models[0], model_b=models[1], winner=winner, pair=pair, image_id=image_id,
                left=left, worker=worker, **other)  # fmt: skip


def table(rows: Sequence[tuple[str, str]]) -> Tally:
    """(picture and pair, votes as in "aab=") -> a tally."""
    winners = {"a": "model_a", "b": "model_b", "=": "tie"}
    return tally([vote(winners[letter], pair, pair[0], f"w{w}")
                  for pair, letters in rows for w, letter in enumerate(letters)],
                 "ours", "theirs")  # fmt: skip
