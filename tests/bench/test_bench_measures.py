"""Measures without weights: zero for a still, right on what is known, blind only as they say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from sliding_clips import drawn, moved, sliding, texture

from motifocal.bench.score.fidelity import fidelity
from motifocal.bench.score.measures import MEASURES, measure
from motifocal.bench.score.temporal import temporal_flickering, warping_error
from motifocal.media.picture import read_image
from motifocal.media.video import list_videos, read_video, write_video
from motifocal.metrics import psnr
from motifocal.motion.flow import estimate_flow
from motifocal.scenes.evaluation import evaluate
from motifocal.scenes.render import first_image
from motifocal.scenes.stage import SCENARIOS, make_stage

MOTION = ("motion_amount", "object_motion", "camera_motion", "moving_share")


def measured(frames: np.ndarray, picture: np.ndarray | None = None) -> dict[str, float]:
    first = frames[0] if picture is None else picture
    return measure(frames, first, estimate_flow(frames), 8.0)


def through_h264(frames: np.ndarray, folder: Path) -> np.ndarray:
    write_video(folder / "clip.mp4", frames, fps=8)
    return read_video(folder / "clip.mp4").frames


def test_every_measure_has_its_line_and_the_lines_are_in_order() -> None:
    values = measured(sliding(2))
    assert list(values) == list(MEASURES)
    assert all(np.isfinite(value) for value in values.values())
    for each in MEASURES.values():
        assert each.name
        assert each.definition
        assert each.source
        assert re.fullmatch(r"[^.]+[^.]*\.", each.blind_spot), "one sentence"
    assert len({each.name for each in MEASURES.values()}) == len(MEASURES)


@pytest.mark.parametrize("size", [128, 320])
@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("scenario", ["balloons", "fish", "candle"])
def test_a_still_clip_has_exactly_no_motion(
    scenario: str, encoded: bool, size: int, tmp_path: Path
) -> None:
    picture = first_image(make_stage(scenario, "train", 1), size)
    frames = np.repeat(picture[None], 5, axis=0)
    if encoded:
        frames = through_h264(frames, tmp_path)
    values = measured(frames, picture)
    assert [values[name] for name in MOTION] == [0, 0, 0, 0]


def test_real_pictures_that_stand_still_have_exactly_no_motion(
    shared: Path, tmp_path: Path
) -> None:
    for path in sorted((shared / "ti2v-clips" / "images").iterdir())[::8]:
        frames = through_h264(np.repeat(read_image(path)[None], 8, axis=0), tmp_path)
        assert set(moved(frames).values()) == {0.0}, path.name


def test_no_clip_beats_the_still_image_where_the_table_says_so() -> None:
    picture = texture(96, 96)
    still = np.repeat(picture[None], 4, axis=0)
    best = measured(still, picture)
    noisy = np.clip(still + np.random.default_rng(0).normal(0, 9, still.shape), 0, 255)
    shift = np.array([np.roll(picture, 2 * index, axis=1) for index in range(4)])
    rivals = [measured(noisy.astype(np.uint8), picture), measured(shift, picture)]
    for name, each in MEASURES.items():
        if each.still_wins:
            better = max if each.better == "higher" else min
            assert better(best[name], *(rival[name] for rival in rivals)) == best[name]
        else:
            assert each.better == "neither"
    assert best["drift_ssim"] == pytest.approx(1, abs=1e-5)
    assert best["temporal_flickering"] == 1
    assert best["warping_error"] == 0


@pytest.mark.parametrize("shape", [(24, 40), (101, 64)])
def test_psnr_and_ssim_are_those_of_the_drawn_worlds_judge(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    picture = texture(*shape)
    frames = np.array([np.clip(picture + rng.normal(0, noise, picture.shape), 0, 255)
                       for noise in (0, 3, 20)]).astype(np.uint8)
    values = fidelity(frames, picture)
    psnrs = [evaluate.psnr(frame, picture) for frame in frames]
    grey = [np.repeat(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
            for each in (*frames, picture)]
    ssims = [evaluate.ssim(each, grey[-1]) for each in grey[:-1]]
    assert values["first_frame_psnr"] == pytest.approx(psnrs[0], abs=1e-4)
    assert values["drift_psnr"] == pytest.approx(np.mean(psnrs[1:]), abs=1e-4)
    assert values["first_frame_ssim"] == pytest.approx(ssims[0], abs=1e-4)
    assert values["drift_ssim"] == pytest.approx(np.mean(ssims[1:]), abs=1e-4)


def test_ssim_keeps_its_digits_in_bright_flat_pictures() -> None:
    """There, squares of grey levels differ by little and float32 has few digits left for it."""
    rng = np.random.default_rng(2)
    picture = np.full((64, 64, 3), 250, np.uint8)
    frames = np.repeat(rng.integers(249, 252, (3, 64, 64, 1)), 3, axis=-1).astype(np.uint8)
    expected = np.mean([evaluate.ssim(frame, picture) for frame in frames[1:]])
    assert fidelity(frames, picture)["drift_ssim"] == pytest.approx(expected, abs=1e-4)


def test_psnr_is_its_formula() -> None:
    black, grey = np.zeros((12, 15, 3), np.uint8), np.full((12, 15, 3), 20, np.uint8)
    assert psnr(black, grey) == pytest.approx(10 * np.log10(255**2 / 20**2))
    assert psnr(black, black) == pytest.approx(58.92, abs=0.01)


def test_psnr_sums_squares_exactly() -> None:
    a, b = np.random.default_rng(0).integers(0, 256, (2, 64, 80, 3), dtype=np.uint8)
    squares = sum((int(x) - int(y)) ** 2 for x, y in zip(a.flat, b.flat, strict=True))
    assert psnr(a, b) == 10 * np.log10(255**2 / (squares / a.size))


def test_drift_is_what_comes_after_the_first_frame() -> None:
    picture = texture(48, 64)
    frames = np.array([picture, 255 - picture, picture])
    values = fidelity(frames, picture)
    assert values["first_frame_psnr"] == psnr(picture, picture)
    assert values["drift_psnr"] == (psnr(255 - picture, picture) + psnr(picture, picture)) / 2
    assert values["drift_ssim"] < values["first_frame_ssim"]


def test_temporal_flickering_is_vbenchs_formula() -> None:
    levels = np.array([0, 10, 4, 4], np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (4, 11, 12, 3)).copy()
    frames[3, :, :6] = 255
    changes = [10, 6, 251 / 2]
    assert temporal_flickering(frames) == pytest.approx((255 - np.mean(changes)) / 255)


def test_warping_error_is_the_mean_squared_error_of_what_flow_leaves() -> None:
    frames = np.zeros((3, 20, 30, 3), np.uint8)
    frames[1], frames[2] = 10, 40
    rest = np.zeros((2, 2, 20, 30), np.float32)
    expected = 1000 * np.mean([10**2, 30**2]) / 255**2
    assert warping_error(frames, rest) == pytest.approx(expected)


def test_flow_that_is_right_leaves_no_warping_error() -> None:
    wall = texture(64, 96)
    frames = np.array([np.roll(wall, 3 * index, axis=1) for index in range(4)])
    flow = np.zeros((3, 2, 64, 96), np.float32)
    unexplained = warping_error(frames, flow)
    flow[:, 0] = 3
    # What leaves on the right comes back on the left here, and does not count.
    assert warping_error(frames, flow) == 0
    assert unexplained > 1
    assert warping_error(frames, estimate_flow(frames)) < 0.1 * unexplained


@pytest.mark.parametrize("step", [0.1, 2.0])
def test_motion_boundaries_do_not_count_as_warping_error(step: float) -> None:
    flow = np.zeros((1, 2, 40, 40), np.float32)
    flow[0, 0, 10:30, 10:30] = step
    frames = np.zeros((2, 40, 40, 3), np.uint8)
    frames[0, 10:30, 29] = 255  # only at the square's right rim is anything wrong
    assert warping_error(frames, flow) == 0
    frames[0, 10:30, 20] = 255
    assert warping_error(frames, flow) > 1


def test_a_slope_within_fast_motion_is_no_boundary() -> None:
    frames = np.zeros((2, 40, 40, 3), np.uint8)
    frames[0, :, 30] = 255
    flow = np.zeros((1, 2, 40, 40), np.float32)
    flow[0, 0] = np.linspace(0, 6, 40)  # 0.15 pixels from one to the next
    slow = warping_error(frames, flow)
    assert slow > 1
    flow[0, 0, :, 20:] -= 4.6
    assert warping_error(frames, flow) == 0  # the same slope where next to nothing moves


def test_a_pair_that_is_all_boundary_counts_whole() -> None:
    y, x = np.mgrid[:24, :24]
    flow = np.where((x + y) % 2, 1, -1)[None, None].repeat(2, axis=1).astype(np.float32)
    frames = np.zeros((2, 24, 24, 3), np.uint8)
    frames[1] = 51
    assert warping_error(frames, flow) == pytest.approx(1000 * 0.2**2)


def shuffled(frames: np.ndarray, order: Sequence[int]) -> np.ndarray:
    return np.ascontiguousarray(frames[list(order)])


@pytest.mark.parametrize("scenario", ["car", "balloons", "bird"])
def test_shuffled_frames_flicker_more_and_fit_their_flow_less(scenario: str) -> None:
    frames, _ = drawn(scenario, 3, 160)
    mixed = shuffled(frames, (0, 5, 2, 7, 1, 6, 3, 4))
    before, after = measured(frames), measured(mixed)
    assert after["temporal_flickering"] < before["temporal_flickering"]
    assert after["warping_error"] > 1.2 * before["warping_error"]
    assert after["first_frame_psnr"] == before["first_frame_psnr"]
    assert after["drift_psnr"] == pytest.approx(before["drift_psnr"])


def test_every_scenario_of_the_drawn_world_is_measured_at_64_pixels() -> None:
    for scenario in SCENARIOS:
        values = measured(drawn(scenario, 5, 64)[0])
        assert all(np.isfinite(value) for value in values.values())


def test_generated_clips_are_measured_and_none_stands_still(shared: Path) -> None:
    for path in list_videos(shared / "ti2v-clips" / "videos")[::120]:
        clip = read_video(path)
        values = measure(clip.frames, clip.frames[0], estimate_flow(clip.frames), clip.fps)
        assert all(np.isfinite(value) for value in values.values())
        assert values["motion_amount"] > 0
        assert 0 < values["temporal_flickering"] < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": np.zeros((1, 16, 20, 3), np.uint8)}, r"frames should be at least 2 frames"),
        ({"frames": np.zeros((2, 10, 20, 3), np.uint8)}, r"11 or more pixels a side, got \(2, 10"),
        ({"frames": np.zeros((2, 16, 20, 3), np.float32)}, "frames should be .* uint8, got"),
        ({"image": np.zeros((16, 21, 3), np.uint8)}, r"image should be \(16, 20, 3\) uint8"),
        ({"image": np.zeros((16, 20, 3), np.float32)}, r"got \(16, 20, 3\) float32"),
        ({"flow": np.zeros((2, 2, 16, 20), np.float32)}, r"flow should be \(1, 2, 16, 20\), got"),
        ({"flow": np.full((1, 2, 16, 20), np.nan, np.float32)}, "flow should be finite"),
        ({"fps": 0.0}, "fps should be positive and finite, got 0"),
        ({"fps": float("nan")}, "fps should be positive and finite, got nan"),
    ],
)
def test_what_cannot_be_measured_is_refused(change: dict, message: str) -> None:
    given = {
        "frames": np.zeros((2, 16, 20, 3), np.uint8),
        "image": np.zeros((16, 20, 3), np.uint8),
        "flow": np.zeros((1, 2, 16, 20), np.float32),
        "fps": 8.0,
    }
    assert measure(**given)["motion_amount"] == 0
    with pytest.raises(ValueError, match=message):
        measure(**(given | change))
