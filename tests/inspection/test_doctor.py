"""What the doctor measures of a clip: rate, motion, heat, samples."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from doctor_clips import encode, joined, keep, moving, pan, save, still
from turned import turned_on_its_side

from motifocal.data.clip_files import timeline_of
from motifocal.data.trainer_rules import Request
from motifocal.inspection import examine as examining
from motifocal.inspection.checks.speeds import changes, cuts_within, measure_motion
from motifocal.inspection.decode_pass import decode_clip
from motifocal.inspection.diagnose import diagnose
from motifocal.inspection.entries import Entry
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import Finding, InspectSettings, finding_from
from motifocal.inspection.thumbs import spread, sprite
from motifocal.media.codec import stored_display
from motifocal.media.picture import Pixels, read_image
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage


def motion_of(tmp_path: Path, frames: Pixels, fps: float = 8, crf: int = 20):
    path = save(tmp_path / "clip.mp4", frames, fps, crf)
    found = measure_motion(decode_clip(path, keep).pairs, ())
    assert found is not None
    return found


@pytest.mark.parametrize("crf", [18, 34])
def test_a_still_does_not_move(tmp_path: Path, crf: int) -> None:
    for seed in range(6):
        found = motion_of(tmp_path, still(seed), crf=crf)
        assert found.still, (seed, found)
        assert not found.camera_only


@pytest.mark.parametrize("scenario", ["bulbs", "traffic_light"])
def test_a_lamp_that_lights_up_is_no_still(tmp_path: Path, scenario: str) -> None:
    stage = make_stage(scenario, "train", 0)
    for action in (stage.actions[0], None):
        path = save(tmp_path / "clip.mp4", render(stage, action, size=128).frames, 8)
        settings = InspectSettings("plain", Request(((8, 128, 128),)), HeatmapSettings(), 256)
        finding = examine(Job(path, tmp_path / "thumb.webp"), settings)
        assert finding.still == (action is None)


def test_a_scene_that_stands_is_no_change_whatever_the_next_one_shows() -> None:
    two = np.concatenate([still(1), still(2)])
    assert not changes(two, [12])
    assert changes(two, [])


def test_frames_hours_apart_have_a_rate(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", moving(1, 2), "libx264", times=[0, 40_000_000])
    settings = InspectSettings("plain", Request(((1, 80, 112),)), HeatmapSettings(), 256)
    finding = examine(Job(path, tmp_path / "thumb.webp"), settings)
    assert finding.fps == pytest.approx(2 / 40_000, rel=1e-3)


def test_a_clip_stored_turned_is_named_where_the_trainer_sees_it_lying(tmp_path: Path) -> None:
    path = save(tmp_path / "phone.mp4", moving(1, 12))
    for turned in (False, True):
        if turned:
            turned_on_its_side(path)
        assert stored_display(path).turned == turned
        for trainer, upright in (("musubi", False), ("ltx", False), ("plain", True)):
            settings = InspectSettings(trainer, Request(((9, 64, 64),)), HeatmapSettings())
            finding = examine(Job(path, tmp_path / "t.webp"), settings)
            faults = dict(diagnose(Entry("a", path, None), finding, captioned=False, frames=9))
            assert ("rotated" in faults) == (turned and not upright)
            assert (finding.height, finding.width) == ((112, 80) if turned else (80, 112))


def test_the_doctor_and_an_export_take_the_same_frames(tmp_path: Path) -> None:
    for name, codec, rate in (("a.webm", "libvpx", 30), ("a.mkv", "libx264", 30),
                              ("a.mp4", "libx264", 24)):  # fmt: skip
        path = encode(tmp_path / name, moving(3, 40), codec, rate=rate)
        assert decode_clip(path, keep).timeline == timeline_of(path)


def test_a_thing_moves_at_its_speed_whatever_the_rate(tmp_path: Path) -> None:
    for fps, speed in ((8, 4.0), (16, 2.0)):
        found = motion_of(tmp_path, moving(5, 20, speed), fps)
        assert not found.still
        assert not found.camera_only
        assert found.own == pytest.approx(100 * 8 * 4.0 / 80, rel=0.2)


def test_a_pan_over_a_still_is_the_cameras_alone(tmp_path: Path) -> None:
    alone = [motion_of(tmp_path, pan(seed)) for seed in range(6)]
    assert sum(found.camera_only for found in alone) >= 5
    assert not any(found.still for found in alone)
    assert np.median([found.camera for found in alone]) == pytest.approx(
        100 * 8 * np.hypot(3, 1) / 80, rel=0.1
    )


def test_pairs_across_a_cut_say_nothing_of_motion(tmp_path: Path) -> None:
    path = save(tmp_path / "clip.mp4", joined(still(1, 5), still(2, 7)))
    pairs = decode_clip(path, keep).pairs
    across, within = measure_motion(pairs, ()), measure_motion(pairs, (5,))
    assert across is not None
    assert within is not None
    assert within.still
    assert not across.still


def test_a_clip_of_one_frame_has_no_motion_to_measure(tmp_path: Path) -> None:
    clip = decode_clip(save(tmp_path / "a.mp4", still(1, 1)), keep)
    assert measure_motion(clip.pairs, ()) is None


def test_only_cuts_between_frames_of_a_sample_are_within_it() -> None:
    assert cuts_within([5, 9, 20], (0, 2, 4, 6, 8)) == [5]
    assert cuts_within([0, 9], (3,)) == []


def test_an_uneven_rate_drifts_and_an_even_one_does_not(tmp_path: Path) -> None:
    frames = moving(1, 24)
    even = encode(tmp_path / "e.mkv", frames, "libx264", times=[42 * k for k in range(24)])
    slow = [40 * k for k in range(12)] + [480 + 120 * k for k in range(12)]
    uneven = encode(tmp_path / "u.mkv", frames, "libx264", times=slow)
    assert decode_clip(even, keep).drift < 0.1
    assert decode_clip(uneven, keep).drift > 3


def job(tmp_path: Path, frames: Pixels, **saved) -> Job:
    return Job(save(tmp_path / "clip.mp4", frames, **saved), tmp_path / "thumb.webp")


def plain(frames: int, height: int, width: int, **request) -> InspectSettings:
    return InspectSettings(
        "plain", Request(((frames, height, width),), **request), HeatmapSettings()
    )


def test_hot_is_the_share_of_the_frames_that_are_trained_on(tmp_path: Path) -> None:
    """What moves in the second half is not trained on by the rule that takes the first."""
    clip = joined(still(3, 9), moving(3, 9, speed=3))
    one = job(tmp_path, clip)
    head = examine(one, plain(9, 80, 112))
    whole = examine(one, plain(9, 80, 112, extraction="chunk"))
    assert head.most_moving == 0
    assert whole.most_moving is not None
    assert whole.most_moving > 0.02
    assert (head.samples, whole.samples) == (("0-8",), ("0-8", "9-17"))


def test_the_settings_of_the_heat_are_used(tmp_path: Path) -> None:
    one = job(tmp_path, moving(3))
    settings = plain(9, 80, 112)
    cold = replace(settings, heatmap=HeatmapSettings(floor=500.0))
    assert examine(one, settings).moving_fraction
    assert examine(one, cold).moving_fraction == 0


def test_reduced_heat_is_near_that_at_full_size(tmp_path: Path) -> None:
    one = job(tmp_path, moving(3, height=160, width=224))
    settings = plain(9, 160, 224)
    findings = [examine(one, replace(settings, heat_size=size)) for size in (96, 0)]
    small, full = (finding.moving_fraction for finding in findings)
    assert small == pytest.approx(full, abs=0.03)


def test_the_thumbnail_has_four_frames_over_four_with_heat(tmp_path: Path) -> None:
    one = job(tmp_path, moving(3))
    finding = examine(one, plain(9, 80, 112))
    picture = read_image(one.thumb)
    assert picture.shape == (2 * finding.thumb_height, 4 * finding.thumb_width, 3)
    assert (finding.thumb_width, finding.thumb_height) == (160, 114)
    upright = sprite(moving(1, 4, height=200, width=100), np.zeros((4, 200, 100), np.float32))
    assert upright.shape == (320, 320, 3)
    assert spread(1) == [0, 0, 0, 0]
    assert spread(9) == [0, 3, 5, 8]


def test_a_short_clip_is_measured_on_the_longest_sample_that_it_could_make(tmp_path: Path) -> None:
    one = job(tmp_path, moving(3, 7))
    short, fitting = examine(one, plain(9, 160, 112)), examine(one, plain(5, 160, 112))
    assert (short.sample_count, short.samples, short.trained_frames) == (0, (), 0)
    assert short.fitting == 5
    assert short.moving_fraction == fitting.moving_fraction
    assert (short.enlarged, short.kept) == (2.0, 0.5)
    assert one.thumb.exists()
    found = dict(diagnose(Entry("a", one.path, None), short, captioned=False, frames=9))
    assert set(found) == {"too-short", "small", "cropped"}
    assert found["too-short"].endswith("7 frames, 0.88 s at 8 frames/s; --frames 5 would fit")


def test_sizes_are_told(tmp_path: Path) -> None:
    finding = examine(job(tmp_path, moving(3)), plain(9, 160, 112))
    assert finding.enlarged == 2.0
    assert finding.kept == 0.5
    stretched = examine(
        job(tmp_path, moving(3)), replace(plain(9, 160, 112), trainer="finetrainers")
    )
    assert stretched.kept == 1.0


def test_a_long_sample_is_measured_in_its_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examining, "MOST_HEAT_FRAMES", 4)
    clip = joined(still(3, 6), moving(3, 20))
    assert examine(job(tmp_path, clip), plain(25, 80, 112)).most_moving == 0


def test_thousands_of_samples_are_not_all_spoken(tmp_path: Path) -> None:
    finding = examine(job(tmp_path, moving(3, 40)), plain(5, 80, 112, extraction="slide"))
    assert finding.sample_count == 36
    assert finding.samples[-1] == "and 12 more"
    assert len(finding.samples) == examining.MOST_NAMED + 1


def test_a_finding_survives_being_written(tmp_path: Path) -> None:
    found = examine(job(tmp_path, moving(3)), plain(9, 80, 112))
    bad = Finding(problem=("unreadable", "the file is empty"))
    for finding in (found, bad):
        assert finding_from(json.loads(json.dumps(asdict(finding)))) == finding
    with pytest.raises(ValueError, match="should have the keys of this version"):
        finding_from({"width": 1})


def test_settings_that_differ_have_digests_that_differ() -> None:
    one = plain(9, 80, 112)
    others = [plain(13, 80, 112), replace(one, heat_size=0), replace(one, trainer="musubi"),
              replace(one, heatmap=HeatmapSettings(camera=True))]  # fmt: skip
    assert len({settings.digest() for settings in (one, *others)}) == 5
    assert one.digest() == plain(9, 80, 112).digest()
