"""Reports of simulated studies: where votes come from, and the tables of what comes out."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from motifocal.study.protocol import Protocol
from motifocal.study.report.source import ExpectedVotes, Source
from motifocal.study.stats.intervals import Resampling
from motifocal.study.stats.simulation_design import Design, Truth, paper_pairs
from motifocal.study.votes import Vote

QUICK = Resampling(resamples=200)
SMALL = Design(pairs=paper_pairs()[:48], ours="Ours", baselines=("First", "Second"), annotators=12,
               gold=8)
TRUTH = Truth(shares=(0.8, 0.5))


def source_of(
    votes: Sequence[Vote], protocol: Protocol | None = None, wanted: int = 5
) -> Source:
    """Simulated votes as a source; every pair that any comparison has is wanted of all."""
    models = dict.fromkeys(vote.unit[0] for vote in votes if vote.gold is None)
    pairs = {(vote.pair, vote.seed) for vote in votes if vote.gold is None}
    return Source(tuple(votes), protocol, "",
                  tuple(ExpectedVotes(m, len(pairs), wanted) for m in models))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
