"""What the doctor measures of a clip: cuts, duplicates, motion, words, faults."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from doctor_clips import encode, joined, moving, pan, save, still, world
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from turned import turned_on_its_side

from motifocal.data.clip_files import timeline_of
from motifocal.data.trainer_rules import Request
from motifocal.inspection import decode_pass as watching
from motifocal.inspection import examine as examining
from motifocal.inspection.checks.caption_words import names_motion
from motifocal.inspection.checks.cuts import find_cuts
from motifocal.inspection.checks.duplicates import (
    Fingerprint,
    find_duplicates,
    fingerprint,
    first_near,
)
from motifocal.inspection.checks.speeds import changes, cuts_within, measure_motion
from motifocal.inspection.decode_pass import decode_clip, read_again
from motifocal.inspection.diagnose import diagnose
from motifocal.inspection.entries import Entry
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.faults import FAULTS, LEVELS, worst
from motifocal.inspection.finding import Finding, InspectSettings, finding_from
from motifocal.inspection.thumbs import spread, sprite
from motifocal.media.codec import stored_display
from motifocal.media.picture import Pixels, VideoError, read_image
from motifocal.media.video import read_video
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage


def tiny(frames: Pixels) -> Pixels:
    return np.stack([watching.scaled(frame, watching.TINY_SIDE, max) for frame in frames])


def keep(pixels: Pixels) -> Pixels:
    return pixels


# Cuts


@pytest.mark.parametrize("at", [1, 2, 5, 11])
def test_a_cut_is_found_at_the_first_frame_of_the_new_scene(at: int) -> None:
    for seed in range(8):
        clip = joined(moving(seed, at), moving(seed + 50, 12 - at))
        assert find_cuts(tiny(clip)) == [at]


def test_several_cuts_are_all_found() -> None:
    assert find_cuts(tiny(joined(moving(1, 7), pan(2, 6), still(3, 9)))) == [7, 13]


@pytest.mark.parametrize("draw", [moving, pan, still])
@pytest.mark.parametrize("speed", [1.0, 6.0, 12.0])
def test_motion_of_things_and_camera_is_no_cut(draw, speed: float) -> None:
    for seed in range(5):
        clip = still(seed) if draw is still else draw(seed, speed=speed)
        assert find_cuts(tiny(clip)) == []


@pytest.mark.parametrize("start", [1, 5, 8])
@pytest.mark.parametrize("length", [1, 3])
def test_a_flash_is_no_cut(start: int, length: int) -> None:
    for seed in range(5):
        clip = moving(seed)
        bright = np.minimum(clip[start : start + length].astype(int) + 180, 255)
        clip[start : start + length] = bright
        assert find_cuts(tiny(clip)) == []


@pytest.mark.parametrize("factor", [0.4, 1.8])
def test_a_lamp_that_is_switched_is_no_cut(factor: float) -> None:
    for seed in range(5):
        clip = joined(moving(seed, light=min(1.0, 1 / factor)), moving(seed, light=min(1, factor)))
        assert find_cuts(tiny(clip)) == []


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 3), (16, 16)])
def test_any_shape_can_be_searched_for_cuts(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    clip = rng.integers(0, 256, (6, *shape, 3), dtype=np.uint8)
    assert all(0 < cut < 6 for cut in find_cuts(tiny(clip)))
    assert find_cuts(tiny(clip[:1])) == []


# Duplicates


def naive_first(bits: np.ndarray, most: int) -> list[int]:
    """By comparing all: the first row within `most` bits of each that `some` says is alike."""
    apart = (bits[:, None] != bits[None]).sum(-1)
    return [next(i for i in range(j + 1) if i == j or (apart[i, j] <= most and (i + j) % 3))
            for j in range(len(bits))]  # fmt: skip


def some(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    return (i + j) % 3 != 0


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 40), width=st.integers(20, 90),
       most=st.integers(0, 19), share=st.sampled_from([0.02, 0.2, 0.5]))  # fmt: skip
@hypothesis_settings(max_examples=60, deadline=None)
def test_bands_find_exactly_what_comparing_all_finds(
    seed: int, count: int, width: int, most: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    bits = rng.random((count, width)) < share
    for row in range(1, count, 2):  # near ones, on both sides of the limit
        bits[row] = bits[row - 1]
        bits[row, rng.choice(width, min(width, int(rng.integers(0, most + 3))), False)] ^= True
    assert first_near(bits, most, some).tolist() == naive_first(bits, most)


def test_large_buckets_are_compared_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    from motifocal.inspection.checks import duplicates

    monkeypatch.setattr(duplicates, "_AT_ONCE", 16)
    monkeypatch.setattr(duplicates, "_PICTURES_AT_ONCE", 3)
    bits = np.random.default_rng(1).random((60, 40)) < 0.03
    assert first_near(bits, 3, some).tolist() == naive_first(bits, 3)


def test_of_thousands_of_takes_of_one_scene_only_few_pairs_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from motifocal.inspection.checks import duplicates

    compared = 0
    absdiff = cv2.absdiff

    def counted(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        nonlocal compared
        compared += len(before)
        return absdiff(before, after)

    monkeypatch.setattr(duplicates.cv2, "absdiff", counted)
    rng = np.random.default_rng(0)
    bits = np.tile(rng.random(378) < 0.5, (4000, 1))
    for row in bits:
        row[rng.choice(378, 5, replace=False)] ^= True
    picture = rng.integers(0, 250, (6, 12, 12), dtype=np.uint8)
    found = find_duplicates([Fingerprint(row, picture) for row in bits])
    assert found == dict.fromkeys(range(1, 4000), 0)
    assert compared < 2_000_000  # of 8 million pairs


def prints_of(*clips: Pixels) -> list[Fingerprint | None]:
    return [fingerprint(tiny(clip)) for clip in clips]


def test_a_clip_encoded_or_scaled_again_is_a_duplicate_of_the_first(tmp_path: Path) -> None:
    first, other = moving(1, height=120, width=160), moving(2, height=120, width=160)
    again = read_video(save(tmp_path / "a.mp4", first, crf=36)).frames
    small = np.stack([cv2.resize(f, (64, 48), interpolation=cv2.INTER_AREA) for f in first])
    twice = np.repeat(first, 2, axis=0)  # at twice the rate
    found = find_duplicates(prints_of(other, first, again, small, twice, first))
    assert found == {2: 1, 3: 1, 4: 1, 5: 1}


def test_other_motion_in_the_same_place_is_no_duplicate() -> None:
    assert find_duplicates(prints_of(moving(1), moving(1, speed=-3.0), still(1), pan(1))) == {}


def test_plain_pictures_are_nobodys_duplicates() -> None:
    black = np.zeros((5, 60, 80, 3), np.uint8)
    assert prints_of(black, black + 1) == [None, None]
    assert find_duplicates([None, None]) == {}


def test_a_thousand_copies_are_duplicates_of_the_first() -> None:
    (one,) = prints_of(moving(1))
    assert find_duplicates([one] * 1000) == dict.fromkeys(range(1, 1000), 0)


def test_a_fingerprint_survives_being_written() -> None:
    (one,) = prints_of(moving(1))
    assert one is not None
    again = Fingerprint.from_text(one.to_text())
    assert np.array_equal(again.bits, one.bits)
    assert np.array_equal(again.pictures, one.pictures)
    with pytest.raises(ValueError, match="is none"):
        Fingerprint.from_text("AAAA")


# Motion


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


# Watching


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


def test_an_uneven_rate_drifts_and_an_even_one_does_not(tmp_path: Path) -> None:
    frames = moving(1, 24)
    even = encode(tmp_path / "e.mkv", frames, "libx264", times=[42 * k for k in range(24)])
    slow = [40 * k for k in range(12)] + [480 + 120 * k for k in range(12)]
    uneven = encode(tmp_path / "u.mkv", frames, "libx264", times=slow)
    assert decode_clip(even, keep).drift < 0.1
    assert decode_clip(uneven, keep).drift > 3


# Examining


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


# Words


@pytest.mark.parametrize("caption", [
    "The blue balloon dips down.", "A dog runs across the yard", "waves crash on the shore",
    "A bird took off and flew away", "Two kids are skiing", "the camera pans to the left",
    "She waves at the crowd", "A man walks", "leaves swirling in the wind", "a frog hopped",
    "steam rises from a cup", "the door slowly opens", "snow is melting in the sun",
    "the sun sets behind the hills", "the white car backs up", "the flame gets larger",
])  # fmt: skip
def test_a_caption_that_names_motion_is_known(caption: str) -> None:
    assert names_motion(caption) is True


@pytest.mark.parametrize("caption", [
    "A red house in a garden.", "The waves on the shore at sunset.", "A walk in the park is over",
    "A man sitting on a bench, wearing running shoes", "A view of rolling hills under the sky",
    "A room filled with books and a brightly lit lamp", "A castle surrounded by trees",
    "Waves at the beach and the sky", "An old car is parked in front of the building",
    "A table set for two in a beautiful setting", "Two men with their backs to the camera",
])  # fmt: skip
def test_a_caption_without_motion_is_known(caption: str) -> None:
    assert names_motion(caption) is False


@pytest.mark.parametrize("caption", [
    "Ein rotes Haus mit einem Garten", "Une maison rouge dans un jardin", "un perro en el parque",
    "\u8d64\u3044\u5bb6", "\u043a\u0440\u0430\u0441\u043d\u044b\u0439 \u0434\u043e\u043c",
    "1girl, solo, red dress", "", "!?",
])  # fmt: skip
def test_what_is_not_english_is_not_judged(caption: str) -> None:
    assert names_motion(caption) is None


# Faults


def codes(finding: Finding, **changed) -> set[str]:
    entry = Entry("a.mp4", Path("a.mp4"), "a dog runs")
    faults = diagnose(entry, replace(finding, **changed), captioned=True, frames=9)
    return {code for code, _ in faults}


GOOD = Finding(
    width=112, height=80, fps=8.0, frames=20, seconds=2.5, watched=20, motion=20.0, camera=0.0,
    sample_count=1, trained_frames=9, shortest=9, samples=("0-8",), enlarged=1.0, kept=1.0,
    moving_fraction=0.1, most_moving=0.2,
)  # fmt: skip


def test_a_good_clip_has_no_faults() -> None:
    assert codes(GOOD) == set()


@pytest.mark.parametrize(("changed", "code"), [
    ({"sample_count": 0, "shortest": 0}, "too-short"),
    ({"shortest": 1}, "one-frame"),
    ({"drift": 1.5}, "variable-rate"),
    ({"still": True}, "static"),
    ({"camera_only": True}, "camera-only"),
    ({"most_moving": 0.0, "moving_fraction": 0.0}, "too-little-motion"),
    ({"cuts": (5,), "trained_cuts": (5,)}, "cut"),
    ({"cuts": (15,)}, "cut-elsewhere"),
    ({"enlarged": 1.3}, "small"),
    ({"kept": 0.5}, "cropped"),
    ({"width": 111}, "odd-size"),
    ({"watched": 10}, "partly-checked"),
    ({"turned": True}, "rotated"),
    ({"aspect": "4:3"}, "non-square-pixels"),
    ({"transfer": "PQ"}, "hdr"),
    ({"interlaced": True}, "interlaced"),
    ({"problem": ("unreadable", "the file is empty")}, "unreadable"),
])  # fmt: skip
def test_each_fault_has_its_code(changed: dict, code: str) -> None:
    if "problem" in changed:
        assert codes(Finding(**changed)) == {code}
    else:
        assert codes(GOOD, **changed) == {code}
    assert code in FAULTS


def test_the_worst_level_counts() -> None:
    assert worst([]) == "good"
    assert worst(["camera-only", "cut"]) == "warning"
    assert worst(["camera-only", "too-short", "cut"]) == "error"
    assert all(fault.level in LEVELS[:-1] and fault.help[-1] == "." for fault in FAULTS.values())


def test_worlds_of_the_tests_differ() -> None:
    assert find_duplicates(prints_of(*(still(seed) for seed in range(40)))) == {}
    assert world(1).std() > 20
