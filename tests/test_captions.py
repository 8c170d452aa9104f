"""Captions in their three forms, and videos as clips."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from motifocal.data import sources
from motifocal.data.captions import CaptionedVideo, read_captions, write_captions
from motifocal.data.sources import VideoFolderClips, scan_videos, usable
from motifocal.video import write_video

WANTED = [("b/two.mp4", "the duck swims"), ("one.mp4", "the sun rises")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files with the names of videos; captions do not care what is in them."""
    (tmp_path / "b").mkdir()
    for name, _ in WANTED:
        (tmp_path / name).write_bytes(b"video")
    return tmp_path


def write_jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def as_videofolder(folder: Path) -> Path:
    write_jsonl(folder / "metadata.jsonl", *({"file_name": n, "text": t} for n, t in WANTED))
    return folder


def as_csv(folder: Path) -> Path:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerows([("file_name", "text"), *WANTED])
    return folder


def as_table(folder: Path) -> Path:
    rows = ({"video": n, "caption": t, "fps": 8} for n, t in WANTED)
    return write_jsonl(folder / "mine.jsonl", *rows)


def as_text_beside(folder: Path) -> Path:
    for name, text in WANTED:
        (folder / name).with_suffix(".txt").write_text(text + "\n")
    return folder


def as_written(folder: Path) -> Path:
    write_captions(folder, WANTED)
    return folder


@pytest.mark.parametrize("form", [as_videofolder, as_csv, as_table, as_text_beside, as_written])
def test_every_form_gives_the_same_pairs(form, folder: Path) -> None:
    found = read_captions(form(folder))
    assert [(video.name, video.caption) for video in found.videos] == WANTED
    assert [video.path for video in found.videos] == [folder / name for name, _ in WANTED]
    assert found.rejected == ()


def test_what_cannot_be_used_is_listed_with_its_reason(folder: Path) -> None:
    write_jsonl(
        folder / "metadata.jsonl",
        {"file_name": "one.mp4", "text": "first"},
        {"file_name": "gone.mp4", "text": "x"},
        {"file_name": "b/two.mp4", "text": "  "},
        {"file_name": "./one.mp4", "text": "again"},
        {"file_name": "../secret.mp4", "text": "x"},
        {"file_name": str(folder / "one.mp4"), "text": "x"},
        {"file_name": "b/../../secret.mp4", "text": "x"},
        {"file_name": "b/two.mp4", "text": ["x", "y"]},
        {"file_name": None, "text": "x"},
        {"file_name": "a\0b.mp4", "text": "x"},
        {"file_name": "b", "text": "a folder"},
    )
    found = read_captions(folder)
    assert [(video.name, video.caption) for video in found.videos] == [("one.mp4", "first")]
    outside = "should be a relative path inside the folder"
    assert [r.reason for r in found.rejected] == [
        "no such file", "has no caption", "is named twice; the first counts", outside, outside,
        outside, "caption should be text, got list", outside, outside, "no such file",
    ]  # fmt: skip


