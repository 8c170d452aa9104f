"""Import paths of earlier versions work and warn."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from motifocal._moved import _PACKAGES, MOVES


@pytest.mark.parametrize("before", sorted(MOVES))
def test_an_old_module_is_the_new_one_and_warns(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{before}.")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.import_module(MOVES[before])
    with pytest.warns(DeprecationWarning, match="goes with the next release"):
        module = importlib.import_module(before)
    assert module is importlib.import_module(MOVES[before])
    assert module.__spec__ is not None
    assert module.__spec__.name == module.__name__ == MOVES[before]


@pytest.mark.parametrize("package", sorted(_PACKAGES))
def test_a_module_that_is_a_package_now_has_its_names_still(package: str) -> None:
    now = importlib.import_module(_PACKAGES[package])
    public = next(name for name, value in vars(now).items()
                  if getattr(value, "__module__", "") == now.__name__ and name[0] != "_")
    with pytest.warns(DeprecationWarning, match=f"{package}.{public} is {now.__name__}"):
        assert getattr(importlib.import_module(package), public) is getattr(now, public)
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(package).no_such_name  # noqa: B018


def test_an_old_name_works_in_a_fresh_interpreter_and_says_where_it_is_used() -> None:
    code = ("from motifocal.heatmap import clip_heatmap\n"
            "from motifocal.loss import motion_focal_loss\n")
    done = subprocess.run([sys.executable, "-W", "always::DeprecationWarning", "-c", code],
                          check=True, capture_output=True, text=True)
    assert "<string>:1: DeprecationWarning: motifocal.heatmap is motifocal.motion.heatmap" \
        in done.stderr
    assert "loss.motion_focal_loss is motifocal.loss.focal.motion_focal_loss" in done.stderr


@pytest.mark.parametrize(("module", "before", "now"), [
    ("bench.results", "Wanted", "ExpectedVideo"), ("bench.run", "take_in", "register_video"),
    ("bench.score.clip", "Looked", "ClipFeatures"), ("bench.gallery.page", "compared",
                                                     "compare_results"),
    ("study.offline.import_votes", "HandingIn", "OfflineImport"),
    ("study.stats.tally", "Over", "Cluster"), ("study.store.database", "located", "parse_url"),
])
def test_a_name_that_was_changed_is_found_by_the_old_one(
    module: str, before: str, now: str
) -> None:
    found = importlib.import_module(f"motifocal.{module}")
    with pytest.warns(DeprecationWarning, match=f"{before} is motifocal.{module}.{now} now"):
        assert getattr(found, before) is getattr(found, now)
    with pytest.raises(AttributeError, match="no_such_name"):
        found.no_such_name  # noqa: B018


def test_a_function_takes_an_argument_by_its_old_name() -> None:
    from motifocal._moved import renamed_arguments

    @renamed_arguments(over="cluster_by")
    def count(votes: int, *, cluster_by: str = "image_id") -> tuple[int, str]:
        return votes, cluster_by

    assert count(1, cluster_by="scenario") == (1, "scenario")
    with pytest.warns(DeprecationWarning, match="cluster_by") as warned:
        assert count(1, over="scenario") == (1, "scenario")  # type: ignore[call-arg]
    assert warned[0].filename == __file__
    with pytest.raises(TypeError, match="over and cluster_by"):
        count(1, over="scenario", cluster_by="image_id")  # type: ignore[call-arg]


def test_results_answer_to_wanted_still() -> None:
    from motifocal.bench.pairs import Benchmark, Pair
    from motifocal.bench.results import Results

    results = Results(Path("x"), "a", {}, Benchmark("b", (Pair("", "1", "go"),), 1), (0,), None)
    with pytest.warns(DeprecationWarning, match=r"Results\.expected"):
        assert results.wanted() == results.expected() != []
