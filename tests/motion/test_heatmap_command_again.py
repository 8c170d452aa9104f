"""`motifocal heatmap` run again: nothing is done twice, and what has changed is made anew."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from heatmap_runs import expected_map, map_stamps, same_map, square_frames, write_clip

from motifocal.cli import heatmap as command
from motifocal.cli import main
from motifocal.cli.output.clip_table import COLUMNS, read_table
from motifocal.media.video import write_image
from motifocal.motion.heatmap_files import load_heatmap


def test_running_again_does_nothing_twice_and_says_so(heatmap: CommandLine, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_clip(tmp_path / f"clips/{name}.mp4")
    first = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay")
    before = map_stamps(tmp_path / "maps")
    (tmp_path / "maps/b.npz").unlink()
    (tmp_path / "maps/c.overlay.mp4").unlink()
    again = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay")
    assert (again.code, again.out) == (0, first.out)
    assert "3 clips (1 done before)" in again.err
    after = map_stamps(tmp_path / "maps")
    changed = {name for name, stamp in after.items() if stamp != before[name]}
    assert changed == {"b.npz", "c.overlay.mp4"}
    assert after.keys() == before.keys()


def test_after_a_kill_what_is_there_is_not_computed_again(
    heatmap: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write_clip(tmp_path / f"clips/{name}.mp4")
    work = command.measure

    def full_disk(row: command.ClipRow, **options: Any) -> command.ClipRow:
        if row.heatmap == "b.npz":
            raise OSError(28, "No space left on device")
        return work(row, **options)

    monkeypatch.setattr(command, "measure", full_disk)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--workers", 1)
    assert ended.code == 1
    assert "motifocal: [Errno 28] No space left on device" in ended.err
    before = map_stamps(tmp_path / "maps")
    assert "a.npz" in before
    assert "b.npz" not in before
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["motifocal", "heatmap", "clips", "-o", "maps"])
    main()
    after = map_stamps(tmp_path / "maps")
    assert set(after) == {"a.npz", "b.npz", "c.npz"}
    assert after["a.npz"] == before["a.npz"]
    rows = read_table(tmp_path / "maps/clips.csv")
    for name in "abc":
        clip = tmp_path / f"clips/{name}.mp4"
        assert rows[str(clip)].moving_fraction == pytest.approx((expected_map(clip) > 0.5).mean())


def test_a_damaged_map_is_made_anew_when_its_overlay_is_asked_for(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "clips/a.mp4", 3)
    heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    (tmp_path / "maps/a.npz").write_bytes(b"cut short")
    assert heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay").code == 0
    assert same_map(tmp_path / "maps/a.npz", expected_map(clip))


def test_a_clip_that_is_gone_leaves_the_table_but_those_of_other_folders_stay(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    for name in ("one/a", "one/b", "two/c"):
        write_clip(tmp_path / f"{name}.mp4")
        heatmap((tmp_path / f"{name}.mp4").parent, "-o", tmp_path / "maps")
    for name in ("one/a", "two/c"):
        (tmp_path / f"{name}.mp4").unlink()
    ended = heatmap(tmp_path / "one", "-o", tmp_path / "maps")
    assert ended.code == 0
    gone = tmp_path / "one/a.mp4"
    assert f"1 no longer in CLIPS, taken out: {gone}" in ended.err.splitlines()
    clips = set(read_table(tmp_path / "maps/clips.csv"))
    assert clips == {str(tmp_path / "one/b.mp4"), str(tmp_path / "two/c.mp4")}


def test_a_clip_that_has_changed_gets_a_new_map_and_overlay(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4", 0)
    heatmap(clip, "-o", tmp_path / "maps", "--overlay")
    assert load_heatmap(tmp_path / "maps/a.npz")[0].max() < 0.5
    before = map_stamps(tmp_path / "maps")
    write_clip(clip, 3)
    assert heatmap(clip, "-o", tmp_path / "maps", "--overlay").code == 0
    assert same_map(tmp_path / "maps/a.npz", expected_map(clip))
    after = map_stamps(tmp_path / "maps")
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in after)


def test_a_folder_of_pictures_counts_as_changed_when_one_of_them_does(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    for index, picture in enumerate(square_frames(0)):
        write_image(tmp_path / f"frames/{index}.png", picture)
    heatmap(tmp_path / "frames", "-o", tmp_path / "maps")
    assert load_heatmap(tmp_path / "maps/frames.npz")[0].max() < 0.5
    write_image(tmp_path / "frames/1.png", square_frames(5)[1])
    heatmap(tmp_path / "frames", "-o", tmp_path / "maps")
    assert load_heatmap(tmp_path / "maps/frames.npz")[0].max() > 0.5


def test_a_folder_is_never_filled_with_maps_of_two_settings(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    heatmap(clip, "-o", tmp_path / "maps")
    for options in (["--floor", 0.4], ["--size", 32], ["--fps", 4], ["--format", "mp4"]):
        ended = heatmap(clip, "-o", tmp_path / "maps", *options)
        assert ended.code == 1
        assert "use the same settings or another folder" in ended.err
    assert set(map_stamps(tmp_path / "maps")) == {"a.npz"}


def test_a_folder_of_a_time_with_fewer_settings_is_gone_on_with(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    full = ("-o", tmp_path / "maps", "--flow-size", 0, "--dis-preset", "medium",
            "--evidence", "pixels")  # there was nothing else then
    heatmap(clip, *full)
    path = tmp_path / "maps/heatmap.json"
    held = json.loads(path.read_text())
    for name in ("source", "preset", "flow_size", "camera", "raft_iterations", "raft_weights"):
        del held["heatmap"][name]
    path.write_text(json.dumps(held))
    assert heatmap(clip, *full).code == 0
    assert heatmap(clip, *full, "--camera").code == 1
    held["heatmap"]["colour"] = "red"
    path.write_text(json.dumps(held))
    assert "settings should have the keys" in heatmap(clip, "-o", tmp_path / "maps").err


@pytest.mark.parametrize("text", ["[1, 2]", "{oops", "[" * 5000])
def test_a_folder_whose_settings_are_none_is_refused_in_one_line(
    heatmap: CommandLine, tmp_path: Path, text: str
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/heatmap.json").write_text(text)
    ended = heatmap(clip, "-o", tmp_path / "maps")
    assert ended.code == 1
    assert "heatmap.json should " in ended.err
    assert len(ended.err.strip().splitlines()) == 1


def test_another_table_in_the_folder_is_not_overwritten(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    (tmp_path / "maps").mkdir()
    head = ",".join(COLUMNS)
    damaged = f"{head}\na.npz,/a.mp4,many,2,3,4,5,0.5,\n", f"{head}\n{'a' * 200_000},\n"
    for text in ("name,score\na,1\n", f"{head}\nhalf a line", *damaged):
        (tmp_path / "maps/clips.csv").write_text(text)
        ended = heatmap(clip, "-o", tmp_path / "maps")
        assert ended.code == 1
        assert "clips.csv should be a table with the columns heatmap, clip" in ended.err
        assert (tmp_path / "maps/clips.csv").read_text() == text
