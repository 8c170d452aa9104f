"""`motifocal heatmap`: bad clips are listed with a reason, wrong options are told in a line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from command_line import CommandLine
from heatmap_runs import map_stamps, masks_for, write_clip

from motifocal.cli.output import measured_clips
from motifocal.cli.output.clip_table import read_table


def test_a_bad_clip_is_listed_with_its_reason_and_the_others_are_done(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    for name in ("a", "z"):
        write_clip(tmp_path / f"clips/{name}.mp4")
    (tmp_path / "clips/empty.mp4").touch()
    (tmp_path / "clips/text.mp4").write_text("no video at all")
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert sorted(map_stamps(tmp_path / "maps")) == ["a.npz", "z.npz"]
    assert f"  {tmp_path}/clips/empty.mp4: the file is empty" in ended.err
    assert re.search(rf"^  {tmp_path}/clips/text.mp4: \S+", ended.err, re.MULTILINE)
    assert "left out, 2 of 4 clips:" in ended.err
    assert ended.err.endswith("Error: 2 of 4 clips could not be measured\n")
    assert "2 clips: " in ended.err  # the sum is of those that were measured
    reasons = [row.reason for row in read_table(tmp_path / "maps/clips.csv").values()]
    assert [bool(reason) for reason in reasons] == [False, True, True, False]


def test_a_clip_whose_map_cannot_be_written_is_listed_and_the_others_are_done(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    write_clip(tmp_path / "clips/a.mp4", 3)
    write_clip(tmp_path / "clips/deep/b.mp4", 3)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/deep").write_text("a file where the map's folder should be")
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert (tmp_path / "maps/a.npz").exists()
    assert re.search(r"left out, 1 of 2 clips:\n  \S*deep/b.mp4: .*exists", ended.err)


def test_a_clip_too_large_for_memory_is_left_out_and_says_what_helps(
    heatmap: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured_clips, "MOST_PIXELS", 5000)
    clip = write_clip(tmp_path / "a.mp4")
    ended = heatmap(clip, "-o", tmp_path / "maps")
    assert ended.code == 1
    assert "a.mp4: 4 frames of 64x48 are too much, add --size" in ended.err
    assert heatmap(clip, "-o", tmp_path / "small", "--size", "24x32").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gone.mp4", "-o", "maps"], 2, "'gone.mp4' does not exist"),
        (["-o", "maps"], 2, "Missing argument 'CLIP...'"),
        (["a.mp4"], 2, "Missing option '-o'"),
        (["empty", "-o", "maps"], 1, "empty should hold videos (.mp4, "),
        (["a.mp4", "-o", "maps", "--unit", "metres"], 2, "'metres' is not one of"),
        (["a.mp4", "-o", "maps", "--threshold", "0"], 1, "threshold should be positive, got 0.0"),
        (["a.mp4", "-o", "maps", "--noise", "-1"], 1, "noise should be at least 0, got -1.0"),
        (["a.mp4", "-o", "maps", "--format", "mp4", "--size", "31x32"], 2, "should be even for"),
    ],
)  # fmt: skip
def test_mistakes_are_told_in_a_line_and_write_nothing(
    heatmap: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "a.mp4")
    (tmp_path / "empty").mkdir()
    ended = heatmap(*arguments)
    assert ended.code == code
    assert message in ended.err
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objects", "1"], "--objects is about --masks, and there are none"),
        (["--masks", "masks", "--objects", "0"], "'all' or ids from 1 up like 1,3, got '0'"),
        (["--masks", "masks", "--objects", "one"], "'all' or ids from 1 up"),
        (["--masks", "masks", "--flow-size", "64"], "--flow-size is about flow, and --masks takes"),
        (["--masks", "gone"], "'gone' does not exist"),
        (["--fetch-raft"], "is for --source raft-small or raft-large without"),
        (["--flow-size", "-1"], "-1 is not in the range"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    heatmap: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "a.mp4")
    masks_for(tmp_path / "masks", "a")
    ended = heatmap("a.mp4", "-o", "maps", *arguments)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert not (tmp_path / "maps").exists()
