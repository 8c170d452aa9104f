"""Fixtures that several tests of the pipeline use."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import tiny_folder, tiny_pipeline

from motifocal.models.pipeline import TI2VPipeline


@pytest.fixture(scope="module")
def pipeline() -> TI2VPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")
