"""Fixtures that several tests of synthetic scenes use."""

from __future__ import annotations

import pytest
from true_videos import SMALL, true_videos

from motifocal.scenes.evaluation.evaluate import EvalPair, Scored, eval_pairs, score


@pytest.fixture(scope="session")
def pairs() -> list[EvalPair]:
    return eval_pairs(110, SMALL)


@pytest.fixture(scope="session")
def scored(pairs: list[EvalPair]) -> Scored:
    return score(true_videos(pairs), pairs)
