"""Fixtures that several tests of motion use."""

from __future__ import annotations

import pytest
from command_line import CommandLine, command_line


@pytest.fixture
def heatmap(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs `motifocal heatmap` in this process; a traceback would fail the test."""
    return command_line(monkeypatch, capsys, "heatmap")
