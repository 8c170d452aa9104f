"""Planning, simulating and reporting on the command line: what they print, write and refuse."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from motifocal.cli.study import study
from motifocal.study.protocol import Protocol
from motifocal.study.stats.power import plan
from motifocal.study.votes import read_votes, validate


def run(*words: object, code: int = 0) -> Result:
    result = CliRunner().invoke(study, [str(word) for word in words])
    assert result.exit_code == code, result.output
    return result


def simulated(folder: Path, *more: object) -> tuple[Path, Path]:
    votes, protocol = folder / "votes.jsonl", folder / "protocol.json"
    run("simulate", "-o", votes, "--protocol", protocol, "--pairs", 30, "--annotators", 10, *more)
    return votes, protocol


def test_a_plan_prints_what_is_reckoned() -> None:
    made = plan(320, 9, 5, wage=12, seconds_per_judgement=30, gold=1 / 8)
    words = ("plan", "--pairs", 320, "--models", 9, "--votes", 5, "--gold", 0.125)
    told = json.loads(run(*words, "--json").stdout)
    assert told["judgements"] == 14_400
    assert told["hours"] == pytest.approx((14_400 + 1_800) * 30 / 3600)
    assert tuple(told["smallest_share"]) == pytest.approx(made.smallest_share)
    table = run(*words).stdout
    for part in ("14 400", f"{made.hours:.1f}", "1 620 USD", "55.4 %", "53.8 %", "88 images",
                 "12 USD an hour", "30 s a judgement"):
        assert part in table


def test_a_plan_without_an_outcome_that_could_be_significant_says_none() -> None:
    words = ("plan", "--pairs", 6, "--images", 3, "--models", 9)
    assert "none" in run(*words).stdout
    assert json.loads(run(*words, "--json").stdout)["smallest_share"] == [None, None]


def test_a_plan_names_the_option_that_cannot_be() -> None:
    assert "--images" in run("plan", "--pairs", 5, "--images", 6, code=2).output
    assert "--image-correlation" in run("plan", "--image-correlation", 0.5, code=2).output
    assert "--true-share" in run("plan", "--true-share", 1, code=2).output


def test_the_options_of_a_plan_are_taken_by_their_earlier_names_with_a_warning() -> None:
    now = run("plan", "--json", "--pairs", 60, "--images", 30, "--image-correlation", 0.1)
    before = run("plan", "--json", "--pairs", 60, "--pictures", 30, "--picture-correlation", 0.1)
    assert before.stdout == now.stdout
    assert before.stdout != run("plan", "--json", "--pairs", 60).stdout
    assert (now.stderr, sorted(before.stderr.splitlines())) == ("", [
        "warning: --picture-correlation 0.1 is now --image-correlation 0.1; the old name will go",
        "warning: --pictures 30 is now --images 30; the old name will go"])
    assert "picture" not in run("plan", "--help").output


def test_simulated_votes_are_valid_and_of_their_protocol(tmp_path: Path) -> None:
    path, protocol = simulated(tmp_path, "--share", "A=0.9", "--models", 2, "--ties", 0.2)
    votes = read_votes(path)
    assert validate(votes) == []
    rules = Protocol.model_validate_json(protocol.read_bytes())
    assert {vote.protocol for vote in votes} == {rules.digest()}
    assert rules.ties
    assert {vote.model_b for vote in votes if vote.gold is None} == {"A", "baseline 1"}
    assert sum(vote.gold is None for vote in votes) == 2 * 30 * 5
    first = path.read_bytes()
    simulated(tmp_path, "--share", "A=0.9", "--models", 2, "--ties", 0.2)
    assert path.read_bytes() == first
    simulated(tmp_path, "--share", "A=0.9", "--models", 2, "--ties", 0.2, "--seed", 1)
    assert path.read_bytes() != first


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--share", "A"), "--share"),
        (("--share", "A=2"), "--share"),
        (("--share", "A=0.6", "--share", "A=0.7"), "--share"),
        (("--share", "A=0.6", "--share", "B=0.7", "--models", "1"), "--models"),
        (("--share", "ours=0.6"), "--share"),
        (("--votes", "5", "--annotators", "4"), "--annotators"),
    ],
)
def test_a_simulation_names_the_option_that_cannot_be(
    tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    result = run("simulate", "-o", tmp_path / "votes.jsonl", *words, code=2)
    assert f"Invalid value for {named}" in result.output or f"'{named}'" in result.output
    assert not (tmp_path / "votes.jsonl").exists()


def test_a_rehearsal_goes_from_simulated_votes_to_a_report(tmp_path: Path) -> None:
    votes, protocol = simulated(tmp_path, "--share", "A=0.95", "--ours", "[b]Mine")
    output = tmp_path / "report"
    words = ("report", votes, "--protocol", protocol, "-o", output, "--resamples", 200)
    result = run(*words, "--no-figures")
    assert "[b]Mine against" in result.stdout
    assert "Krippendorff" in result.stdout
    assert "was preferred to A" in " ".join(result.stdout.split())
    names = {"report.json", "comparisons.csv", "pairs.csv", "scenarios.csv", "table.md",
             "table.tex", "sentence.txt"}
    assert {path.name for path in output.iterdir()} == names
    for name in names:
        assert str(output / name) in result.stdout
    assert "INCOMPLETE" not in result.output
    lacking = run("report", votes, "--votes", 6, "-o", output, "--no-figures", "--resamples", 200)
    assert "30 of 180 votes are missing" in lacking.stderr
    assert "INCOMPLETE" in (output / "sentence.txt").read_text()


def test_a_report_over_images_is_that_over_pictures_of_earlier_versions(tmp_path: Path) -> None:
    votes, protocol = simulated(tmp_path)
    words = ("report", votes, "--protocol", protocol, "--resamples", 200, "--no-figures", "-o")
    now = run(*words, tmp_path / "now", "--over", "image")
    before = run(*words, tmp_path / "before", "--over", "picture")
    warning = "warning: --over picture is now image; the old name will go\n"
    assert (now.stderr, before.stderr) == ("", warning)
    for name in ("report.json", "comparisons.csv", "scenarios.csv", "table.md", "sentence.txt"):
        text = (tmp_path / "now" / name).read_text()
        assert text == (tmp_path / "before" / name).read_text()
        assert name.endswith((".json", ".csv")) or "picture" not in text
    assert "other prompt" in (tmp_path / "now" / "table.md").read_text()


def test_the_files_of_a_report_count_images_under_the_earlier_name_too(tmp_path: Path) -> None:
    votes, _ = simulated(tmp_path)
    run("report", votes, "--resamples", 200, "--no-figures", "-o", tmp_path / "report")
    content = json.loads((tmp_path / "report" / "report.json").read_text())
    (comparison,) = content["comparisons"]
    for part in (content, comparison, comparison["test"], comparison["majority_test"]):
        assert part["pictures"] == part["images"] == 8
    for name in ("comparisons.csv", "scenarios.csv"):
        with (tmp_path / "report" / name).open(newline="") as file:
            row = next(csv.DictReader(file))
        assert row["pictures"] == row["images"]


def test_a_report_draws_its_figures(tmp_path: Path) -> None:
    votes, _ = simulated(tmp_path)
    run("report", votes, "-o", tmp_path / "report", "--resamples", 200)
    assert (tmp_path / "report" / "figure4.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "report" / "figure4.pdf").read_bytes().startswith(b"%PDF")


def test_a_report_without_matplotlib_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes, _ = simulated(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = CliRunner().invoke(study, ["report", str(votes), "-o", str(tmp_path / "report")])
    assert isinstance(result.exception, ValueError)
    assert "pip install '.[report]'" in str(result.exception)
    assert not (tmp_path / "report").exists()
    run("report", votes, "-o", tmp_path / "report", "--no-figures", "--resamples", 200)


def test_a_report_needs_a_source_that_is_there(tmp_path: Path) -> None:
    result = run("report", tmp_path / "none.db", "-o", tmp_path / "report", code=2)
    assert "SOURCE" in result.output
