"""The command line in this process: what it wrote and the exit code; a traceback fails the test."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from motifocal.cli import main


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


CommandLine = Callable[..., Ended]


def command_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *first: str
) -> CommandLine:
    """Return what runs `motifocal` with the words `first` and those that it is given."""

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["motifocal", *first, *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        return Ended(code, *capsys.readouterr())

    return run