def test_a_video_without_a_text_beside_it_is_listed(folder: Path) -> None:
    (folder / "one.txt").write_text("the sun rises")
    found = read_captions(folder)
    assert [video.name for video in found.videos] == ["one.mp4"]
    assert [(r.name, r.reason) for r in found.rejected] == [("b/two.mp4", "has no caption")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"file_name": "one.mp4", "text": "x"}\n{oops\n', "line 2 should be JSON"),
        ('["one.mp4", "x"]\n', "line 1 should be a JSON object"),
        ('{"name": "one.mp4", "text": "x"}\n', "line 1 should have one of .*file_name"),
        ('{"file_name": "one.mp4", "words": "x"}\n', "line 1 should have one of .*caption"),
        ('{"file_name": "gone.mp4", "text": "x"}\n', "got none; gone.mp4: no such file"),
        ("", "should hold captioned videos, got none"),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(text: str, message: str, folder: Path) -> None:
    (folder / "metadata.jsonl").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_captions(folder)


def test_a_csv_row_with_too_many_columns_is_refused(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,text\none.mp4,red, green and blue\n")
    with pytest.raises(ValueError, match=r"line 2: too many columns"):
        read_captions(folder)


def test_a_table_in_another_encoding_is_refused(folder: Path) -> None:
    (folder / "metadata.csv").write_bytes("file_name,text\none.mp4,caf\u00e9\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"metadata.csv should be UTF-8"):
        read_captions(folder)


def test_two_tables_are_refused_unless_one_is_named(folder: Path) -> None:
    as_csv(as_videofolder(folder))
    with pytest.raises(ValueError, match="should hold one table"):
        read_captions(folder)
    assert len(read_captions(folder / "metadata.csv").videos) == 2


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="gone: no such file or folder"):
        read_captions(tmp_path / "gone")


@pytest.mark.parametrize("rows", [[("../x.mp4", "a")], [("x.mp4", " ")], [("x", "a")] * 2])
def test_what_could_not_be_read_back_is_not_written(rows, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="new place in the folder and a sentence"):
        write_captions(tmp_path, rows)
    assert list(tmp_path.iterdir()) == []


# Videos as clips. Frame k of a counting video is grey 8 + 10 k, so that a frame tells its number.


def counting_video(path: Path, frames: int, height: int = 16, width: int = 24) -> CaptionedVideo:
    grey = np.array([8 + 10 * k for k in range(frames)], np.uint8)
    write_video(path, np.tile(grey[:, None, None, None], (1, height, width, 3)), fps=8)
    return CaptionedVideo(path, f"counts to {frames}", path.name)


def clips_of(videos: list[CaptionedVideo], **changed: int) -> VideoFolderClips:
    settings = {"frames": 4, "height": 8, "width": 8, "max_stride": 3, "windows": 6, "seed": 5}
    lengths = tuple(int(video.caption.split()[-1]) for video in videos)
    return VideoFolderClips(tuple(videos), lengths, **{**settings, **changed})


def test_a_clip_is_a_strided_window_of_its_video_at_its_own_rate(tmp_path: Path) -> None:
    videos = [counting_video(tmp_path / "a.mp4", 10), counting_video(tmp_path / "b.mp4", 4)]
    clips = clips_of(videos)
    assert len(clips) == 12
    strides = set()
    for index in range(len(clips)):
        clip = clips[index]
        numbers = np.rint((clip.frames.mean((1, 2, 3)) - 8) / 10).astype(int)
        (stride,) = set(np.diff(numbers))
        assert clip.frames.shape == (4, 8, 8, 3)
        assert clip.caption == clips.videos[index % 2].caption
        assert clip.fps == pytest.approx(8 / stride)
        assert numbers[-1] < clips.lengths[index % 2]
        strides.add(int(stride))
    assert strides == {1, 2, 3}


def test_a_clip_is_a_function_of_seed_and_index(tmp_path: Path) -> None:
    videos = [counting_video(tmp_path / "a.mp4", 20)]
    one, same, other = clips_of(videos), clips_of(videos), clips_of(videos, seed=6)
    frames = [[clips[k].frames for k in range(6)] for clips in (one, same, other)]
    assert np.array_equal(frames[0], frames[1])
    assert not np.array_equal(frames[0], frames[2])


def test_a_video_too_short_for_a_clip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="should have 4 frames or more, got one of 3"):
        clips_of([CaptionedVideo(tmp_path / "a.mp4", "counts to 3", "a.mp4")])


def test_unreadable_and_short_videos_are_found_beforehand(tmp_path: Path) -> None:
    whole = counting_video(tmp_path / "whole.mp4", 9)
    short = counting_video(tmp_path / "short.mp4", 3)
    cut = counting_video(tmp_path / "cut.mp4", 9)
    cut.path.write_bytes(cut.path.read_bytes()[:400])
    empty = CaptionedVideo(tmp_path / "empty.mp4", "nothing", "empty.mp4")
    empty.path.touch()
    scanned = scan_videos([short, whole, cut, empty], tmp_path / "notes.jsonl", workers=2)
    videos, lengths, rejected = usable(scanned, frames=4)
    assert (videos, lengths) == ((whole,), (9,))
    assert [r.name for r in rejected] == ["short.mp4", "cut.mp4", "empty.mp4"]
    assert rejected[0].reason == "holds 3 of 4 frames"
    assert rejected[2].reason == "the file is empty"
    assert all(str(tmp_path) not in r.reason for r in rejected)


def test_a_scan_reads_its_notes_and_decodes_only_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = [counting_video(tmp_path / f"{k}.mp4", 4 + k) for k in range(3)]
    notes = tmp_path / "notes.jsonl"
    before = list(scan_videos(videos, notes, workers=1))
    with notes.open("a") as file:
        file.write('{"name": "2.mp4", "si')  # what a kill leaves
    counting_video(videos[1].path, 7)
    decoded: list[str] = []

    def count(path: Path) -> int:
        decoded.append(path.name)
        return 7

    monkeypatch.setattr(sources, "count_frames", count)
    after = list(scan_videos(videos, notes, workers=1))
    assert decoded == ["1.mp4"]
    assert [found.frames for _, found in after] == [4, 7, 6]
    assert (after[0], after[2]) == (before[0], before[2])
    assert len(list(scan_videos(videos, notes, workers=1))) == 3
    assert decoded == ["1.mp4"]
