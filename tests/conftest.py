"""Fixtures that several test files use."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import CommandLine, command_line

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files with slow tests first, so that several processes end at about the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Leave the libraries that are imported by now out of garbage collections: millions of objects.

    Without it every `gc.collect` takes half a second, and many commands call it.
    """
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of generated clips and reference vectors that MOTIFOCAL_SHARED names."""
    folder = os.environ.get("MOTIFOCAL_SHARED")
    if not folder:
        pytest.skip("MOTIFOCAL_SHARED is not set")
    if not Path(folder).is_dir():
        pytest.fail(f"MOTIFOCAL_SHARED should name a folder, got {folder}")
    return Path(folder).resolve()  # tests link to what is in it


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny autoencoder and text encoder, of each file its own."""
    from tiny import tiny_base  # loads torch

    return tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, of each file its own: as long as it runs, its event loop does."""
    from browser import chromium  # loads Playwright

    with chromium() as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def _accelerator_of_this_file() -> None:
    """Forget the Accelerator of another test file, which may have had another precision.

    A process has one. Files that are shared among workers come in any order, and interleaved.
    """
    if "accelerate.state" in sys.modules:
        from tiny import fresh_accelerator

        fresh_accelerator()


@pytest.fixture
def export(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """Runs `motifocal export` in this process; a traceback would fail the test."""
    return command_line(monkeypatch, capsys, "export")
