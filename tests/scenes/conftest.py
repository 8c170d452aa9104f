"""Fixtures that several tests of synthetic scenes use."""

from __future__ import annotations

import pytest
from drawn_scenes import clips
from true_videos import SMALL, true_videos

from motifocal.scenes.evaluation.evaluate import EvalPair, Scored, eval_pairs, score
from motifocal.scenes.render import SceneClip
from motifocal.scenes.world import Action, Stage


@pytest.fixture(scope="session")
def pairs() -> list[EvalPair]:
    return eval_pairs(110, SMALL)


@pytest.fixture(scope="session")
def scored(pairs: list[EvalPair]) -> Scored:
    return score(true_videos(pairs), pairs)


@pytest.fixture(scope="module")
def still_camera() -> list[tuple[Stage, Action, SceneClip]]:
    return clips(range(1))
