"""`motifocal bench score`: its files, options that do not go together, and what is missing."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tiny_bench import DrawingModel, write_benchmark

from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results, open_results
from motifocal.bench.run import run
from motifocal.bench.score.controls import ANOTHER, CONTROLS, SHUFFLED, STILL
from motifocal.bench.score.measures import MEASURES
from motifocal.bench.score.run import CACHE
from motifocal.cli import cli


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Results]:
    """Two models with names that need escaping."""
    folder = tmp_path_factory.mktemp("drawn")
    benchmark = read_benchmark(write_benchmark(folder / "bench"), own_pairs=True)
    found = []
    for index, name in enumerate(("ours & us_1", "theirs|50%")):
        model = DrawingModel(name)
        results = Results(folder / str(index), name, {}, benchmark, (index,), model.format)
        assert all(outcome.failure is None for outcome in run(model, results))
        found.append(open_results(results.folder))
    return found


def bench_score(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["bench", "score", *map(str, arguments)])


def test_the_command_writes_all_files_and_prints_the_control_rows(
    drawn: list[Results], tmp_path: Path
) -> None:
    folders = [each.folder for each in drawn]
    done = bench_score(*folders, "-o", tmp_path / "out", "--workers", 2)
    assert done.exception is None, done.output
    written = [Path(line) for line in done.output.splitlines()
               if line.startswith(str(tmp_path / "out"))]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        CACHE, *(path.name for path in written)}
    assert "theirs|50%_eval_results.json" in {path.name for path in written}
    printed = " ".join(done.output.split())
    for name in (*CONTROLS, "ours & us_1", "Difference to ours & us_1"):
        assert all(word in printed for word in name.split()), name
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(content["measures"]) == list(MEASURES)
    assert [each["name"] for each in content["rows"]] == [
        "ours & us_1", "theirs|50%", STILL, SHUFFLED, ANOTHER]
    still = content["rows"][2]["measures"]
    assert still["motion_amount"]["mean"] == 0
    before = {path.name: path.read_bytes() for path in written}
    again = bench_score(*folders, "-o", tmp_path / "out", "--workers", 1)
    assert again.stdout == done.stdout  # stderr says how long it took
    assert {path.name: path.read_bytes() for path in written} == before


def test_the_command_refuses_what_is_missing_and_marks_what_is_allowed(
    drawn: list[Results], tmp_path: Path
) -> None:
    folder = tmp_path / "less"
    shutil.copytree(drawn[1].folder, folder)
    open_results(folder).expected()[0].path.unlink()
    output = ("-o", tmp_path / "out", "--no-plot")
    refused = bench_score(drawn[0].folder, folder, *output)
    assert isinstance(refused.exception, ValueError)
    assert "lacks 1 of 5 pairs" in str(refused.exception)
    common = bench_score(drawn[0].folder, folder, *output, "--common")
    assert "4 of 5 pairs: those all models have" in common.output
    allowed = bench_score(drawn[0].folder, folder, *output, "--allow-missing")
    assert "INCOMPLETE, rows stand on different pairs" in allowed.output
    assert "INCOMPLETE" in (tmp_path / "out" / "table.md").read_text()
    assert not (tmp_path / "out" / "plot.png").exists()


def test_options_that_do_not_go_together_are_named(drawn: list[Results]) -> None:
    both = bench_score(drawn[0].folder, "--common", "--allow-missing")
    assert "--common and --allow-missing exclude each other" in both.output
    unknown = bench_score(drawn[0].folder, "--control", "nobody")
    assert "--control" in unknown.output
    assert "got nobody" in unknown.output
    assert both.exit_code == unknown.exit_code == 2


def test_a_plot_without_matplotlib_is_one_clear_line(
    drawn: list[Results], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = bench_score(drawn[0].folder, "-o", tmp_path / "out")
    assert isinstance(done.exception, ValueError)
    assert "pip install '.[bench]'" in str(done.exception)
    assert not (tmp_path / "out").exists()
    assert bench_score(drawn[0].folder, "-o", tmp_path / "out", "--no-plot").exception is None
