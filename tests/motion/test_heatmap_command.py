"""`motifocal heatmap`: a map for every clip, names that never clash, and nothing done twice."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from command_line import CommandLine, command_line
from doctor_clips import pan, save

from motifocal.cli import heatmap as command
from motifocal.cli import main
from motifocal.cli.output import measured_clips
from motifocal.cli.output.clip_table import COLUMNS, read_table
from motifocal.media.video import count_frames, read_image, read_video, write_image, write_video
from motifocal.motion import raft
from motifocal.motion.flow import ESTIMATORS
from motifocal.motion.heatmap import DEFAULT_SETTINGS, HeatmapSettings, clip_heatmap
from motifocal.motion.heatmap_files import load_heatmap

Heatmap = CommandLine


@pytest.fixture
def heatmap(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Heatmap:
    """Runs the command line in this process; a traceback would fail the test."""
    return command_line(monkeypatch, capsys, "heatmap")


def square(step: int, height: int = 48, width: int = 64, frames: int = 4) -> np.ndarray:
    """A bright textured square moves right on grey by ``step`` pixels a frame."""
    texture = np.random.default_rng(0).integers(150, 250, (16, 16, 1), dtype=np.uint8)
    clip = np.full((frames, height, width, 3), 90, np.uint8)
    for frame in range(frames):
        clip[frame, 12:28, 8 + step * frame : 24 + step * frame] = texture
    return clip


def write(path: Path, step: int = 3, fps: float = 8, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, square(step, **size), fps, crf=8)
    return path


def expected(clip: Path, settings: HeatmapSettings = DEFAULT_SETTINGS) -> np.ndarray:
    return clip_heatmap(read_video(clip).frames, settings)


def same(path: Path, heat: np.ndarray) -> bool:
    return bool(np.abs(load_heatmap(path)[0] - heat).max() <= 0.5 / 255 + 1e-6)


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """What tells whether a file was written anew."""
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.suffix in (".npz", ".mp4")
    }


def test_every_clip_gets_the_map_that_the_library_gives(heatmap: Heatmap, tmp_path: Path) -> None:
    slow, fast = write(tmp_path / "clips/a.mp4", 1), write(tmp_path / "clips/deep/b.mp4", 4)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 0
    assert same(tmp_path / "maps/a.npz", expected(slow))
    assert same(tmp_path / "maps/deep/b.npz", expected(fast))
    assert load_heatmap(tmp_path / "maps/a.npz")[1] == DEFAULT_SETTINGS


def test_moving_fractions_are_printed_for_each_clip_and_their_mean_counts_each_clip_once(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    small = write(tmp_path / "clips/a.mp4", 3)
    large = write(tmp_path / "clips/b.mp4", 0, height=96, width=128)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    hot = (expected(small) > 0.5).mean()
    assert 0.05 < hot < 0.5
    assert (expected(large) > 0.5).mean() == 0
    assert re.findall(r"^ *([\d.]+)%  (\S+)$", ended.out, re.MULTILINE) == [
        (f"{100 * hot:.1f}", str(tmp_path / "maps/a.npz")),
        ("0.0", str(tmp_path / "maps/b.npz")),
    ]
    # b has four times the area, and still counts as much as a.
    assert f"2 clips: moving fraction mean {hot / 2:.1%}" in ended.err
    assert "nothing moves in 1, more than half in 0" in ended.err
    table = read_table(tmp_path / "maps/clips.csv")
    assert table[str(small)].moving_fraction == pytest.approx(hot)
    row = table[str(large)]
    assert (row.frames, row.height, row.width) == (4, 96, 128)


def test_the_table_has_the_moving_fraction_under_its_earlier_name_too_and_older_tables_are_read(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clip = write(tmp_path / "clips/a.mp4", 3)
    heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    path = tmp_path / "maps/clips.csv"
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert row["hot"] == row["moving_fraction"] != ""
    older = [name for name in row if name != "moving_fraction"]
    lines = [",".join(older), ",".join(row[name] for name in older)]
    path.write_text("\n".join(lines) + "\n")
    assert read_table(path)[str(clip)].moving_fraction == float(row["hot"])
    assert "1 clip (1 done before)" in heatmap(tmp_path / "clips", "-o", tmp_path / "maps").err


def test_clips_that_move_all_over_lead_to_the_option_that_takes_the_camera_out(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    save(tmp_path / "clips/a.mp4", pan(1, 6))
    hint = "more than half in 1; if the camera moves, try --camera"
    assert hint in heatmap(tmp_path / "clips", "-o", tmp_path / "maps").err
    assert "try --camera" not in heatmap(tmp_path / "clips", "-o", tmp_path / "own", "--camera").err


def test_names_as_long_as_the_file_system_allows_have_maps_too_each_its_own(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    long = "\u8dd1" * 82  # 246 bytes, which leaves room for .mp4 and not for .overlay.mp4
    clips = [write(tmp_path / f"clips/{long}{end}.mp4", 3) for end in "ab"]
    short = write(tmp_path / "clips/c.mp4", 3)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay")
    assert ended.code == 0
    table = read_table(tmp_path / "maps/clips.csv")
    assert len({row.heatmap for row in table.values()}) == 3
    for clip in (*clips, short):
        assert same(tmp_path / "maps" / table[str(clip)].heatmap, expected(clip))
        assert (tmp_path / "maps" / table[str(clip)].overlay).exists()
    again = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay")
    assert "3 clips (3 done before)" in again.err


def test_a_damaged_map_is_made_anew_when_its_overlay_is_asked_for(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clip = write(tmp_path / "clips/a.mp4", 3)
    heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    (tmp_path / "maps/a.npz").write_bytes(b"cut short")
    assert heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay").code == 0
    assert same(tmp_path / "maps/a.npz", expected(clip))


def test_a_clip_whose_map_cannot_be_written_is_listed_and_the_others_are_done(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    write(tmp_path / "clips/a.mp4", 3)
    write(tmp_path / "clips/deep/b.mp4", 3)
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/deep").write_text("a file where the map's folder should be")
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert (tmp_path / "maps/a.npz").exists()
    assert re.search(r"left out, 1 of 2 clips:\n  \S*deep/b.mp4: .*exists", ended.err)


def test_a_bad_clip_is_listed_with_its_reason_and_the_others_are_done(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    for name in ("a", "z"):
        write(tmp_path / f"clips/{name}.mp4")
    (tmp_path / "clips/empty.mp4").touch()
    (tmp_path / "clips/text.mp4").write_text("no video at all")
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert sorted(stamps(tmp_path / "maps")) == ["a.npz", "z.npz"]
    assert f"  {tmp_path}/clips/empty.mp4: the file is empty" in ended.err
    assert re.search(rf"^  {tmp_path}/clips/text.mp4: \S+", ended.err, re.MULTILINE)
    assert "left out, 2 of 4 clips:" in ended.err
    assert ended.err.endswith("Error: 2 of 4 clips could not be measured\n")
    assert "2 clips: " in ended.err  # the sum is of those that were measured
    reasons = [row.reason for row in read_table(tmp_path / "maps/clips.csv").values()]
    assert [bool(reason) for reason in reasons] == [False, True, True, False]


def test_running_again_does_nothing_twice_and_says_so(heatmap: Heatmap, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"clips/{name}.mp4")
    first = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay")
    before = stamps(tmp_path / "maps")
    (tmp_path / "maps/b.npz").unlink()
    (tmp_path / "maps/c.overlay.mp4").unlink()
    again = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--overlay")
    assert (again.code, again.out) == (0, first.out)
    assert "3 clips (1 done before)" in again.err
    after = stamps(tmp_path / "maps")
    changed = {name for name, stamp in after.items() if stamp != before[name]}
    assert changed == {"b.npz", "c.overlay.mp4"}
    assert after.keys() == before.keys()


def test_after_a_kill_what_is_there_is_not_computed_again(
    heatmap: Heatmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        write(tmp_path / f"clips/{name}.mp4")
    work = command.measure

    def full_disk(row: command.ClipRow, **options: Any) -> command.ClipRow:
        if row.heatmap == "b.npz":
            raise OSError(28, "No space left on device")
        return work(row, **options)

    monkeypatch.setattr(command, "measure", full_disk)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--workers", 1)
    assert ended.code == 1
    assert "motifocal: [Errno 28] No space left on device" in ended.err
    before = stamps(tmp_path / "maps")
    assert "a.npz" in before
    assert "b.npz" not in before
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["motifocal", "heatmap", "clips", "-o", "maps"])
    main()
    after = stamps(tmp_path / "maps")
    assert set(after) == {"a.npz", "b.npz", "c.npz"}
    assert after["a.npz"] == before["a.npz"]
    rows = read_table(tmp_path / "maps/clips.csv")
    for name in "abc":
        clip = tmp_path / f"clips/{name}.mp4"
        assert rows[str(clip)].moving_fraction == pytest.approx((expected(clip) > 0.5).mean())


def test_a_clip_that_has_changed_gets_a_new_map_and_overlay(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clip = write(tmp_path / "a.mp4", 0)
    heatmap(clip, "-o", tmp_path / "maps", "--overlay")
    assert load_heatmap(tmp_path / "maps/a.npz")[0].max() < 0.5
    before = stamps(tmp_path / "maps")
    write(clip, 3)
    assert heatmap(clip, "-o", tmp_path / "maps", "--overlay").code == 0
    assert same(tmp_path / "maps/a.npz", expected(clip))
    after = stamps(tmp_path / "maps")
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in after)


def test_clips_of_one_name_get_maps_of_their_own_within_a_run_and_across_runs(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clips = [
        *(write(tmp_path / "one/x.mp4", 1), write(tmp_path / "one/x.gif", 2)),
        *(write(tmp_path / "one/X.mov.mp4", 3), write(tmp_path / "two/x.mp4", 4)),
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
        assert same(tmp_path / "maps" / name, expected(clip)), name
    assert (tmp_path / "maps/x.npz").read_text() == "somebody else's"


def test_a_clip_named_like_an_overlay_does_not_become_one(heatmap: Heatmap, tmp_path: Path) -> None:
    clips = [write(tmp_path / f"clips/{name}.mp4") for name in ("a", "a.overlay")]
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps", "--format", "mp4", "--overlay")
    assert ended.code == 0
    rows = read_table(tmp_path / "maps/clips.csv")
    names = [name for clip in clips for name in (rows[str(clip)].heatmap, rows[str(clip)].overlay)]
    assert len(set(names)) == 4
    assert set(stamps(tmp_path / "maps")) == set(names)


def test_folders_of_one_name_are_kept_apart_by_the_folders_above(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    for model in ("ours", "theirs"):
        write(tmp_path / f"videos/{model}/x.mp4")
    heatmap(tmp_path / "videos/ours", tmp_path / "videos/theirs", "-o", tmp_path / "maps")
    assert set(stamps(tmp_path / "maps")) == {"ours/x.npz", "theirs/x.npz"}


def test_a_clip_given_twice_is_measured_once(heatmap: Heatmap, tmp_path: Path) -> None:
    clip = write(tmp_path / "clips/a.mp4")
    ended = heatmap(clip, tmp_path / "clips", clip, "-o", tmp_path / "maps")
    assert "1 clip: " in ended.err
    assert set(stamps(tmp_path / "maps")) == {"a.npz"}


def test_what_lies_in_the_output_folder_is_no_clip(heatmap: Heatmap, tmp_path: Path) -> None:
    write(tmp_path / "a.mp4")
    given = (tmp_path, "-o", tmp_path / "maps", "--format", "mp4", "--overlay")
    heatmap(*given)
    ended = heatmap(*given)
    assert "1 clip (1 done before)" in ended.err
    ended = heatmap(tmp_path / "maps", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert "there should be clips outside of" in ended.err


def test_overlays_lie_beside_the_maps_and_can_be_asked_for_later(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clip = write(tmp_path / "a.mp4", fps=12)
    heatmap(clip, "-o", tmp_path / "maps")
    before = stamps(tmp_path / "maps")
    heatmap(clip, "-o", tmp_path / "maps", "--overlay")
    after = stamps(tmp_path / "maps")
    assert after["a.npz"] == before["a.npz"]
    overlay = read_video(tmp_path / "maps/a.overlay.mp4")
    assert overlay.fps == 12
    assert overlay.frames.shape == (4, 48, 64, 3)
    inside, outside = overlay.frames[0, 16:24, 12:20], overlay.frames[0, 34:40, 40:60]
    assert inside[..., 0].mean() > inside[..., 2].mean() + 40  # hot is orange
    assert np.ptp(outside.mean(axis=(0, 1))) < 6  # cold is grey


def test_a_strip_shows_clips_from_the_least_to_the_most_hot(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    for index, step in enumerate([4, 0, 2, 0, 3, 0, 0, 1]):
        write(tmp_path / f"clips/{index}.mp4", step)
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert str(tmp_path / "maps/filmstrip.png") in ended.out.splitlines()
    rows = list(read_table(tmp_path / "maps/clips.csv").values())
    picture = read_image(tmp_path / "maps/filmstrip.png")
    assert picture.shape[0] > 6 * 2 * 128
    outlined = (picture == (90, 255, 255)).all(-1)  # bars and outlines of what is hot
    strips = np.array_split(outlined, 6)
    assert not strips[0].any()
    assert strips[-1].sum() > strips[3].sum() > 0
    assert min(row.moving_fraction for row in rows) == 0


def test_the_mp4_format_holds_the_map_in_grey(heatmap: Heatmap, tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4")
    assert heatmap(clip, "-o", tmp_path / "maps", "--format", "mp4").code == 0
    assert np.abs(load_heatmap(tmp_path / "maps/a.mp4")[0] - expected(clip)).max() < 0.1


def test_odd_sides_go_into_npz_but_not_into_mp4(heatmap: Heatmap, tmp_path: Path) -> None:
    for index in range(4):
        path = tmp_path / f"pictures/{index}.png"
        path.parent.mkdir(exist_ok=True)
        write_image(path, square(3, 41, 63)[index])
    ended = heatmap(tmp_path / "pictures", "-o", tmp_path / "npz")  # a folder of pictures: a clip
    assert ended.code == 0
    assert load_heatmap(tmp_path / "npz/pictures.npz")[0].shape == (4, 41, 63)
    ended = heatmap(tmp_path / "pictures", "-o", tmp_path / "mp4", "--format", "mp4")
    assert ended.code == 1
    assert "pictures: an .mp4 cannot hold 63x41, add --size" in ended.err


def test_a_folder_of_pictures_counts_as_changed_when_one_of_them_does(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    (tmp_path / "frames").mkdir()
    for index, picture in enumerate(square(0)):
        write_image(tmp_path / f"frames/{index}.png", picture)
    heatmap(tmp_path / "frames", "-o", tmp_path / "maps")
    assert load_heatmap(tmp_path / "maps/frames.npz")[0].max() < 0.5
    write_image(tmp_path / "frames/1.png", square(5)[1])
    heatmap(tmp_path / "frames", "-o", tmp_path / "maps")
    assert load_heatmap(tmp_path / "maps/frames.npz")[0].max() > 0.5


def test_clips_are_scaled_and_resampled_before_they_are_measured(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clip = write(tmp_path / "a.mp4", 2, fps=8)
    heatmap(clip, "-o", tmp_path / "maps", "--size", "32x40", "--fps", 4)
    heat, _ = load_heatmap(tmp_path / "maps/a.npz")
    assert heat.shape == (count_frames(clip, fps=4), 32, 40) == (2, 32, 40)


def test_options_become_the_settings_that_are_kept(heatmap: Heatmap, tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4")
    options = ["--unit", "percentile", "--threshold", 0.2, "--slope", 30, "--floor", 0.4]
    options += ["--percentile", 90, "--noise", 4, "--wide", "--change", 20]
    heatmap(clip, "-o", tmp_path / "maps", *options)
    wanted = HeatmapSettings("percentile", 30, 0.2, 0.4, 90, 4, sharp=False, change=20)
    assert load_heatmap(tmp_path / "maps/a.npz")[1] == wanted
    assert same(tmp_path / "maps/a.npz", expected(clip, wanted))


def test_a_folder_is_never_filled_with_maps_of_two_settings(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clip = write(tmp_path / "a.mp4")
    heatmap(clip, "-o", tmp_path / "maps")
    for options in (["--floor", 0.4], ["--size", 32], ["--fps", 4], ["--format", "mp4"]):
        ended = heatmap(clip, "-o", tmp_path / "maps", *options)
        assert ended.code == 1
        assert "use the same settings or another folder" in ended.err
    assert set(stamps(tmp_path / "maps")) == {"a.npz"}


def test_the_number_of_workers_changes_nothing(heatmap: Heatmap, tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path / f"clips/{index}.mp4", index)
    threads = cv2.getNumThreads()
    found = []
    for workers in (1, 2, 7):
        heatmap(tmp_path / "clips", "-o", tmp_path / f"{workers}", "--workers", workers)
        found.append([(tmp_path / f"{workers}/{i}.npz").read_bytes() for i in range(3)])
    assert found[0] == found[1] == found[2]
    assert cv2.getNumThreads() == threads


def test_a_clip_too_large_for_memory_is_left_out_and_says_what_helps(
    heatmap: Heatmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured_clips, "MOST_PIXELS", 5000)
    clip = write(tmp_path / "a.mp4")
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
    heatmap: Heatmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.mp4")
    (tmp_path / "empty").mkdir()
    ended = heatmap(*arguments)
    assert ended.code == code
    assert message in ended.err
    assert not (tmp_path / "maps").exists()


def test_another_table_in_the_folder_is_not_overwritten(heatmap: Heatmap, tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4")
    (tmp_path / "maps").mkdir()
    for text in ("name,score\na,1\n", ",".join(COLUMNS) + "\nhalf a line"):
        (tmp_path / "maps/clips.csv").write_text(text)
        ended = heatmap(clip, "-o", tmp_path / "maps")
        assert ended.code == 1
        assert "clips.csv should be a table with the columns heatmap, clip" in ended.err
        assert (tmp_path / "maps/clips.csv").read_text() == text


def test_the_defaults_that_help_shows_are_the_library_s() -> None:
    options = {option.name: option.default for option in command.heatmap.params}
    fields = vars(DEFAULT_SETTINGS)
    assert {name: options[name] for name in fields} == fields


@pytest.mark.skipif("MOTIFOCAL_SHARED" not in os.environ, reason="MOTIFOCAL_SHARED is not set")
def test_real_clips_are_neither_all_hot_nor_all_cold(heatmap: Heatmap, tmp_path: Path) -> None:
    videos = Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips" / "videos"
    clips = sorted((videos / "motif").glob("*.mp4"))[::8]
    assert heatmap(*clips, "-o", tmp_path).code == 0
    shares = [row.moving_fraction for row in read_table(tmp_path / "clips.csv").values()]
    assert len(shares) == len(clips)
    assert all(0.001 < share < 0.99 for share in shares)


# Masks instead of flow.


def masks_for(folder: Path, *names: str) -> Path:
    """For each name an .npz of ids: 1 on the left, 2 on the right, of the clips of `square`."""
    ids = np.zeros((4, 48, 64), np.uint8)
    ids[:, :24, :16], ids[:, 24:, 32:] = 1, 2
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{name}.npz", mask=ids)
    return folder


def test_masks_take_the_place_of_flow(heatmap: Heatmap, tmp_path: Path) -> None:
    for name in ("a", "deep/b"):
        write(tmp_path / f"clips/{name}.mp4", fps=12)
    masks = masks_for(tmp_path / "masks", "a", "deep/b")
    given = (tmp_path / "clips", "-o", tmp_path / "maps", "--masks", masks, "--overlay")
    ended = heatmap(*given, "--objects", "2")
    assert ended.code == 0
    assert "12.5%" not in ended.out  # that would be object 1
    assert ended.out.count(" 25.0%  ") == 2
    for name in ("a", "deep/b"):
        heat, settings = load_heatmap(tmp_path / f"maps/{name}.npz")
        assert settings is None
        assert heat[:, 24:, 32:].min() == 1
        assert heat.sum() == 4 * 24 * 32
        assert read_video(tmp_path / f"maps/{name}.overlay.mp4").fps == 12
    assert (tmp_path / "maps/filmstrip.png").exists()
    again = heatmap(*given, "--objects", "2")
    assert "2 clips (2 done before)" in again.err
    for other in (["--objects", "1,2"], ["--objects", "all"]):
        ended = heatmap(*given, *other)
        assert ended.code == 1
        assert "objects" in ended.err
        assert "use the same settings or another folder" in ended.err
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert "use the same settings or another folder" in ended.err


def test_a_clip_without_a_mask_that_fits_is_listed_and_the_others_are_done(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    for name in ("a", "none", "short"):
        write(tmp_path / f"clips/{name}.mp4")
    write(tmp_path / "clips/narrow.mp4", width=40)
    masks = masks_for(tmp_path / "masks", "a", "narrow")
    np.savez(masks / "short.npz", mask=np.ones((3, 48, 64), bool))
    given = (tmp_path / "clips", "-o", tmp_path / "maps", "--masks", masks, "--objects", "all")
    ended = heatmap(*given)
    assert ended.code == 1
    assert "left out, 3 of 4 clips:" in ended.err
    assert "none.mp4: " in ended.err
    assert "there is no mask of this name, .npz, video or folder" in ended.err
    assert "short.npz: should have 4 frames as the clip has, got 3" in ended.err
    assert "narrow.npz: 64x48 does not scale to the clip's 40x48" in ended.err
    assert set(stamps(tmp_path / "maps")) == {"a.npz"}
    before = stamps(tmp_path / "maps")
    masks_for(masks, "none", "short")
    ended = heatmap(*given)
    assert "left out, 1 of 4 clips:" in ended.err
    after = stamps(tmp_path / "maps")
    assert set(after) == {"a.npz", "none.npz", "short.npz"}
    assert after["a.npz"] == before["a.npz"]


def test_a_mask_that_has_changed_makes_a_new_map(heatmap: Heatmap, tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4")
    masks = masks_for(tmp_path / "masks", "a")
    given = (clip, "-o", tmp_path / "maps", "--masks", masks)
    heatmap(*given, "--objects", "all")
    np.savez(masks / "a.npz", mask=np.ones((4, 48, 64), np.uint8))
    heatmap(*given, "--objects", "all")
    assert load_heatmap(tmp_path / "maps/a.npz")[0].min() == 1


def test_masks_are_scaled_cropped_and_resampled_like_their_clips(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clip = write(tmp_path / "a.mp4", fps=8)
    grey = np.zeros((4, 24, 32, 3), np.uint8)
    grey[:2, :, 16:] = 255  # half of the clip's size, hot on the right at first
    (tmp_path / "masks").mkdir()
    write_video(tmp_path / "masks/a.mp4", grey, 8, crf=4)
    ended = heatmap(clip, "-o", tmp_path / "maps", "--masks", tmp_path / "masks",
                    "--size", 48, "--fps", 4)  # fmt: skip
    assert ended.code == 0
    heat, _ = load_heatmap(tmp_path / "maps/a.npz")
    assert heat.shape == (2, 48, 48)
    assert heat[0, :, 28:].min() > 0.9
    assert heat[0, :, :20].max() < 0.1
    assert heat[1].max() < 0.1


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
    heatmap: Heatmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.mp4")
    masks_for(tmp_path / "masks", "a")
    ended = heatmap("a.mp4", "-o", "maps", *arguments)
    assert ended.code == 2
    assert message in " ".join(ended.err.split())
    assert not (tmp_path / "maps").exists()


# Sources of flow.


def test_the_source_and_the_size_of_flow_are_settings_too(heatmap: Heatmap, tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4")
    options = ["--source", "farneback", "--flow-size", 32, "--camera"]
    assert heatmap(clip, "-o", tmp_path / "maps", *options).code == 0
    wanted = HeatmapSettings(source="farneback", flow_size=32, camera=True)
    assert load_heatmap(tmp_path / "maps/a.npz")[1] == wanted
    assert same(tmp_path / "maps/a.npz", expected(clip, wanted))


@pytest.mark.skipif(bool(find_spec("torchvision")), reason="torchvision is installed")
def test_raft_without_torchvision_is_told_in_a_line(heatmap: Heatmap, tmp_path: Path) -> None:
    clip = write(tmp_path / "a.mp4")
    for more in ([], ["--fetch-raft"]):
        ended = heatmap(clip, "-o", tmp_path / "maps", "--source", "raft-large", *more)
        assert ended.code == 1
        assert "pip install '.[raft]'" in ended.err.splitlines()[-1]
    assert not stamps(tmp_path / "maps")


def test_weights_are_fetched_only_where_that_is_asked_for(
    heatmap: Heatmap, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []
    monkeypatch.setattr(raft, "fetch_weights", fetched.append)
    still = np.zeros((1, 2, 48, 64), np.float32)
    monkeypatch.setitem(ESTIMATORS, "raft-small", lambda frames, options: still)
    clip = write(tmp_path / "a.mp4", frames=2)
    assert heatmap(clip, "-o", tmp_path / "a", "--source", "raft-small").code == 0
    assert fetched == []
    given = ("--source", "raft-small", "--fetch-raft")
    assert heatmap(clip, "-o", tmp_path / "b", *given).code == 0
    assert fetched == ["raft-small"]
    assert heatmap(clip, "-o", tmp_path / "c", *given, "--raft-weights", "w.pth").code == 2


def test_a_folder_of_a_time_with_fewer_settings_is_gone_on_with(
    heatmap: Heatmap, tmp_path: Path
) -> None:
    clip = write(tmp_path / "a.mp4")
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
    heatmap: Heatmap, tmp_path: Path, text: str
) -> None:
    clip = write(tmp_path / "a.mp4")
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/heatmap.json").write_text(text)
    ended = heatmap(clip, "-o", tmp_path / "maps")
    assert ended.code == 1
    assert "heatmap.json should " in ended.err
    assert len(ended.err.strip().splitlines()) == 1
