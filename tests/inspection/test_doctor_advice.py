"""What inspect says of its settings: how many frames would fit, and when the camera should go."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from doctor_clips import moving, pan, save

from motifocal.cli.inspect import inspect
from motifocal.inspection.diagnose import advice_on_frames, diagnose
from motifocal.inspection.entries import Entry
from motifocal.inspection.finding import Finding

SHORT = Finding(frames=16, fps=8.0, seconds=2.0, fitting=13)
LONG = Finding(frames=90, fps=8.0, seconds=11.0, sample_count=1)


def shorter(frames: int, fitting: int) -> Finding:
    return replace(SHORT, frames=frames, fitting=fitting)


def test_the_frames_that_fit_are_named_and_that_nobody_chose_the_others() -> None:
    findings = [SHORT] * 13 + [LONG] * 4
    assert advice_on_frames(findings, 81, is_default=True) == (
        "13 of 17 clips are too short for --frames 81, the default; "
        "13 of them have 16 frames: --frames 13."
    )
    words = advice_on_frames(findings, 81, is_default=False)
    assert words is not None
    assert "for --frames 81; 13 of them" in words


def test_clips_of_several_lengths_have_a_number_for_most_and_one_for_all() -> None:
    findings = [SHORT] * 12 + [shorter(22, 21), shorter(6, 5), Finding(problem=("unreadable", "x"))]
    assert advice_on_frames(findings, 81, is_default=False) == (
        "14 of 14 clips are too short for --frames 81; "
        "13 of them have 16 to 22 frames: --frames 13 (--frames 5 for all 14)."
    )


def test_nothing_is_said_where_no_clip_is_too_short() -> None:
    damaged = Finding(problem=("unreadable", "x"))
    assert advice_on_frames([LONG, damaged], 81, is_default=True) is None
    assert advice_on_frames([], 81, is_default=True) is None


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    for seed in range(3):
        save(tmp_path / f"clips/{seed}.mp4", moving(seed, 16, height=48, width=64))
    save(tmp_path / "clips/pan.mp4", pan(5, 30, height=48, width=64))
    return tmp_path / "clips"


@pytest.mark.slow
@pytest.mark.parametrize(("options", "frames", "most"), [
    ([], 81, 13), (["--family", "ltx", "--frames", "33"], 33, 9),
    (["--trainer", "ltx", "--frames", "33"], 33, 9),
])  # fmt: skip
def test_the_command_says_what_fits_by_the_rule_of_the_family(
    clips: Path, tmp_path: Path, options: list[str], frames: int, most: int
) -> None:
    result = CliRunner().invoke(inspect, [str(clips), "-o", str(tmp_path / "out"), "--size",
                                          "64x64", "--workers", "1", *options])  # fmt: skip
    report = json.loads((tmp_path / "out/inspect.json").read_text())
    (advice,) = report["advice"]
    default = ", the default" if not options else ""
    assert f"for --frames {frames}{default}; " in advice
    assert f"--frames {most}" in advice
    assert advice in " ".join(result.stdout.split())
    assert advice in (tmp_path / "out/inspect.html").read_text().replace("&#x27;", "'")


def test_a_clip_that_moves_all_over_leads_to_the_option_that_takes_the_camera_out() -> None:
    def words(share: float, camera: bool) -> dict[str, str]:
        finding = replace(LONG, moving_fraction=share, most_moving=share, watched=90)
        return dict(diagnose(Entry("a", Path("a"), None), finding, captioned=False, frames=9,
                             camera=camera))  # fmt: skip

    assert words(0.62, False)["mostly-moving"] == "62% of the frame moves; try --camera"
    assert "even without the camera's motion" in words(0.62, True)["mostly-moving"]
    assert "mostly-moving" not in words(0.5, False)


def test_all_faults_of_a_clip_are_printed_each_whole(tmp_path: Path) -> None:
    save(tmp_path / "clips/a.mp4", moving(1, 16, height=48, width=33 * 2))
    arguments = [str(tmp_path / "clips"), "-o", str(tmp_path / "out"), "--size", "480x480"]
    shown = CliRunner().invoke(inspect, arguments).stdout
    assert "no sample of 81 frames" in shown
    assert "--frames 13 would fit" in shown
    assert "66x48 is enlarged 10.00 times" in shown
