"""Fixtures that several tests of fine-tuning use."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_finetune import invoke, prepared, train_arguments


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The folder of all, a tiny TI2V-5B, and its cache."""
    folder = tmp_path_factory.mktemp("made")
    return folder, *prepared("wan22-5b", folder)


@pytest.fixture(scope="session")
def trained(made: tuple[Path, Path, Path]) -> Path:
    """An unbroken run of three steps."""
    folder, model, cache = made
    result = invoke(*train_arguments(cache, folder / "run", model))
    assert result.exit_code == 0, result.output
    return folder / "run"
