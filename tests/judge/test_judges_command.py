"""A program as a judge, and `motifocal bench judge` as it is typed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_judges import query, results_in

from motifocal.bench.judge.judge import PROGRAM, TIMED_OUT, Answer, Failure
from motifocal.bench.judge.program import ProgramJudge
from motifocal.bench.results import claim_results
from motifocal.cli import cli


def program(folder: Path, code: str) -> str:
    file = folder / "judge.py"
    file.write_text("import sys, pathlib\nframes, prompt, output = sys.argv[1:4]\n" + code)
    return f"{sys.executable} {file} {{frames}} {{prompt}} {{output}}"


def test_a_program_reads_frames_and_prompt_and_writes_a_probability(tmp_path: Path) -> None:
    command = program(tmp_path, (
        "names = sorted(p.name for p in pathlib.Path(frames).iterdir())\n"
        "assert names == ['000.png', '001.png', '002.png', '003.png', '004.png']\n"
        "assert prompt == 'a \"ball\"; $HOME', prompt\n"
        "pathlib.Path(output).write_text('0.25\\n')\n"))
    judge = ProgramJudge(command, "reward")
    large = np.zeros((5, 16, 16, 3), np.uint8)
    assert judge.ask([query(large, 'a "ball"; $HOME')]) == [Answer(0.25)]


@pytest.mark.parametrize(("code", "reason"), [
    ("sys.exit(3)", "exit code 3"),
    ("pass", "it wrote no probability.txt"),
    ("pathlib.Path(output).write_text('7')", "from 0 to 1, got '7'"),
    ("pathlib.Path(output).write_text('nan')", "from 0 to 1, got 'nan'"),
    ("pathlib.Path(output).symlink_to('/etc/hostname')", "it wrote no probability.txt"),
])  # fmt: skip
def test_a_program_that_gives_no_probability_is_a_failure(
    tmp_path: Path, code: str, reason: str
) -> None:
    (outcome,) = ProgramJudge(program(tmp_path, code), "reward").ask([query()])
    assert isinstance(outcome, Failure)
    assert outcome.kind == PROGRAM
    assert reason in outcome.reason


def test_a_program_that_takes_too_long_is_a_failure_by_name(tmp_path: Path) -> None:
    judge = ProgramJudge(program(tmp_path, "import time; time.sleep(60)"), "slow", timeout=0.5)
    (outcome,) = judge.ask([query()])
    assert isinstance(outcome, Failure)
    assert outcome.kind == TIMED_OUT


@pytest.mark.parametrize("command", ["run {frames}", "{frames} {output}", "run {frames} {video}"])
def test_a_command_that_cannot_work_is_refused(command: str) -> None:
    with pytest.raises(ValueError, match="command should"):
        ProgramJudge(command, "reward")


@pytest.mark.parametrize(("option", "judge", "words"), [
    (["--batch", "2"], ["--command", "run {frames} {output}"], "a program answers one question"),
    (["--model", "m"], ["--command", "run {frames} {output}"], "--model needs an address as judge"),
    (["--model", "m"], ["--judge", "folder"], "--model needs an address as judge"),
])  # fmt: skip
def test_an_option_that_has_no_effect_on_a_judge_is_refused(
    tmp_path: Path, option: list[str], judge: list[str], words: str
) -> None:
    results = results_in(tmp_path, prompts={"ball": ("the ball rises",)})
    done = CliRunner().invoke(cli, ["bench", "judge", str(results.folder), *judge, *option,
                                    "-o", str(tmp_path / "out")])
    assert (done.exit_code, words in done.output) == (2, True), done.output


def test_the_command_judges_two_models_and_compares_nothing_it_cannot(tmp_path: Path) -> None:
    prompts = {"ball": ("the ball rises",), "kite": ("a kite flies in",)}
    ours, theirs = (results_in(tmp_path, name, prompts) for name in ("ours", "theirs"))
    code = "pathlib.Path(output).write_text('0.5')"
    arguments = ["bench", "judge", str(ours.folder), str(theirs.folder), "-o",
                 str(tmp_path / "out"), "--command", program(tmp_path, code), "--name", "half",
                 "--frames", "2", "-q"]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "half DOES NOT TELL the videos of ours from: still image" in done.output
    assert (tmp_path / "out" / "scores.json").exists()
    refused = CliRunner().invoke(cli, [*arguments, "--pairwise"])
    assert refused.exit_code == 2
    assert "--pairwise needs two models and no --command" in refused.output
    other = replace(theirs, folder=tmp_path / "other seed", seeds=(1,))
    claim_results(other)
    early = CliRunner().invoke(cli, ["bench", "judge", str(ours.folder), str(other.folder), "-o",
                                     str(tmp_path / "none"), "--judge", "no/model", "--pairwise"])
    assert "should have videos of one pair and seed to compare" in str(early.exception)
    assert not (tmp_path / "none").exists()
    for missing in (["bench", "judge", str(ours.folder)],
                    ["bench", "judge", str(ours.folder), "--judge", "http://127.0.0.1:9/v1"]):
        assert CliRunner().invoke(cli, missing).exit_code == 2
