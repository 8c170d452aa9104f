"""Fixtures that several tests of the study use."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn_study import drawn_study
from simulated_reports import QUICK, SMALL, TRUTH, source_of
from starlette.testclient import TestClient
from study_client import client_of
from tiny_study import tiny_results

from motifocal.bench.results import Results
from motifocal.study.report.report import Report, make_report
from motifocal.study.stats.simulation import simulate
from motifocal.study.store.store import Store
from motifocal.study.votes import Vote


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    drawn_study(folder).close()
    return folder / "study.db"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(made, tmp_path / "study.db")
    with Store(tmp_path / "study.db") as opened:
        yield opened


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    with client_of(store) as made:
        yield made


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return tiny_results(tmp_path_factory.mktemp("results") / "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return tiny_results(tmp_path_factory.mktemp("results") / "theirs", "Theirs", turned=True)


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return tiny_results(tmp_path_factory.mktemp("results") / "others", "Others", turned=True)


@pytest.fixture(scope="module")
def votes() -> list[Vote]:
    return simulate(SMALL, TRUTH, seed=2)


@pytest.fixture(scope="module")
def simulated_report(votes: list[Vote]) -> Report:
    return make_report(source_of(votes), resampling=QUICK)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    """The address and the store of a study that is served."""
    from study_browser import listening_study  # loads Playwright

    with listening_study(tmp_path_factory.mktemp("browser")) as served:
        yield served
