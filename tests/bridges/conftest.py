"""Fixtures that several tests of the bridges use."""

from __future__ import annotations

from pathlib import Path

import pytest
from square_clips import square_clip, write_square_clip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips, one of them with a caption."""
    write_square_clip(tmp_path / "clips" / "a.mp4")
    write_square_clip(tmp_path / "clips" / "deep" / "b.mp4", square_clip()[::-1].copy())
    (tmp_path / "clips" / "a.txt").write_text("the square moves right")
    return tmp_path / "clips"
