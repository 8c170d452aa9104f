"""The benchmarks run, compare fairly, and land in the page that shows them."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
from script_module import module_at

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "benchmarks"
SCRIPTS = sorted(
    path.stem
    for path in FOLDER.glob("*.py")
    if "\n    options = parser(" in path.read_text() or "read(parser(" in path.read_text()
)

OTHER_TRAINERS, FAULTS = "finetune", "trainer_faults"  # import other trainers
SCALE = "scale"  # no ratios, and a page of its own
GPU = "gpu"  # run apart from the others: where there is no GPU, the page keeps its figures
Load = Callable[[str], ModuleType]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """A script of benchmarks/ as a module, beside which the others are found."""
    monkeypatch.syspath_prepend(FOLDER)
    return lambda name: module_at(FOLDER / f"{name}.py")


def rows_of(output: str) -> list[list[str]]:
    """The cells of a printed table's rows, without its header."""
    lines = [line for line in output.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def in_a_process_apart(name: str, *arguments: str) -> str:
    """What a script prints that imports other trainers with empty modules beside them."""
    command = [sys.executable, str(FOLDER / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_quick_run_prints_a_table_of_ratios(
    name: str, load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == OTHER_TRAINERS:
        output = in_a_process_apart(name, "--quick")
    else:
        load(name).main(["--quick"])
        output = capsys.readouterr().out
    assert re.search(r"\d+ cores?, Python 3\.\d+\.\d+, torch .*; 2 rounds\.$", output, re.MULTILINE)
    rows = rows_of(output)
    assert len(rows) >= 2
    ratios = [float(row[1]) for row in rows]
    assert ratios[0] == 1
    assert all(ratio > 0 for ratio in ratios)


def test_ways_take_turns_and_the_first_turn_is_not_measured(load: Load) -> None:
    measure = load("measure")
    order: list[str] = []
    now = 0.0

    def way(name: str, seconds: Iterator[float]) -> None:
        nonlocal now
        order.append(name)
        now += next(seconds)

    ways = {
        "a": partial(way, "a", iter([99.0, 1.0, 2.0])),
        "b": partial(way, "b", iter([99.0, 3.0, 4.0])),
    }
    times = measure.take_turns(ways, rounds=2, clock=lambda: now)
    assert "".join(order) == "ababab"
    assert times == {"a": [1.0, 2.0], "b": [3.0, 4.0]}


def test_what_slows_a_whole_turn_leaves_the_ratio_alone(load: Load) -> None:
    measure = load("measure")
    times = {"a": [1.0, 10.0, 2.0, 1.0], "b": [3.0, 30.0, 6.0, 3.0]}
    assert measure.ratio(times, "b", "a") == (3.0, 3.0, 3.0)
    assert measure.ratio_rows(times, ["a", "b"], "a") == [
        ["a", "1.000", "", "1.5 s"],
        ["b", "3.000", "3.000 to 3.000", "4.5 s"],
    ]


def test_one_round_has_no_spread_and_is_refused(load: Load) -> None:
    with pytest.raises(ValueError, match="rounds should be at least 2, got 1"):
        load("measure").take_turns({"a": list}, rounds=1)


@pytest.mark.parametrize(
    ("seconds", "text"), [(12.345, "12.3 s"), (0.25, "250 ms"), (0.001, "1 ms"), (3.2e-5, "32 µs")]
)
def test_durations_are_shown_in_a_readable_unit(seconds: float, text: str, load: Load) -> None:
    assert load("measure").duration(seconds) == text


def test_the_share_of_the_motion_part_is_what_it_adds_over_a_step(load: Load) -> None:
    step = load("step")
    times = dict(zip((*step.STEPS, *step.LOSSES), ([2.0], [9.0], [0.01], [0.03]), strict=True))
    assert step.share(times) == pytest.approx(0.01)


def test_a_table_replaces_what_lies_between_its_markers_only(load: Load) -> None:
    replaced = load("into_docs").replaced
    page = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n"
    once = replaced(page, "x", "new\n")
    assert once == (
        "a\n<!-- begin x -->\n\nnew\n\n<!-- end x -->\nb\n<!-- begin y -->\n<!-- end y -->\n"
    )
    assert replaced(once, "x", "new") == once


@pytest.mark.parametrize(
    "page",
    ["", "<!-- end x --><!-- begin x -->", "<!-- begin x --><!-- begin x --><!-- end x -->"],
)
def test_a_page_without_the_markers_is_refused(page: str, load: Load) -> None:
    with pytest.raises(ValueError, match="should hold <!-- begin x --> and then <!-- end x -->"):
        load("into_docs").replaced(page, "x", "new")


def test_every_benchmark_is_run_by_run_all_and_has_its_place_on_the_page() -> None:
    script = (FOLDER / "run_all.sh").read_text()
    loop = re.search(r"^for name in (.*); do$", script, re.MULTILINE)
    assert loop is not None
    assert len(SCRIPTS) == 9
    names = sorted([*SCRIPTS, FAULTS])
    assert sorted(shlex.split(loop[1])) == sorted([*names, SCALE])
    assert script.count("benchmarks/gpu.py --tiny") == 1
    for name, sections in (("benchmarks.md", sorted([*names, GPU])), ("scale.md", [SCALE])):
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        for mark in ("begin", "end"):
            assert sorted(re.findall(rf"<!-- {mark} (\w+) -->", page)) == sections


@pytest.mark.slow
def test_the_cost_of_many_clips_is_printed_and_a_finished_run_is_found_so() -> None:
    output = in_a_process_apart(SCALE, "--rows", "500", "--clips", "0", "--throughput", "0")
    (listed, *tenths, most) = rows_of(output)
    assert [listed[0], most[0]] == ["listed", "at most"]
    assert [int(tenth[0]) for tenth in tenths] == list(range(50, 501, 50))
    assert "of a finished run over 500 rows, started again: " in output


@pytest.mark.slow
def test_the_faults_of_other_trainers_are_not_ours_and_are_as_the_page_says() -> None:
    rows = rows_of(in_a_process_apart(FAULTS))
    assert [ours for _, ours, *_ in rows] == ["no", "no", "no"]
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (printed,) = re.findall(r"<!-- begin trainer_faults -->(.*?)<!-- end", page, re.DOTALL)
    for here, on_page in zip(rows, rows_of(printed), strict=True):
        assert set(here) <= set(on_page)  # a trainer that is not installed has no column
