"""Which frames a trainer takes, at which rate, and how it crops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady
from timelines import even

from motifocal.data.resizing import RESIZES, Placement, resized
from motifocal.data.selection import (
    RESAMPLING,
    RULES,
    FrameRule,
    Selection,
    Timeline,
    frames_of,
    selected,
)
from motifocal.data.sources import dynamic_stride
from motifocal.data.trainer_rules import (
    TRAINERS,
    Request,
    ignored_settings,
    musubi_rules,
    trained_on,
)
from motifocal.media.picture import resize_crop
from motifocal.media.video import VideoError, read_video, write_video

counts = st.integers(1, 400)


@steady
@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 10), st.integers(0, 2**32))
def test_dynamic_stride_stays_inside_the_source(
    num_source_frames: int, num_frames: int, max_stride: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    if num_frames > num_source_frames:
        expected = f"got {num_frames}"
        with pytest.raises(ValueError, match=expected):
            dynamic_stride(num_source_frames, num_frames, max_stride, generator)
        return
    start, stride = dynamic_stride(num_source_frames, num_frames, max_stride, generator)
    assert 1 <= stride <= max_stride
    assert start >= 0
    assert start + (num_frames - 1) * stride < num_source_frames


def test_dynamic_stride_reaches_every_feasible_choice_and_repeats_by_seed() -> None:
    drawn = [dynamic_stride(10, 4, 5, np.random.default_rng(seed)) for seed in range(400)]
    feasible = {(start, stride) for stride in (1, 2, 3) for start in range(10 - 3 * stride)}
    assert set(drawn) == feasible
    strides = np.bincount([stride for _, stride in drawn])[1:]
    assert strides.min() > 100
    assert drawn[7] == dynamic_stride(10, 4, 5, np.random.default_rng(7))


@steady
@given(counts, st.sampled_from(sorted(RULES)), st.integers(1, 100), st.integers(1, 9),
       st.integers(1, 5), st.sampled_from([4, 8]))  # fmt: skip
def test_every_rule_takes_frames_that_the_clip_has_in_order(
    count: int, rule: str, frames: int, step: int, samples: int, later: int
) -> None:
    found = selected(even(count), FrameRule(rule, frames, None, step, samples, later), 16, 16)
    for sample in found:
        assert sample.indices[0] >= 0
        assert sample.indices[-1] < count
        assert list(sample.indices) == sorted(sample.indices)
        assert len(sample.indices) <= max(frames, 1)
        if rule in ("full", "stride"):
            assert (len(sample.indices) - 1) % later == 0
        if rule in ("head", "chunk", "slide", "uniform"):
            assert len(sample.indices) == frames
    assert found or count < frames


def test_a_clip_that_is_too_short_gives_no_sample() -> None:
    for rule in ("head", "chunk", "slide", "uniform"):
        assert selected(even(24), FrameRule(rule, 25), 16, 16) == []


@steady
@given(st.integers(1, 120), st.sampled_from(sorted(RESAMPLING)), st.floats(4, 60),
       st.floats(4, 60))  # fmt: skip
def test_resampling_never_leaves_the_clip_and_never_goes_back(
    count: int, resampling: str, fps: float, rate: float
) -> None:
    rule = FrameRule("full", 999, fps, resampling=resampling, source_fps=rate, later=1)
    for sample in selected(even(count, rate), rule, 16, 16):
        assert sample.indices[0] >= 0
        assert sample.indices[-1] < count
        assert list(sample.indices) == sorted(sample.indices)
        assert sample.fps > 0


@pytest.mark.parametrize("resampling", ["shown", "rounded"])
@pytest.mark.parametrize("days", [1, 20_000])
def test_a_clip_whose_clock_jumps_is_refused_rather_than_filled_up(
    resampling: str, days: int
) -> None:
    rule = FrameRule("cut", 9, 16.0, resampling=resampling)
    clip, later = even(20, 16.0), 86_400.0 * days
    moved = (*clip.starts[:10], *(start + later for start in clip.starts[10:]))
    for jumping in (replace(clip, starts=moved, end=clip.end + later),
                    replace(clip, end=later, file_seconds=later)):
        with pytest.raises(VideoError, match=r"its times jump: frame (9|19) would be repeated"):
            selected(jumping, rule, 16, 16)
    pause = Timeline((0.0, 3600.0), 3600.1)
    assert len(RESAMPLING[resampling](pause, 1.0, None)[0]) in (3600, 3601)


def test_every_trainer_gives_samples_of_a_clip_that_is_long_enough() -> None:
    request = Request(((17, 256, 384),))
    for name in TRAINERS:
        samples = trained_on(name, even(64), 480, 832, request)
        assert samples, name
        assert all(sample.resize in RESIZES for sample in samples)
    with pytest.raises(ValueError, match="trainer should be one of plain, musubi"):
        trained_on("kohya", even(64), 480, 832, request)


@steady
@given(*[st.integers(16, 2000)] * 2, *[st.integers(1, 40).map(lambda n: 16 * n)] * 2,
       st.sampled_from(sorted(RESIZES)))  # fmt: skip
def test_every_crop_lies_inside_the_scaled_frame(
    h: int, w: int, height: int, width: int, resize: str
) -> None:
    place = RESIZES[resize](h, w, height, width)
    assert place.top >= 0
    assert place.top + height <= place.height
    assert place.left >= 0
    assert place.left + width <= place.width


def test_trainers_differ_by_a_pixel_where_rounding_does() -> None:
    # 405 x 720 to 512 x 896 needs a scale of 512 / 405: 720 becomes 910.2.
    places = {name: rule(405, 720, 512, 896) for name, rule in RESIZES.items()}
    assert places["cover"] == places["half-up"] == places["floor"] == Placement(512, 910, 0, 7)
    # 333 x 500 to 128 x 192: 192.19 wide, and 333 x 501 gives half a pixel too much to crop.
    assert RESIZES["floor"](270, 479, 512, 896).width == 908
    assert RESIZES["half-up"](270, 479, 512, 896).width == 908
    assert RESIZES["floor"](250, 447, 512, 896) == Placement(512, 915, 0, 9)
    assert RESIZES["even"](250, 447, 512, 896) == Placement(512, 915, 0, 10)


@steady
@given(*[st.integers(20, 60)] * 2, st.sampled_from(sorted(RESIZES)))
def test_frames_get_exactly_the_size_asked_for(h: int, w: int, resize: str) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, h, w, 3)).astype(np.uint8)
    got = resized(frames, 32, 48, resize)
    assert (got.shape, got.dtype) == ((2, 32, 48, 3), np.uint8)
    if resize == "cover":
        np.testing.assert_array_equal(got, resize_crop(frames, 32, 48))


def test_a_frame_of_the_right_size_is_left_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3)).astype(np.uint8)
    for resize in RESIZES:
        np.testing.assert_array_equal(resized(frames, 32, 48, resize), frames)


def test_the_selected_frames_are_those_of_the_file(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(0, 240, 12, dtype=np.uint8), 64 * 64 * 3).reshape(20, 64, 64, 3)
    path = tmp_path / "ramp.mp4"
    write_video(path, ramp, 8.0, crf=0)
    stored = read_video(path).frames
    got = frames_of(path, Selection((0, 3, 3, 17), 8.0, 64, 64))
    np.testing.assert_array_equal(got, stored[[0, 3, 3, 17]])
    assert frames_of(path, Selection((1,), 8.0, 32, 48, "floor")).shape == (1, 32, 48, 3)


def test_what_differs_is_said_in_words() -> None:
    one = Selection(tuple(range(49)), 16.0, 480, 832)
    other = Selection(tuple(range(0, 98, 2)), 24.0, 512, 832, "floor")
    assert one.differences(one) == []
    assert one.differences(other) == [
        "frames 0-48 against 0-96 in steps of 2",
        "rate 16 against 24 frames/s",
        "size 480x832 against 512x832",
        "resize and crop cover against floor",
    ]


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"rule should be one of .*, got 'tail'"):
        FrameRule("tail", 9)
    with pytest.raises(ValueError, match="frames should be at least 1, got 0"):
        FrameRule("head", 0)
    with pytest.raises(ValueError, match="resampling should be one of"):
        FrameRule("head", 9, resampling="blend")
    with pytest.raises(ValueError, match="source_fps should be given"):
        FrameRule("head", 9, 16.0, resampling="declared")
    with pytest.raises(ValueError, match="fps should be positive, got 0"):
        FrameRule("head", 9, 0.0)
    with pytest.raises(ValueError, match="resize should be one of"):
        Selection((0,), 8.0, 16, 16, "squash")
    with pytest.raises(ValueError, match="buckets should be"):
        Request(())
    assert musubi_rules(Request(((9, 16, 16),)))[0].fps is None


@pytest.mark.parametrize(("indices", "share"), [
    ((5,), 0.0), ((0, 1, 2), 0.0), ((0, 2, 4), 0.0), ((3, 3, 3), 1.0), ((0, 0, 1, 2, 2), 0.5)])
def test_the_share_of_steps_that_repeat_a_frame(indices: tuple[int, ...], share: float) -> None:
    assert Selection(indices, 8.0, 64, 64).repeated == share


@pytest.mark.parametrize("trainer", TRAINERS)
def test_what_a_trainer_does_not_read_changes_nothing(trainer: str) -> None:
    """And what it reads changes something, so that nothing asked for is left aside in silence."""
    base = Request(((9, 480, 832),), "slide", 4, 2, 12.0, 20.0)
    other = {"buckets": ((9, 480, 832), (17, 480, 832)), "extraction": "uniform", "step": 7,
             "samples": 3, "fps": 11.0, "source_fps": 15.0}  # fmt: skip
    for name, value in other.items():
        start = replace(base, extraction="uniform") if name == "samples" else base
        start = replace(start, buckets=start.buckets * 2) if name == "buckets" else start
        changed = replace(start, **{name: value})
        same = trained_on(trainer, even(200), 480, 832, start) == trained_on(
            trainer, even(200), 480, 832, changed
        )
        assert same == (name in ignored_settings(trainer, changed)), name


def test_a_declared_rate_without_the_models_is_refused() -> None:
    with pytest.raises(ValueError, match="fps should be the model's"):
        trained_on("musubi", even(50), 480, 832, Request(((9, 480, 832),), source_fps=30.0))
