"""Fixtures that several tests of data sets use."""

from __future__ import annotations

from pathlib import Path

import pytest
from compared_runs import drawn
from scene_shards import begin


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("few"), 6)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten clips in three shards, prepared without a break."""
    folder = tmp_path_factory.mktemp("whole")
    assert list(begin(folder)) == [4, 8, 10]
    return folder
