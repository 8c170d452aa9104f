"""What long commands say on stderr: plain lines anywhere but on a terminal, nothing when quiet."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from motifocal.cli.output.progress import (
    PERIOD,
    Lines,
    announce,
    duration,
    phase,
    phases,
    progress,
    quiet_option,
    tracked,
)


@click.command()
@quiet_option
def working() -> None:
    """Goes through all that progress has."""
    announce("loading")
    with phase("weighing"):
        pass
    for item in tracked(iter("abc"), "reading letters", 3):
        click.echo(item)
    with progress("nothing", 0):
        pass
    with progress("counting", 2, done=1) as bar:
        bar.say("failed: one")
        bar.announce("a remark")
        bar.advance()


def test_without_a_terminal_every_phase_says_when_it_begins_and_ends() -> None:
    done = CliRunner().invoke(working, [])
    lines = done.stderr.splitlines()
    assert done.stdout == "a\nb\nc\n"
    assert [line.rsplit(",", 1)[0] for line in lines] == [
        "loading", "weighing ...", "weighing: 0.0 s", "reading letters: 0 of 3",
        "reading letters: 3 of 3", "counting: 1 of 2", "failed: one", "a remark",
        "counting: 2 of 2",
    ]  # fmt: skip


def test_quiet_keeps_results_and_failures_only() -> None:
    done = CliRunner().invoke(working, ["--quiet"])
    assert done.stdout == "a\nb\nc\n"
    assert done.stderr == "failed: one\n"


def test_only_the_first_process_of_a_training_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    assert CliRunner().invoke(working, []).stderr == "failed: one\n"


def test_a_line_is_written_every_ten_seconds_with_the_time_that_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    lines = Lines("encoding clips", 100, clock=lambda: now)
    for done in range(1, 11):
        now += 4
        lines.reach(done, "loss 0.1")
    lines.close()
    assert PERIOD == 10
    assert capsys.readouterr().err.splitlines() == [
        "encoding clips: 0 of 100",
        "encoding clips: 3 of 100, loss 0.1, 12 s, about 6 min left",
        "encoding clips: 6 of 100, loss 0.1, 24 s, about 6 min left",
        "encoding clips: 9 of 100, loss 0.1, 36 s, about 6 min left",
    ]


def test_the_time_left_counts_only_what_this_run_has_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    now = 0.0
    lines = Lines("training: steps", 100, done=90, clock=lambda: now)
    now = 20.0
    lines.reach(92)
    assert capsys.readouterr().err.splitlines()[-1].endswith("92 of 100, 20 s, about 80 s left")


def test_a_phase_that_is_broken_off_does_not_claim_its_end(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        list(tracked(items(), "reading", 3))
    assert capsys.readouterr().err == "reading: 0 of 3\n"


def test_phases_follow_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with phases() as tell:
        for doing in ("reading", "scoring"):
            for done in range(3):
                tell(doing, done, 2)
    lines = [line.split(",")[0] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["reading: 0 of 2", "reading: 2 of 2", "scoring: 0 of 2", "scoring: 2 of 2"]


@pytest.mark.parametrize(("seconds", "text"), [
    (0.04, "0.0 s"), (9.94, "9.9 s"), (35.2, "35 s"), (121, "2 min"), (12_600, "3.5 h"),
])  # fmt: skip
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text
