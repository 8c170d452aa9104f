"""Frames trained on twice: by the rate asked for, stored twice, or one long freeze."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from doctor_clips import encode, moving, save, still

from motifocal.data.trainer_rules import Request
from motifocal.inspection.checks.repeats import Changes, Repeats, measure_repeats
from motifocal.inspection.diagnose import diagnose
from motifocal.inspection.entries import Entry
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.media.picture import Pixels
from motifocal.motion.heatmap import HeatmapSettings

CODES = {"repeated-frames", "stored-repeats", "freeze"}


def found(path: Path, frames: int, trainer: str = "plain", **request: float) -> Finding:
    settings = InspectSettings(
        trainer, Request(((frames, 80, 112),), **request), HeatmapSettings()
    )
    return examine(Job(path, path.parent / "thumb.webp"), settings)


def faults(finding: Finding) -> dict[str, str]:
    words = dict(diagnose(Entry("a", Path("a"), None), finding, captioned=False, frames=9))
    return {code: words[code] for code in CODES & words.keys()}


@pytest.mark.parametrize(("fps", "share"), [(16, 0.5), (24, 2 / 3), (10, 0.2), (8, 0), (4, 0)])
@pytest.mark.parametrize("trainer", ["plain", "diffsynth"])
def test_a_rate_above_the_clips_takes_frames_twice(
    tmp_path: Path, fps: int, share: float, trainer: str
) -> None:
    finding = found(save(tmp_path / "a.mp4", moving(1, 40), fps=8), 17, trainer, fps=float(fps))
    assert finding.by_rate == pytest.approx(share, abs=0.07)
    if share:
        words = f"{finding.by_rate:.0%} of the steps take the same frame again: the clip has 8"
        assert faults(finding) == {"repeated-frames": f"{words} frames/s, so --fps 8"}
    else:
        assert faults(finding) == {}


@pytest.mark.parametrize("crf", [18, 28])
@pytest.mark.parametrize(("times", "share", "rate"), [
    ([2], 0.5, 15), ([3], 2 / 3, 10), ([1, 1, 1, 2], 0.2, 24), ([2, 3], 0.6, 12),
])  # fmt: skip
def test_pictures_stored_several_times_are_found_whatever_the_codec_left(
    tmp_path: Path, crf: int, times: list[int], share: float, rate: int
) -> None:
    clip = np.repeat(moving(2, 24), np.resize(times, 24), axis=0)
    finding = found(save(tmp_path / "a.mp4", clip, fps=30, crf=crf), 33)
    assert finding.stored_repeats == pytest.approx(share, abs=0.05)
    assert finding.new_rate == pytest.approx(rate, abs=1)
    assert set(faults(finding)) == {"stored-repeats"}
    assert f"of 30 frames/s about {finding.new_rate:g} are new" in faults(finding)["stored-repeats"]


@pytest.mark.parametrize("codec", ["mpeg4", "libvpx-vp9", "ffv1"])
def test_other_codecs_hide_stored_repeats_no_better(tmp_path: Path, codec: str) -> None:
    pixels = "bgr0" if codec == "ffv1" else "yuv420p"
    clip = np.repeat(moving(2, 16), 2, axis=0)
    path = encode(tmp_path / "a.mkv", clip, codec, pixels, rate=30)
    assert set(faults(found(path, 29))) == {"stored-repeats"}


def test_stored_repeats_that_the_rate_leaves_out_are_no_fault(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mp4", np.repeat(moving(2, 24), 2, axis=0), fps=30)
    assert faults(found(path, 17, fps=15.0)) == {}
    assert set(faults(found(path, 17))) == {"stored-repeats"}


def frozen(start: int, count: int) -> Pixels:
    times = np.ones(40, int)
    times[start] += count
    return np.repeat(moving(3, 40), times, axis=0)


@pytest.mark.parametrize("crf", [18, 28])
def test_a_freeze_is_found_with_its_first_and_last_frame(tmp_path: Path, crf: int) -> None:
    finding = found(save(tmp_path / "a.mp4", frozen(10, 14), fps=16, crf=crf), 33)
    assert finding.freeze is not None
    first, last = finding.freeze
    assert last == 24
    assert 10 <= first <= (10 if crf == 18 else 16)  # a coarse codec sharpens it for a while
    words = f"frames {first}-24 ({(24 - first) / 16:.1f} s) show the same image"
    assert faults(finding) == {"freeze": words}


def test_a_short_rest_and_a_freeze_that_is_not_trained_on_are_no_faults(tmp_path: Path) -> None:
    assert faults(found(save(tmp_path / "a.mp4", frozen(10, 4), fps=16), 33)) == {}
    assert faults(found(save(tmp_path / "b.mp4", frozen(30, 14), fps=16), 25)) == {}


@pytest.mark.parametrize("speed", [0.5, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("crf", [18, 34])
def test_motion_at_any_speed_repeats_nothing(tmp_path: Path, speed: float, crf: int) -> None:
    finding = found(save(tmp_path / "a.mp4", moving(4, 24, speed), crf=crf), 17)
    if speed >= 1:  # at half a pixel a frame every second frame is the same: drawn on whole pixels
        assert faults(finding) == {}
    else:
        assert set(faults(finding)) == {"stored-repeats"}


def test_a_still_has_a_fault_of_its_own_and_no_repeats(tmp_path: Path) -> None:
    finding = found(save(tmp_path / "a.mp4", still(5, 24), crf=28), 17)
    assert finding.still
    assert faults(finding) == {}
    assert set(faults(found(tmp_path / "a.mp4", 17, fps=16.0))) == {"repeated-frames"}


def test_repeats_by_chance_are_no_rhythm() -> None:
    steps = np.zeros(32, np.bool_)
    steps[[2, 4, 6, 8, 10, 12]] = True  # all in the first half
    changes = Changes(steps, np.zeros(32, np.bool_))
    assert measure_repeats(changes, [range(33)], [k / 8 for k in range(33)]) == Repeats()
    steps[1::2] = True
    assert measure_repeats(changes, [range(33)], [k / 8 for k in range(33)]).stored > 0.5


def test_no_step_at_all_repeats_nothing() -> None:
    none = Changes(np.zeros(0, np.bool_), np.zeros(0, np.bool_))
    assert measure_repeats(none, [], [0.0]) == Repeats()
    assert measure_repeats(none, [(0,)], [0.0]) == Repeats()
