"""Which frames a trainer takes, at which rate, and how it crops."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from motifocal.data.resizing import RESIZES, Placement, resized
from motifocal.data.selection import (
    RESAMPLING,
    RULES,
    FrameRule,
    Selection,
    Timeline,
    format_indices,
    frames_of,
    selected,
)
from motifocal.data.sources import dynamic_stride
from motifocal.data.trainer_rules import (
    TRAINERS,
    Request,
    ignored_settings,
    ltx_bucket,
    musubi_bucket,
    musubi_frames,
    musubi_rules,
    trained_on,
)
from motifocal.media.picture import resize_crop
from motifocal.media.video import read_video, write_video

steady = settings(deadline=None, derandomize=True, database=None)
counts = st.integers(1, 400)


def even(count: int, fps: float = 24.0) -> Timeline:
    return Timeline(tuple(i / fps for i in range(count)), count / fps)


def windows(trainer: str, count: int, request: Request, fps: float = 24.0) -> list[str]:
    samples = trained_on(trainer, even(count, fps), 480, 832, request)
    return [format_indices(sample.indices) for sample in samples]


@settings(deadline=None, derandomize=True, database=None)
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


def test_a_rate_that_is_declared_drops_frames_as_musubi_tuner_does() -> None:
    # Frame 15 stands at 15 * 16 / 30 = 8, but fifteen times 16 / 30 summed up is just below it.
    rule = FrameRule("head", 9, 16.0, resampling="declared", source_fps=30.0)
    (sample,) = selected(even(60, 30.0), rule, 16, 16)
    assert sample.indices == (0, 2, 4, 6, 8, 10, 12, 14, 16)
    assert sample.fps == pytest.approx(16, rel=0.05)
    # A slower clip keeps its frames: none is shown twice.
    slow = FrameRule("head", 9, 16.0, resampling="declared", source_fps=8.0)
    assert selected(even(9, 8.0), slow, 16, 16)[0].indices == tuple(range(9))


def test_without_a_declared_rate_musubi_tuner_takes_every_frame() -> None:
    request = Request(((49, 480, 832),), fps=16.0)
    assert windows("musubi", 90, request, fps=30.0) == ["0-48"]


def test_musubi_tuner_makes_samples_of_every_length_that_fits() -> None:
    buckets = ((26, 480, 832), (1, 480, 832), (45, 480, 832))  # 26 becomes 25
    assert windows("musubi", 40, Request(buckets)) == ["0", "0-24"]
    assert windows("musubi", 52, Request(((25, 16, 16),), "chunk")) == ["0-24", "25-49"]
    assert windows("musubi", 30, Request(((25, 16, 16),), "slide", step=3)) == ["0-24", "3-27"]
    three = Request(((25, 16, 16),), "uniform", samples=3)
    assert windows("musubi", 45, three) == ["0-24", "10-34", "20-44"]
    assert windows("musubi", 45, Request(((25, 16, 16),), "uniform")) == ["0-24"]
    assert windows("musubi", 40, Request(((129, 16, 16),), "full")) == ["0-36"]
    assert windows("musubi", 200, Request(((129, 16, 16),), "full")) == ["0-128"]


def test_musubi_tuners_head_reads_less_of_a_clip_that_is_slower_than_its_model() -> None:
    # At 16 frames/s the longest ends at 25, which is frame 13 of a clip of 8 frames/s.
    buckets = ((9, 16, 16), (13, 16, 16), (17, 16, 16), (25, 16, 16))
    request = Request(buckets, fps=16.0, source_fps=8.0)
    assert windows("musubi", 60, request, fps=8.0) == ["0-8", "0-12"]
    request = Request(buckets, "chunk", fps=16.0, source_fps=8.0)
    assert "0-24" in windows("musubi", 60, request, fps=8.0)


def test_a_cached_sample_of_musubi_tuner_is_found_again() -> None:
    request = Request(((9, 16, 16),), "chunk", fps=16.0, source_fps=24.0)
    timeline = even(48, 24.0)
    samples = trained_on("musubi", timeline, 480, 832, request)
    assert len(samples) == 3
    for number, sample in enumerate(samples):
        assert musubi_frames(timeline, request, 9 * number, 9) == sample.indices
    with pytest.raises(ValueError, match="frames 27-35 are wanted, the clip has 32"):
        musubi_frames(timeline, request, 27, 9)


@pytest.mark.parametrize(
    ("shape", "target", "bucket"),
    [
        ((1080, 1920), (512, 768), (464, 832)),  # as one of its users reported
        ((480, 832), (544, 960), (544, 960)),
        ((1080, 1920), (544, 960), (544, 960)),
        ((720, 720), (544, 960), (720, 720)),
        ((1280, 720), (544, 960), (960, 544)),
        ((512, 768), (512, 768), (512, 768)),
    ],
)
def test_musubi_tuners_buckets_follow_the_shape_of_the_clip(
    shape: tuple[int, int], target: tuple[int, int], bucket: tuple[int, int]
) -> None:
    assert musubi_bucket(*shape, target) == bucket
    (sample,) = trained_on("musubi", even(9), *shape, Request(((9, *target),)))
    assert (sample.height, sample.width) == bucket


def test_without_buckets_musubi_tuner_takes_the_resolution_as_it_is() -> None:
    request = Request(((9, 512, 768),), bucketed=False)
    (sample,) = trained_on("musubi", even(9), 1080, 1920, request)
    assert (sample.height, sample.width, sample.resize) == (512, 768, "half-up")


def test_the_ltx_trainer_prefers_shape_then_length_then_size() -> None:
    wide, longer = (25, 512, 896), (49, 512, 896)
    square, larger = (97, 512, 512), (49, 1024, 1792)
    buckets = (square, wide, longer, larger)
    assert ltx_bucket(120, 1080, 1920, buckets) == larger
    assert ltx_bucket(30, 1080, 1920, buckets) == wide
    assert ltx_bucket(120, 700, 700, buckets) == square
    assert ltx_bucket(24, 1080, 1920, buckets) is None
    assert windows("ltx", 24, Request(buckets)) == []
    assert windows("ltx", 60, Request((longer,))) == ["0-48"]


def test_diffsynth_takes_the_first_frames_or_as_many_as_a_short_clip_has() -> None:
    request = Request(((81, 480, 832),))
    assert windows("diffsynth", 200, request) == ["0-80"]
    assert windows("diffsynth", 40, request) == ["0-36"]
    # At a fixed rate: round(k / 16 * 24), ties to the even number, as its map_single_frame_id.
    (sample,) = trained_on("diffsynth", even(24), 480, 832, Request(((9, 480, 832),), fps=16.0))
    assert sample.indices == (0, 2, 3, 4, 6, 8, 9, 10, 12)


@steady
@given(st.integers(2, 700), st.integers(1, 160))
def test_finetrainers_spreads_frames_as_torch_does(count: int, frames: int) -> None:
    if frames >= count:
        return
    (sample,) = selected(even(count), FrameRule("spread", frames), 16, 16)
    wanted = torch.linspace(0, count - 1, frames).long().tolist()
    assert list(sample.indices) == wanted


def test_finetrainers_chooses_length_before_shape_and_stretches() -> None:
    buckets = ((17, 480, 832), (49, 512, 512), (49, 480, 832), (81, 480, 832))
    (sample,) = trained_on("finetrainers", even(60), 720, 1280, Request(buckets))
    assert (len(sample.indices), sample.height, sample.width) == (49, 480, 832)
    assert (sample.indices[0], sample.indices[-1], sample.resize) == (0, 59, "stretch")
    assert windows("finetrainers", 9, Request(buckets)) == ["0-8"]


def test_the_cogvideox_script_strides_through_a_long_clip() -> None:
    request = Request(((49, 480, 720),))
    assert windows("cogvideox-lora", 49, request) == ["0-48"]
    assert windows("cogvideox-lora", 40, request) == ["0-36"]
    assert windows("cogvideox-lora", 100, request) == ["0-96 in steps of 2"]
    assert windows("cogvideox-lora", 97, request) == ["0-48"]  # 97 // 49 is 1


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
