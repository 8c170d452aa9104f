"""Fixtures that several test files use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real clips and reference vectors that MOTIFOCAL_SHARED names."""
    folder = os.environ.get("MOTIFOCAL_SHARED")
    if not folder:
        pytest.skip("MOTIFOCAL_SHARED is not set")
    if not Path(folder).is_dir():
        pytest.fail(f"MOTIFOCAL_SHARED should name a folder, got {folder}")
    return Path(folder)
