"""Motion heatmaps: hot where something moves, cold where nothing does, the same on disk."""

from __future__ import annotations

import io
import json
import os
import tracemalloc
import zipfile
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from motifocal.media.video import list_videos, read_video, write_video
from motifocal.motion.heatmap import (
    DEFAULT_SETTINGS,
    UNITS,
    HeatmapSettings,
    clip_heatmap,
    motion_heatmap,
    settings_from,
)
from motifocal.motion.heatmap_files import load_heatmap, save_heatmap
from motifocal.motion.raft import RaftOptions

steady = hypothesis_settings(deadline=None, derandomize=True)
SIZE = 160
COLD = 0.01  # sigma(0) is 0.0067 with the paper's slope and threshold
BAND = 8  # pixels around a moving thing that may be hot too: flow is smooth, evidence dilated


def background(kind: str, seed: int = 0) -> np.ndarray:
    """(SIZE, SIZE) grey values: plain, or texture of the contrast of grass or of a wall."""
    if kind == "plain":
        return np.full((SIZE, SIZE), 110, np.float32)
    noise = np.random.default_rng(seed).standard_normal((SIZE, SIZE)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0 if kind == "grass" else 6.0)
    return smooth / smooth.std() * (30 if kind == "grass" else 4) + 110


def square_clip(
    kind: str, step: int = 4, frames: int = 6, noise: int = 0, size: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """A square moves right by ``step`` a frame: clip (F, H, W, 3) and where it is (F, H, W)."""
    rng = np.random.default_rng(7)
    square = background("grass", seed=1)[:size, :size] + 60
    scene, where = background(kind), np.zeros((frames, SIZE, SIZE), bool)
    clip = np.repeat(scene[None], frames, axis=0)
    for frame in range(frames):
        place = (slice(60, 60 + size), slice(30 + step * frame, 30 + step * frame + size))
        clip[frame][place] = square
        where[frame][place] = True
    clip += rng.integers(-noise, noise + 1, clip.shape)
    grey = np.clip(np.rint(clip), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), where


def grown(where: np.ndarray, pixels: int) -> np.ndarray:
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return np.stack([cv2.dilate(frame.astype(np.uint8), kernel) for frame in where]) > 0


@pytest.mark.parametrize("kind", ["grass", "wall", "plain"])
@pytest.mark.parametrize("noise", [0, 2])
@pytest.mark.parametrize("step", [1, 4])
@pytest.mark.parametrize("unit", ["maximum", "percentile"])
def test_a_moving_square_is_hot_and_nothing_else_is(
    kind: str, noise: int, step: int, unit: str
) -> None:
    frames, where = square_clip(kind, step, noise=noise)
    heat = clip_heatmap(frames, HeatmapSettings(unit=unit))[:-1]
    inside = where[:-1] & ~grown(~where[:-1], 3)
    assert (heat[inside] > 0.5).mean() > 0.9
    outside = ~grown(where[:-1] | where[1:], BAND)
    assert heat[outside].max() < COLD


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("kind", ["grass", "wall", "plain"])
@pytest.mark.parametrize("noise", [0, 2])
def test_a_still_clip_is_all_cold_even_with_noise(unit: str, kind: str, noise: int) -> None:
    frames, _ = square_clip(kind, step=0, noise=noise)
    heat = clip_heatmap(frames, HeatmapSettings(unit=unit))
    assert heat.shape == frames.shape[:3]
    assert heat.max() < COLD


def test_without_the_noise_gate_the_still_clip_would_not_be_cold() -> None:
    frames, _ = square_clip("plain", step=0, noise=2)
    assert (clip_heatmap(frames, HeatmapSettings(noise=0)) > 0.5).mean() > 0.2


def test_a_still_clip_through_a_codec_is_all_cold(tmp_path: Path) -> None:
    frames, _ = square_clip("wall", step=0, noise=2)
    write_video(tmp_path / "still.mp4", frames, 8, crf=26)
    heat = clip_heatmap(read_video(tmp_path / "still.mp4").frames)
    assert heat.max() < COLD


def uniform_flow(*magnitudes: float, size: int = 20) -> np.ndarray:
    """(F-1, 2, size, size): every vector of pair l is magnitudes[l] long, in direction (3, 4)."""
    length = np.array(magnitudes, np.float32)[:, None, None, None]
    direction = np.array([0.6, 0.8], np.float32)[None, :, None, None]
    return length * direction * np.ones((1, 1, size, size), np.float32)


def sigma(x: float) -> float:
    return 1 / (1 + np.exp(100 * (0.05 - x)))


def test_heat_is_the_papers_sigma_of_the_magnitude_in_each_unit() -> None:
    flow = uniform_flow(0.04, 0.06, 1.5)
    for unit, length in {"pixels": 1.0, "fraction": 20.0, "maximum": 1.5}.items():
        heat = motion_heatmap(flow, HeatmapSettings(unit=unit, floor=0))
        expected = [sigma(m / length) for m in (0.04, 0.06, 1.5, 1.5)]
        np.testing.assert_allclose(heat[:, 3, 4], expected, rtol=1e-4)
    heat = motion_heatmap(flow, HeatmapSettings(unit="percentile", percentile=50, floor=0))
    np.testing.assert_allclose(heat[:2, 0, 0], [sigma(0.04 / 0.06), sigma(1)], rtol=1e-4)


def test_heat_l_belongs_to_the_flow_from_frame_l_on_and_the_last_repeats() -> None:
    heat = motion_heatmap(uniform_flow(0.0, 5.0, 0.0, 2.0))
    assert heat.shape == (5, 20, 20)
    assert heat.dtype == np.float32
    assert (heat > 0.5).all(axis=(1, 2)).tolist() == [False, True, False, True, True]
    assert np.array_equal(heat[-1], heat[-2])


def test_a_single_frame_is_cold() -> None:
    heat = motion_heatmap(np.zeros((0, 2, 5, 6), np.float32))
    assert heat.shape == (1, 5, 6)
    assert heat.max() < COLD
    frames, _ = square_clip("grass", frames=1)
    assert clip_heatmap(frames).shape == (1, SIZE, SIZE)


@steady
@given(
    st.lists(st.floats(0, 1e6, width=32), min_size=1, max_size=6),
    st.sampled_from(sorted(UNITS)),
    st.sampled_from([0.0, 0.3]),
    st.floats(1, 1e4),
)
def test_heat_is_in_range_and_grows_with_the_motion(
    magnitudes: list[float], unit: str, floor: float, slope: float
) -> None:
    settings = HeatmapSettings(unit=unit, floor=floor, slope=slope)
    heat = motion_heatmap(uniform_flow(*sorted(magnitudes), size=2), settings)
    assert heat.min() >= 0
    assert heat.max() <= 1
    assert (np.diff(heat, axis=0) >= 0).all()


@pytest.mark.parametrize("unit", UNITS)
def test_motion_below_the_floor_is_never_hot(unit: str) -> None:
    slow = uniform_flow(0.29, 0.0)
    assert motion_heatmap(slow, HeatmapSettings(unit=unit, floor=0.3)).max() < 0.5
    if unit != "fraction":  # there 0.29 px of 20 is below the threshold anyway
        assert motion_heatmap(slow, HeatmapSettings(unit=unit, floor=0)).max() > 0.5


def test_fast_clips_do_not_feel_the_floor() -> None:
    flow = uniform_flow(8.0, 0.5, 0.2)
    with_floor = motion_heatmap(flow, HeatmapSettings(floor=0.3))
    assert np.array_equal(with_floor, motion_heatmap(flow, HeatmapSettings(floor=0)))


@pytest.mark.parametrize("unit", ["fraction", "maximum", "percentile"])
def test_relative_units_do_not_depend_on_the_resolution(unit: str) -> None:
    flow = uniform_flow(40.0, 3.0, 1.0)
    larger = 2 * flow.repeat(2, axis=2).repeat(2, axis=3)
    settings = HeatmapSettings(unit=unit, floor=0)
    np.testing.assert_allclose(
        motion_heatmap(larger, settings)[:, ::2, ::2], motion_heatmap(flow, settings), rtol=1e-5
    )


def test_one_wrong_vector_moves_the_maximum_but_not_the_percentile() -> None:
    flow = uniform_flow(2.0, 2.0)
    flow[0, :, 0, 0] = 500
    assert (motion_heatmap(flow, HeatmapSettings(unit="maximum"))[1] < 0.5).all()
    assert (motion_heatmap(flow, HeatmapSettings(unit="percentile"))[1] > 0.5).all()


def test_flow_without_evidence_counts_as_rest_and_does_not_set_the_unit() -> None:
    flow = uniform_flow(1.0)
    flow[..., :10] = 100
    evidence = np.ones((1, 20, 20), bool)
    evidence[..., :10] = False
    heat = motion_heatmap(flow, evidence=evidence)
    assert heat[..., :10].max() < COLD
    assert heat[..., 10:].min() > 0.5


def panned() -> tuple[np.ndarray, np.ndarray]:
    """The square moves while the camera pans: clip and where the square is."""
    frames, where = square_clip("grass")
    wide = background("grass", seed=5)
    for index, (frame, square) in enumerate(zip(frames, where, strict=True)):
        frame[~square] = np.repeat(np.roll(wide, -2 * index, axis=1)[..., None], 3, -1)[~square]
    return frames, where


@pytest.mark.parametrize("source", ["dis", "farneback"])
def test_a_pan_is_hot_everywhere_and_cold_once_the_camera_is_taken_out(source: str) -> None:
    frames, where = panned()
    with_camera = clip_heatmap(frames, HeatmapSettings(source=source))[:-1]
    without = clip_heatmap(frames, HeatmapSettings(source=source, camera=True))[:-1]
    far = ~grown(where[:-1] | where[1:], 12)
    assert (with_camera[far] > 0.5).mean() > 0.9
    assert (without[far] > 0.5).mean() < 0.05
    assert (without[where[:-1]] > 0.5).mean() > 0.9


def test_a_camera_that_rests_changes_nothing() -> None:
    frames, _ = square_clip("grass")
    assert np.array_equal(clip_heatmap(frames), clip_heatmap(frames, HeatmapSettings(camera=True)))


@pytest.mark.parametrize("source", ["dis", "farneback"])
@pytest.mark.parametrize("size", [40, 80])
def test_the_outline_stays_where_flow_is_estimated_at_a_reduced_size(
    source: str, size: int
) -> None:
    frames, where = square_clip("grass")
    heat = clip_heatmap(frames, HeatmapSettings(source=source, flow_size=size))[:-1]
    inside = where[:-1] & ~grown(~where[:-1], 3)
    assert (heat[inside] > 0.5).mean() > 0.9
    assert heat[~grown(where[:-1] | where[1:], BAND)].max() < COLD


def test_raft_goes_by_the_settings_and_by_the_device() -> None:
    settings = HeatmapSettings(raft_iterations=5, raft_precision="bfloat16", raft_weights="a.pth")
    assert settings.raft("cuda:1") == RaftOptions(5, "bfloat16", "a.pth", "cuda:1")


def test_settings_come_back_from_json_whole() -> None:
    settings = HeatmapSettings(
        "pixels", source="raft-small", flow_size=128, camera=True, raft_weights="a.pth"
    )
    assert settings_from(json.loads(json.dumps(asdict(settings)))) == settings
    for other in ({"colour": "red"}, None, [1]):
        with pytest.raises(ValueError, match="settings should have the keys"):
            settings_from(other)


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (np.zeros((2, 20, 20), np.float32), r"flow should be \(F-1, 2, H, W\), got \(2, 20, 20\)"),
        (np.zeros((2, 20, 20, 2), np.float32), r"flow should be \(F-1, 2, H, W\)"),
        (np.full((1, 2, 4, 4), np.nan, np.float32), "flow should be finite, got 32 not"),
        (np.full((1, 2, 4, 4), np.inf, np.float32), "flow should be finite"),
    ],
)
def test_flow_of_another_kind_is_refused(flow: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        motion_heatmap(flow)


def test_evidence_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"evidence should be \(1, 20, 20\), got \(2, 20, 20\)"):
        motion_heatmap(uniform_flow(1.0), evidence=np.ones((2, 20, 20), bool))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "metres"}, "unit should be one of .*'pixels'.*got 'metres'"),
        ({"slope": 0}, "slope should be positive, got 0"),
        ({"threshold": -0.05}, "threshold should be positive, got -0.05"),
        ({"floor": -1}, "floor should be at least 0, got -1"),
        ({"noise": float("nan")}, "noise should be at least 0, got nan"),
        ({"percentile": 101}, r"percentile should be in \[0, 100\], got 101"),
        ({"source": "raft"}, "source should be one of .*'raft-large'.*got 'raft'"),
        ({"preset": "slow"}, "preset should be one of .*'medium'.*got 'slow'"),
        ({"flow_size": -1}, "flow_size should be at least 0, got -1"),
        ({"raft_iterations": 0}, "iterations should be at least 1, got 0"),
        ({"raft_precision": "float64"}, "precision should be one of .*got 'float64'"),
    ],
)
def test_impossible_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HeatmapSettings(**options)


