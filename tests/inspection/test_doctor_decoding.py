"""The doctor decodes every frame once, whatever it measures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doctor_clips import keep, moving, save
from made_videos import with_clock_jump

from motifocal.data.trainer_rules import Request
from motifocal.inspection import decode_pass as watching
from motifocal.inspection.decode_pass import decode_clip, read_again
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import InspectSettings
from motifocal.media.picture import VideoError
from motifocal.media.video import read_video
from motifocal.motion.heatmap import HeatmapSettings


def test_every_frame_is_decoded_once_and_its_pixels_asked_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "clip.mp4", moving(1, 20))
    opened = []
    real = watching.stored
    monkeypatch.setattr(watching, "stored", lambda p, rate: opened.append(p) or real(p, rate))
    settings = InspectSettings("plain", Request(((5, 80, 112),), "chunk"), HeatmapSettings())
    finding = examine(Job(path, tmp_path / "t.webp"), settings)
    assert finding.samples == ("0-4", "5-9", "10-14", "15-19")
    assert opened == [path]


def test_memory_holds_the_first_frames_and_the_rest_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "clip.mp4", moving(1, 20))
    settings = InspectSettings("plain", Request(((5, 80, 112),), "chunk"), HeatmapSettings())
    whole = examine(Job(path, tmp_path / "t.webp"), settings)
    monkeypatch.setattr(watching, "MAX_KEPT_BYTES", 1)
    assert len(decode_clip(path, keep).kept_frames) == 1
    assert examine(Job(path, tmp_path / "t.webp"), settings) == whole


def test_a_clip_whose_clock_jumps_is_reported_where_frames_would_be_repeated(
    tmp_path: Path,
) -> None:
    path = with_clock_jump(tmp_path / "clip.mkv", moving(1, 20))
    request = Request(((5, 80, 112),), "chunk", fps=8.0)
    settings = InspectSettings("plain", request, HeatmapSettings())
    problem = examine(Job(path, tmp_path / "t.webp"), settings).problem
    assert problem is not None
    assert problem[0] == "unreadable"
    assert problem[1].startswith("its times jump: frame 9 would be repeated for 1,690,")


def test_a_long_clip_is_watched_in_its_beginning_and_counted_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "clip.mp4", moving(1, 40))
    monkeypatch.setattr(watching, "MAX_SCANNED_FRAMES", 10)
    monkeypatch.setattr(watching, "MAX_KEPT_BYTES", 1)
    monkeypatch.setattr(watching, "MOST_PAIRS", 3)
    found = decode_clip(path, keep)
    assert len(found.tiny) == 10
    assert len(found.starts) == 40
    assert 1 <= len(found.pairs) <= 3
    assert found.pairs[-1].indices[0] > 10  # spread over all of it


def test_frames_read_again_are_those_of_the_clip(tmp_path: Path) -> None:
    path = save(tmp_path / "clip.mp4", moving(1, 9))
    frames = read_video(path).frames
    again = read_again(path, [7, 2], keep)
    assert all(np.array_equal(again[index], frames[index]) for index in (2, 7))
    with pytest.raises(VideoError, match="too short, it has no frame 9"):
        read_again(path, [9], keep)
