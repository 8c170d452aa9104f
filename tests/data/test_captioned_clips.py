"""Videos of a captioned folder as clips; what cannot be one is found once and noted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from motifocal.data import sources
from motifocal.data.captions import CaptionedVideo
from motifocal.data.sources import VideoFolderClips, scan_videos, usable
from motifocal.data.workers.items import Part
from motifocal.data.workers.threads import Threads
from motifocal.files.atomic import sha256_of
from motifocal.media.video import write_video


def counting_video(path: Path, frames: int, height: int = 16, width: int = 24) -> CaptionedVideo:
    grey = np.array([8 + 10 * k for k in range(frames)], np.uint8)
    write_video(path, np.tile(grey[:, None, None, None], (1, height, width, 3)), fps=8)
    return CaptionedVideo(path, f"counts to {frames}", path.name)


def clips_of(videos: list[CaptionedVideo], **changed: int) -> VideoFolderClips:
    settings = {"frames": 4, "height": 8, "width": 8, "max_stride": 3, "windows": 6, "seed": 5}
    lengths = tuple(int(video.caption.split()[-1]) for video in videos)
    digests = ("0" * 64,) * len(videos)
    return VideoFolderClips(tuple(videos), lengths, digests, **{**settings, **changed})


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
    scanned = scan_videos([short, whole, cut, empty], tmp_path / "notes.jsonl", Threads(2))
    videos, lengths, digests, rejected = usable(scanned, frames=4)
    assert (videos, lengths, digests) == ((whole,), (9,), (sha256_of(whole.path),))
    assert [r.name for r in rejected] == ["short.mp4", "cut.mp4", "empty.mp4"]
    assert rejected[0].reason == "holds 3 of 4 frames"
    assert rejected[2].reason == "the file is empty"
    assert all(str(tmp_path) not in r.reason for r in rejected)


def test_a_video_that_is_gone_or_closed_is_rejected_and_the_others_are_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = [counting_video(tmp_path / name, 4) for name in ("a.mp4", "b.mp4")]
    videos.append(CaptionedVideo(tmp_path / "c.mp4", "counts to 4", "c.mp4"))

    def closed(path: Path) -> str:
        if path.name == "b.mp4":
            raise PermissionError(13, "Permission denied", str(path))
        return "0" * 64

    monkeypatch.setattr(sources, "sha256_of", closed)
    found = usable(scan_videos(videos, tmp_path / "notes.jsonl", Threads(1)), 4)
    assert [video.name for video in found.videos] == ["a.mp4"]
    reasons = {rejected.name: rejected.reason for rejected in found.rejected}
    assert "Permission denied" in reasons["b.mp4"]
    assert "No such file" in reasons["c.mp4"]


def test_a_scan_reads_its_notes_and_decodes_only_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = [counting_video(tmp_path / f"{k}.mp4", 4 + k) for k in range(3)]
    notes = tmp_path / "notes.jsonl"
    before = list(scan_videos(videos, notes, Threads(1)))
    with notes.open("a") as file:
        file.write('{"name": "2.mp4", "si')  # what a kill leaves
    counting_video(videos[1].path, 7)
    decoded: list[str] = []

    def count(path: Path) -> int:
        decoded.append(path.name)
        return 7

    monkeypatch.setattr(sources, "count_frames", count)
    after = list(scan_videos(videos, notes, Threads(1)))
    assert decoded == ["1.mp4"]
    assert [found.frames for _, found in after] == [4, 7, 6]
    assert (after[0], after[2]) == (before[0], before[2])
    assert len(list(scan_videos(videos, notes, Threads(1)))) == 3
    assert decoded == ["1.mp4"]
    videos[0].path.write_bytes(videos[0].path.read_bytes())  # another date, the same bytes
    assert [found.frames for _, found in scan_videos(videos, notes, Threads(1))] == [4, 7, 6]
    assert decoded == ["1.mp4"]
    notes.write_text("[]\nnull\n{}\n" + '{"name": "2.mp4"}\n' + notes.read_text())
    assert len(list(scan_videos(videos, notes, Threads(1)))) == 3
    assert decoded == ["1.mp4"]


def test_of_notes_of_parts_and_of_the_whole_the_newest_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = [counting_video(tmp_path / f"{k}.mp4", 4) for k in range(2)]
    notes = tmp_path / "notes.jsonl"
    part = Part(1, 1000)
    decoded: list[str] = []

    def count(path: Path) -> int:
        decoded.append(path.name)
        return 7

    list(scan_videos(videos, notes, Threads(1), part))
    monkeypatch.setattr(sources, "count_frames", count)
    counting_video(videos[1].path, 7)
    for _ in range(2):  # the whole, after the part
        assert [found.frames for _, found in scan_videos(videos, notes, Threads(1))] == [4, 7]
    assert decoded == ["1.mp4"]
    counting_video(videos[1].path, 8)
    for _ in range(2):  # a part, after the whole
        list(scan_videos(videos, notes, Threads(1), part))
    assert decoded == ["1.mp4"] * 2