def some_heatmap(seed: int = 0, shape: tuple[int, ...] = (3, 32, 48)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.random((*shape[1:], shape[0]), np.float32), shape[:0:-1]).transpose(
        2, 0, 1
    )


@pytest.mark.parametrize("settings", [None, HeatmapSettings(unit="percentile", floor=0.7)])
def test_npz_keeps_eight_bits_and_the_settings(
    tmp_path: Path, settings: HeatmapSettings | None
) -> None:
    heatmap = some_heatmap()
    save_heatmap(tmp_path / "clip.npz", heatmap, settings)
    loaded, loaded_settings = load_heatmap(tmp_path / "clip.npz")
    assert loaded.dtype == np.float32
    assert np.abs(loaded - heatmap).max() <= 0.5 / 255 + 1e-6
    assert loaded_settings == settings
    assert [path.name for path in tmp_path.iterdir()] == ["clip.npz"]


def test_npz_is_readable_by_anyone_without_a_pickle(tmp_path: Path) -> None:
    save_heatmap(tmp_path / "clip.npz", some_heatmap(), DEFAULT_SETTINGS)
    with np.load(tmp_path / "clip.npz", allow_pickle=False) as stored:
        assert stored["heatmap"].dtype == np.uint8
        assert json.loads(str(stored["settings"]))["unit"] == DEFAULT_SETTINGS.unit


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        save_heatmap(tmp_path / name, some_heatmap(), DEFAULT_SETTINGS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_mp4_keeps_the_map_up_to_the_codec(tmp_path: Path) -> None:
    frames, _ = square_clip("grass")
    heatmap = clip_heatmap(frames)
    save_heatmap(tmp_path / "clip.mp4", heatmap, DEFAULT_SETTINGS, fps=12)
    loaded, settings = load_heatmap(tmp_path / "clip.mp4")
    assert loaded.shape == heatmap.shape
    assert np.abs(loaded - heatmap).max() < 0.05
    assert settings is None
    assert read_video(tmp_path / "clip.mp4").fps == 12


class Payload:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("pwned",)


def test_a_pickle_in_an_npz_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("evil.npz", heatmap=np.array(Payload(), dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_heatmap("evil.npz")
    assert not Path("pwned").exists()


def test_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    heatmap = some_heatmap()
    with pytest.raises(ValueError, match=r"path should end in .npz or .mp4, got .*x.npy"):
        save_heatmap(tmp_path / "x.npy", heatmap)
    with pytest.raises(ValueError, match=r"path should end in .npz or .mp4"):
        load_heatmap(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"even sides for .mp4, got \(3, 31, 48\)"):
        save_heatmap(tmp_path / "x.mp4", heatmap[:, 1:])
    np.savez(tmp_path / "other.npz", depth=heatmap)
    with pytest.raises(ValueError, match=r"should hold an array 'heatmap', got \['depth'\]"):
        load_heatmap(tmp_path / "other.npz")
    np.savez(tmp_path / "float.npz", heatmap=heatmap)
    with pytest.raises(ValueError, match=r"\(F, H, W\) uint8, got \(3, 32, 48\) float32"):
        load_heatmap(tmp_path / "float.npz")


def test_damaged_files_and_unknown_settings_are_refused_by_name(tmp_path: Path) -> None:
    save_heatmap(tmp_path / "good.npz", some_heatmap(), DEFAULT_SETTINGS)
    good = (tmp_path / "good.npz").read_bytes()
    turned = bytearray(good)
    turned[len(good) // 2] ^= 0xFF  # inside the compressed values
    for content in (good[:-40], good[: len(good) // 2], b"", b"text", bytes(turned)):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad.npz is (no .npz file|damaged)"):
            load_heatmap(tmp_path / "bad.npz")
    wrong = {
        '{"colour": "red"}': "settings should have the keys",
        "[1]": "settings should have the keys",
        '{"unit": "metres"}': "unit should be one of", "{": "Expecting",
        '{"slope": "steep"}': "slope should be float, got 'steep'",
        '{"camera": 1}': "camera should be bool, got 1",
        '{"flow_size": 12.5}': "flow_size should be int, got 12.5",
        '{"raft_iterations": true}': "raft_iterations should be int, got True",
        "[" * 100_000: "nested too deeply",
    }  # fmt: skip
    for text, words in wrong.items():
        grey = np.zeros((1, 4, 4), np.uint8)
        np.savez(tmp_path / "other.npz", heatmap=grey, settings=np.array(text))
        with pytest.raises(ValueError, match=f"other.npz: .*{words}"):
            load_heatmap(tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError):
        load_heatmap(tmp_path / "none.npz")


def npy(shape: tuple[int, ...], data: bytes = b"") -> bytes:
    """A .npy of bytes that says this shape, whatever it holds."""
    file = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + data


HOSTILE = {
    "terabytes": npy((10**6, 10**4, 10**3)), "overflow": npy((2**40, 2**40, 2**40)),
    "negative": npy((-1, 4, 4)), "short": npy((2, 4, 4), bytes(31)), "text": b"no array",
    "header": b"\x93NUMPY\x01\x00\x40\x00" + b"(" * 64, "version": b"\x93NUMPY\x07\x00" + bytes(80),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_an_npz_that_promises_what_it_does_not_hold_is_refused_by_name(
    tmp_path: Path, content: bytes
) -> None:
    with zipfile.ZipFile(tmp_path / "bad.npz", "w") as file:
        file.writestr("heatmap.npy", content)
    with pytest.raises(ValueError, match=r"bad.npz is damaged: "):
        load_heatmap(tmp_path / "bad.npz")


def test_an_npz_is_not_unpacked_beyond_what_a_clip_may_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "bomb.npz", heatmap=np.zeros((300, 64, 64), np.uint8))
    assert (tmp_path / "bomb.npz").stat().st_size < 3000
    monkeypatch.setattr("motifocal.motion.heatmap_files.MAX_CLIP_BYTES", 2**20)
    with pytest.raises(ValueError, match=r"bomb.npz is damaged: it needs more than"):
        load_heatmap(tmp_path / "bomb.npz")


def test_reading_an_npz_takes_no_more_memory_than_a_clip_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motifocal.motion.heatmap_files.MAX_CLIP_BYTES", 2**22)
    most = 2**22 // (64 * 64 * 5)  # a byte as stored and four as float32
    for frames, fits in ((most - 1, True), (most + 1, False)):
        path = tmp_path / f"{frames}.npz"
        np.savez_compressed(path, heatmap=np.zeros((frames, 64, 64), np.uint8))
        tracemalloc.start()
        with nullcontext() if fits else pytest.raises(ValueError, match="needs more than"):
            load_heatmap(path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1.1 * 2**22


def test_what_is_no_array_in_an_npz_or_stands_before_it_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "clip.npz"
    save_heatmap(path, some_heatmap(), DEFAULT_SETTINGS)
    expected, _ = load_heatmap(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("README", "a map")
    path.write_bytes(npy((2, 4, 4), bytes(32)) + path.read_bytes())
    assert np.array_equal(load_heatmap(path)[0], expected)


def test_an_npz_with_a_password_or_of_damaged_other_codecs_is_refused(tmp_path: Path) -> None:
    good = io.BytesIO()
    with zipfile.ZipFile(good, "w") as file:
        file.writestr("heatmap.npy", npy((2, 4, 4), bytes(32)))
    for offset, value in ((0, 1), (2, 12), (2, 14), (2, 99)):  # flags, then the codec
        content = bytearray(good.getvalue())
        content[content.find(b"PK\3\4") + 6 + offset] = value
        content[content.find(b"PK\1\2") + 8 + offset] = value
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad.npz is damaged: "):
            load_heatmap(tmp_path / "bad.npz")


@pytest.mark.parametrize(
    ("heatmap", "message"),
    [
        (np.zeros((4, 4)), r"heatmap should be \(F, H, W\), got \(4, 4\)"),
        (np.zeros((0, 4, 4)), r"heatmap should be \(F, H, W\)"),
        (np.full((1, 4, 4), 1.5), r"heatmap should be in \[0, 1\], got values from 1.5 to 1.5"),
        (np.full((1, 4, 4), np.nan), r"heatmap should be in \[0, 1\]"),
    ],
)
def test_what_is_no_heatmap_is_not_written(
    tmp_path: Path, heatmap: np.ndarray, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        save_heatmap(tmp_path / "x.npz", heatmap)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif("MOTIFOCAL_SHARED" not in os.environ, reason="MOTIFOCAL_SHARED is not set")
def test_units_order_the_hot_share_of_real_clips_as_their_lengths_do() -> None:
    clips = list_videos(Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips" / "videos" / "motif")
    frames = read_video(clips[11]).frames
    share = {
        unit: (clip_heatmap(frames, HeatmapSettings(unit=unit, floor=0, noise=0)) > 0.5).mean()
        for unit in ("pixels", "maximum", "fraction")
    }
    assert share["pixels"] > share["maximum"] > share["fraction"]
    gated = (clip_heatmap(frames, DEFAULT_SETTINGS) > 0.5).mean()
    assert 0 < gated <= share["maximum"]
