"""Which frames and crops each trainer takes, as its own code has it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steady import steady
from timelines import even

from motifocal.data.selection import FrameRule, format_indices, selected
from motifocal.data.trainer_rules import (
    Request,
    ltx_bucket,
    musubi_bucket,
    musubi_frames,
    trained_on,
)


def windows(trainer: str, count: int, request: Request, fps: float = 24.0) -> list[str]:
    samples = trained_on(trainer, even(count, fps), 480, 832, request)
    return [format_indices(sample.indices) for sample in samples]


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
