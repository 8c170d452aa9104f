"""Files of heatmaps: what is written comes back, and what is no heatmap is refused."""

from __future__ import annotations

import io
import json
import tracemalloc
import zipfile
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
from harmful_pickle import Payload
from square_over_ground import square_over

from motifocal.media.video import read_video
from motifocal.motion.heatmap import DEFAULT_SETTINGS, HeatmapSettings, clip_heatmap
from motifocal.motion.heatmap_files import load_heatmap, save_heatmap


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
    frames, _ = square_over("grass")
    heatmap = clip_heatmap(frames)
    save_heatmap(tmp_path / "clip.mp4", heatmap, DEFAULT_SETTINGS, fps=12)
    loaded, settings = load_heatmap(tmp_path / "clip.mp4")
    assert loaded.shape == heatmap.shape
    assert np.abs(loaded - heatmap).max() < 0.05
    assert settings is None
    assert read_video(tmp_path / "clip.mp4").fps == 12


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


def test_a_pickle_in_an_npz_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("evil.npz", heatmap=np.array(Payload(), dtype=object))
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load_heatmap("evil.npz")
    assert not Path("pwned").exists()


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
