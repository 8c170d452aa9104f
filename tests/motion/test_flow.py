"""Optical flow: the right shift in the right direction, the same however it is computed."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from motifocal.motion.change import motion_evidence
from motifocal.motion.flow import DIS_PRESETS, ESTIMATORS, FlowOptions, estimate_flow
from motifocal.motion.raft import RaftOptions


def texture(height: int, width: int, seed: int = 0, sigma: float = 2.0) -> np.ndarray:
    """A blurred random picture (H, W, 3) float32, mean 128, standard deviation 30."""
    noise = np.random.default_rng(seed).standard_normal((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma)
    return smooth / smooth.std() * 30 + 128


def shifted(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    size = picture.shape[1::-1]
    return cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)


def moving_texture(
    frames: int, x: float, y: float, height: int = 96, width: int = 128
) -> np.ndarray:
    picture = texture(height, width)
    clip = [shifted(picture, x * index, y * index) for index in range(frames)]
    return np.clip(np.rint(np.stack(clip)), 0, 255).astype(np.uint8)


ON_THE_CPU = ("dis", "farneback")


@pytest.mark.parametrize("method", ON_THE_CPU)
@pytest.mark.parametrize(("x", "y"), [(5, 0), (-3, 0), (0, 4), (0, -2), (2, -3), (0.5, 1.5)])
def test_flow_of_a_shifted_texture_is_the_shift(x: float, y: float, method: str) -> None:
    flow = estimate_flow(moving_texture(3, x, y), method)
    assert flow.shape == (2, 2, 96, 128)
    assert flow.dtype == np.float32
    interior = flow[:, :, 16:-16, 16:-16]
    assert np.abs(interior - np.array([x, y], np.float32)[:, None, None]).max() < 0.25


def test_flow_l_belongs_to_frames_l_and_l_plus_one() -> None:
    picture = texture(96, 96)
    path = [0.0, 0.0, 3.0, 2.0]  # rests, jumps to the right, comes back by one
    frames = np.stack([shifted(picture, x, 0) for x in path])
    flow = estimate_flow(np.clip(np.rint(frames), 0, 255).astype(np.uint8))
    steps = np.median(flow[:, 0, 16:-16, 16:-16], axis=(1, 2))
    np.testing.assert_allclose(steps, np.diff(path), atol=0.1)


@pytest.mark.parametrize("preset", DIS_PRESETS)
def test_the_number_of_threads_does_not_change_a_bit(preset: str) -> None:
    frames = moving_texture(9, 2.3, -1.2)
    one = estimate_flow(frames, preset=preset, workers=1)
    for workers in (2, 5, None):
        assert np.array_equal(estimate_flow(frames, preset=preset, workers=workers), one)


@pytest.mark.parametrize("size", [0, 64])
def test_nor_does_it_with_farneback_or_at_a_reduced_size(size: int) -> None:
    frames = moving_texture(5, 2.3, -1.2)
    one, three = (estimate_flow(frames, "farneback", size=size, workers=w) for w in (1, 3))
    assert np.array_equal(one, three)


@pytest.mark.parametrize("method", ON_THE_CPU)
@pytest.mark.parametrize(("height", "width"), [(192, 256), (256, 192), (190, 251)])
def test_flow_found_at_a_reduced_size_is_in_pixels_of_the_frames(
    method: str, height: int, width: int
) -> None:
    frames = moving_texture(3, 6, -4, height, width)
    flow = estimate_flow(frames, method, size=96)
    assert flow.shape == (2, 2, height, width)
    interior = flow[:, :, 32:-32, 32:-32]
    assert np.abs(interior - np.array([6, -4], np.float32)[:, None, None]).max() < 0.6


def test_flow_found_at_a_reduced_size_lies_where_the_motion_is() -> None:
    frames, disc = plain_disc(3, 4)
    fast = np.hypot(*estimate_flow(frames, size=80).transpose(1, 0, 2, 3)) > 2
    found, true = (np.argwhere(where[0]).mean(axis=0) for where in (fast, disc))
    np.testing.assert_allclose(found, true, atol=6)


@pytest.mark.parametrize("size", [0, 96, 500])
def test_frames_that_are_small_enough_are_not_reduced(size: int) -> None:
    frames = moving_texture(3, 2, 1)
    assert np.array_equal(estimate_flow(frames, size=size), estimate_flow(frames))


@pytest.mark.parametrize("shape", [(1, 400), (400, 1), (3, 90), (64, 64)])
def test_even_a_line_can_be_reduced(shape: tuple[int, int]) -> None:
    flow = estimate_flow(moving_texture(2, 1, 0, *shape), size=1)
    assert flow.shape == (1, 2, *shape)
    assert np.isfinite(flow).all()


def test_opencvs_own_threads_neither_change_a_bit_nor_get_changed() -> None:
    frames = moving_texture(4, 2.3, -1.2)
    before = cv2.getNumThreads()
    flows = []
    try:
        for threads in (1, 2, 4):
            cv2.setNumThreads(threads)
            flows.append(estimate_flow(frames, workers=2))
            assert cv2.getNumThreads() == threads
    finally:
        cv2.setNumThreads(before)
    assert np.array_equal(flows[0], flows[1])
    assert np.array_equal(flows[0], flows[2])


@pytest.mark.parametrize("preset", ["ultrafast", "fast", "medium"])
@pytest.mark.parametrize("size", [(16, 16), (20, 32), (64, 32), (40, 70), (96, 128)])
def test_a_pair_has_the_same_flow_alone_and_in_a_clip(size: tuple[int, int], preset: str) -> None:
    frames = moving_texture(6, 1.7, 0.6, *size)
    for workers in (1, 2):
        whole = estimate_flow(frames, preset=preset, workers=workers)
        for pair in range(5):
            alone = estimate_flow(frames[pair : pair + 2], preset=preset)
            assert np.array_equal(alone[0], whole[pair])


def test_a_single_frame_has_no_flow() -> None:
    flow = estimate_flow(moving_texture(1, 0, 0))
    assert flow.shape == (0, 2, 96, 128)
    assert flow.dtype == np.float32
    assert motion_evidence(moving_texture(1, 0, 0), 2.5).shape == (0, 96, 128)


@pytest.mark.parametrize(
    ("height", "width"),
    # The wide ones make OpenCV read outside the picture if nothing is done about it.
    [(1, 1), (3, 5), (8, 8), (16, 16), (8, 64), (16, 256), (24, 1024), (240, 576), (1024, 16)],
)
@pytest.mark.parametrize(
    ("method", "preset"), [*(("dis", preset) for preset in DIS_PRESETS), ("farneback", "medium")]
)
def test_any_frame_size_works(height: int, width: int, method: str, preset: str) -> None:
    flow = estimate_flow(moving_texture(2, 1, 0, height, width), method, preset=preset)
    assert flow.shape == (1, 2, height, width)
    assert np.isfinite(flow).all()
    if min(height, width) >= 16:
        assert abs(np.median(flow[0, 0]) - 1) < 0.2


def test_red_weighs_more_than_blue_as_in_luma() -> None:
    frames = np.zeros((2, 96, 96, 3), np.uint8)
    red, blue = (np.clip(texture(96, 96, seed), 0, 255)[..., 0] for seed in (1, 2))
    frames[0, ..., 0], frames[1, ..., 0] = red, np.roll(red, 3, axis=1)
    frames[0, ..., 2], frames[1, ..., 2] = blue, np.roll(blue, -3, axis=1)
    assert np.median(estimate_flow(frames)[0, 0]) > 2


def test_frames_may_be_a_view_with_any_strides() -> None:
    frames = moving_texture(3, 2, 1)
    view = np.ascontiguousarray(frames[..., ::-1])[..., ::-1]
    assert np.array_equal(estimate_flow(view), estimate_flow(frames))


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((32, 32, 3), np.uint8),
        ((2, 3, 32, 32), np.uint8),
        ((2, 32, 32, 3), np.float32),
        ((0, 32, 32, 3), np.uint8),
        ((2, 0, 32, 3), np.uint8),
    ],
)
def test_frames_of_another_kind_are_refused(shape: tuple[int, ...], dtype: type) -> None:
    frames = np.zeros(shape, dtype)
    for function in (estimate_flow, lambda frames: motion_evidence(frames, 1.0)):
        with pytest.raises(ValueError, match=r"frames should be \(F, H, W, 3\) uint8, got"):
            function(frames)


def test_flow_is_not_estimated_on_grey_frames() -> None:
    with pytest.raises(ValueError, match=r"frames should be \(F, H, W, 3\) uint8, got \(2, 32"):
        estimate_flow(np.zeros((2, 32, 32), np.uint8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "farnebeck"}, "method should be one of .*'dis'.*got 'farnebeck'"),
        ({"preset": "best"}, "preset should be one of .*'medium'.*got 'best'"),
        ({"workers": 0}, "workers should be at least 1, got 0"),
        ({"size": -1}, "size should be at least 0, got -1"),
    ],
)
def test_unknown_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimate_flow(moving_texture(1, 0, 0), **options)


def test_every_estimator_is_reached_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def spy(frames: np.ndarray, options: FlowOptions) -> np.ndarray:
        calls.append((frames.shape, options))
        return np.zeros((1, 2, *frames.shape[1:3]), np.float32)

    monkeypatch.setitem(ESTIMATORS, "spy", spy)
    raft = RaftOptions(iterations=3)
    estimate_flow(moving_texture(2, 0, 0), "spy", preset="p", size=48, raft=raft, workers=3)
    assert calls == [((2, 48, 64, 3), FlowOptions("p", raft, 3))]


def test_at_a_reduced_size_pixels_are_means_and_flow_keeps_its_place_and_either_sides_scale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    height, width, seen = 15, 104, []  # reduced to 4 x 28: by 3.75 and by 3.71

    def places(frames: np.ndarray, options: FlowOptions) -> np.ndarray:
        """Where the middle of each reduced pixel lies, in reduced pixels, as its flow."""
        seen.append(frames)
        y, x = np.mgrid[: frames.shape[1], : frames.shape[2]] + 0.5
        return np.stack([x - 0.5 * x.shape[1] / width, y - 0.5 * x.shape[0] / height])[None].astype(
            np.float32
        )

    monkeypatch.setitem(ESTIMATORS, "places", places)
    y, x = np.mgrid[:height, :width]
    board = np.repeat(((x + y) % 2 * 255).astype(np.uint8)[None, ..., None], 3, axis=-1)
    flow = estimate_flow(np.concatenate([board, board]), "places", size=4)
    assert seen[0].shape == (2, 4, 28, 3)
    assert np.abs(seen[0].astype(int) - 128).max() < 20
    inside = np.s_[3:-3, 3:-3]
    np.testing.assert_allclose(flow[0, 0][inside], x[inside], atol=1e-3)
    np.testing.assert_allclose(flow[0, 1][inside], y[inside], atol=1e-3)


def plain_disc(frames: int, speed: int, noise: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A flat disc moves right on flat grey: clip (F, H, W, 3) and where the disc is (F, H, W)."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:160, :160]
    disc = np.stack([np.hypot(x - 60 - speed * f, y - 80) < 24 for f in range(frames)])
    grey = np.where(disc, 180, 110) + rng.integers(-noise, noise + 1, disc.shape)
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1), disc


@pytest.mark.parametrize("noise", [0, 2])
def test_evidence_covers_a_flat_moving_disc_and_little_else(noise: int) -> None:
    frames, disc = plain_disc(6, 4, noise)
    evidence = motion_evidence(frames, 2.5)
    moved = disc[:-1] | disc[1:]
    assert (evidence & moved).sum() > 0.95 * moved.sum()
    band = np.stack([cv2.dilate(m.astype(np.uint8), np.ones((15, 15))) for m in moved]) > 0
    assert not (evidence & ~band).any()  # 7 px around the disc at most


def test_evidence_fills_what_it_surrounds_on_three_sides_but_not_on_two() -> None:
    frames = np.full((2, 120, 200, 3), 90, np.uint8)
    frames[1, 20:100, 20:26] = frames[1, 20:100, 80:86] = frames[1, 94:100, 20:86] = 200  # a cup
    frames[1, 20:100, 180:186] = 200  # and a wall far to the right of it
    (evidence,) = motion_evidence(frames, 2.5)
    assert evidence[30:90, 35:70].all()  # inside the cup, open at the top
    assert not evidence[30:90, 100:165].any()  # between cup and wall
    assert not evidence[:10].any()  # above


def test_noise_is_no_evidence_until_it_passes_the_limit() -> None:
    frames, _ = plain_disc(6, 0, noise=2)
    assert not motion_evidence(frames, 2.5).any()
    assert motion_evidence(frames, 0.1).any()


@pytest.mark.parametrize("noise", [-1.0, float("nan")])
def test_an_impossible_noise_level_is_refused(noise: float) -> None:
    with pytest.raises(ValueError, match="noise should be at least 0"):
        motion_evidence(moving_texture(2, 0, 0), noise)
