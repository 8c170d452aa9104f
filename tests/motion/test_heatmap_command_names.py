"""`motifocal heatmap` names maps and overlays after their clips, and no two clips share one."""

from __future__ import annotations

import os
from pathlib import Path

from command_line import CommandLine
from heatmap_runs import expected_map, map_stamps, same_map, write_clip

from motifocal.cli.output.clip_table import read_table


def test_names_as_long_as_the_file_system_allows_have_maps_too_each_its_own(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    long = "\u8dd1" * 82  # 246 bytes, which leaves room for .mp4 and not for .overlay.mp4
    clips = [write_clip(tmp_path / f"clips/{long}{end}.mp4", 3) for end in "ab"]
    short = write_clip(tmp_path / "clips/c.mp4", 3)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay")
    assert ended.code == 0
    table = read_table(tmp_path / "maps/clips.csv")
    assert len({row.heatmap for row in table.values()}) == 3
    for clip in (*clips, short):
        assert same_map(tmp_path / "maps" / table[str(clip)].heatmap, expected_map(clip))
        assert (tmp_path / "maps" / table[str(clip)].overlay).exists()
    again = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay")
    assert "3 clips (3 done before)" in again.err


def test_clips_of_one_name_get_maps_of_their_own_within_a_run_and_across_runs(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clips = [
        *(write_clip(tmp_path / "one/x.mp4", 1), write_clip(tmp_path / "one/x.gif", 2)),
        *(write_clip(tmp_path / "one/X.mov.mp4", 3), write_clip(tmp_path / "two/x.mp4", 4)),
    ]
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/x.npz").write_text("somebody else's")
    heatmap(tmp_path / "one", "-o", tmp_path / "maps")
    heatmap(tmp_path / "two", "-o", tmp_path / "maps")
    ended = heatmap(tmp_path / "two", tmp_path / "one", "-o", tmp_path / "maps")
    assert "4 clips (4 done before)" in ended.err
    rows = read_table(tmp_path / "maps/clips.csv")
    names = [rows[str(clip)].heatmap for clip in clips]
    assert len({name.casefold() for name in names}) == 4
    for clip, name in zip(clips, names, strict=True):
        assert same_map(tmp_path / "maps" / name, expected_map(clip)), name
    assert (tmp_path / "maps/x.npz").read_text() == "somebody else's"


def test_a_clip_named_like_an_overlay_does_not_become_one(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clips = [write_clip(tmp_path / f"clips/{name}.mp4") for name in ("a", "a.overlay")]
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--format", "mp4", "--overlay")
    assert ended.code == 0
    rows = read_table(tmp_path / "maps/clips.csv")
    names = [name for clip in clips for name in (rows[str(clip)].heatmap, rows[str(clip)].overlay)]
    assert len(set(names)) == 4
    assert set(map_stamps(tmp_path / "maps")) == set(names)


def test_folders_of_one_name_are_kept_apart_by_the_folders_above(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    for model in ("ours", "theirs"):
        write_clip(tmp_path / f"videos/{model}/x.mp4")
    heatmap(tmp_path / "videos/ours", tmp_path / "videos/theirs", "-o", tmp_path / "maps")
    assert set(map_stamps(tmp_path / "maps")) == {"ours/x.npz", "theirs/x.npz"}


def test_a_clip_given_twice_is_measured_once(heatmap: CommandLine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clips/a.mp4")
    ended = heatmap(clip, tmp_path / "clips", clip, "-o", tmp_path / "maps")
    assert "1 clip: " in ended.err
    assert set(map_stamps(tmp_path / "maps")) == {"a.npz"}


def test_what_lies_in_the_output_folder_is_no_clip(heatmap: CommandLine, tmp_path: Path) -> None:
    write_clip(tmp_path / "a.mp4")
    given = (tmp_path, "-o", tmp_path / "maps", "--format", "mp4", "--overlay")
    heatmap(*given)
    ended = heatmap(*given)
    assert "1 clip (1 done before)" in ended.err
    ended = heatmap(tmp_path / "maps", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert "there should be clips outside of" in ended.err


def test_a_clip_that_no_table_can_name_is_listed_and_the_others_are_done(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    write_clip(tmp_path / "clips/a.mp4")
    odd = tmp_path / "clips" / os.fsdecode(b"b\xff.mp4")
    odd.write_bytes((tmp_path / "clips/a.mp4").read_bytes())
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert "its name is not UTF-8" in ended.err
    assert "1 of 2 clips could not be measured" in ended.err
    assert set(map_stamps(tmp_path / "maps")) == {"a.npz"}
    odd.rename(tmp_path / "clips/b.mp4")
    assert heatmap(tmp_path / "clips", "-o", tmp_path / "maps").code == 0
