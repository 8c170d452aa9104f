"""Timelines of clips without a file."""

from __future__ import annotations

from motifocal.data.selection import Timeline


def even(count: int, fps: float = 24.0) -> Timeline:
    return Timeline(tuple(i / fps for i in range(count)), count / fps)
