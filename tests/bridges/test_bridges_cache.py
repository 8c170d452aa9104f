"""A cached weight is given back for exactly the latents it was made for, and refused in words."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from motifocal.bridges.weight_cache import (
    find_weight,
    load_weight,
    stored_key,
    weight_key,
    write_weight,
)
from motifocal.data import clip_files as clips_module
from motifocal.data.clip_files import ClipHashes, timeline_of
from motifocal.data.selection import FrameRule, Selection, resampled, selected
from motifocal.files.atomic import sha256_of
from motifocal.loss.latent_grid import FAMILIES
from motifocal.media.video import VideoError, read_video, write_video
from motifocal.motion.heatmap import HeatmapSettings

CLIP = "ab" * 32
CHOSEN = Selection(tuple(range(0, 18, 2)), 16.0, 64, 96)
KEY = weight_key(CLIP, CHOSEN, "wan", HeatmapSettings())


def some_weight(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.rand((1, 1, *shape), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_is_loaded_to_half_precision(family: str, tmp_path: Path) -> None:
    geometry = FAMILIES[family]
    frames = 22 if family == "minimax-h3" else 9
    selection = replace(CHOSEN, indices=tuple(range(0, 2 * frames, 2)))
    key = weight_key(CLIP, selection, family, HeatmapSettings())
    stride = geometry.spatial_stride
    assert key.shape == (geometry.latent_frames(frames), 64 // stride, 96 // stride)
    weight = some_weight(key.shape)
    path = write_weight(tmp_path, key, weight)
    assert path == find_weight(tmp_path, key)
    back = load_weight(tmp_path, key)
    assert back.dtype == torch.float32
    torch.testing.assert_close(back, weight, rtol=5e-4, atol=1e-6)
    assert float(back.max()) <= 1
    assert {name: tensor.dtype for name, tensor in load_file(path).items()} == {
        "weight": torch.float16}  # fmt: skip


def test_the_file_says_all_that_decided_it(tmp_path: Path) -> None:
    settings = HeatmapSettings(unit="pixels", threshold=0.5, camera=True)
    chosen = replace(CHOSEN, resize="floor")
    key = weight_key(CLIP, chosen, "ltx", settings)
    path = write_weight(tmp_path, key, some_weight(key.shape))
    assert stored_key(path) == key
    assert stored_key(path).settings == settings


SHORTER = replace(CHOSEN, indices=CHOSEN.indices[:5])
OTHERS = {
    "frames 0-16 in steps of 2 against 0-8 in steps of 2": weight_key(
        CLIP, SHORTER, "wan", HeatmapSettings()),
    "rate 16 against 8 frames/s": weight_key(
        CLIP, replace(CHOSEN, fps=8.0), "wan", HeatmapSettings()),
    "size 64x96 against 96x64": weight_key(
        CLIP, replace(CHOSEN, height=96, width=64), "wan", HeatmapSettings()),
    "resize and crop cover against half-up": weight_key(
        CLIP, replace(CHOSEN, resize="half-up"), "wan", HeatmapSettings()),
    "family wan (latent grid spatial_stride 8, temporal_stride 4, temporal_multiple 1) against "
    "wan-5b (spatial_stride 16":
        weight_key(CLIP, CHOSEN, "wan-5b", HeatmapSettings()),
    "heatmap setting floor 0.15 against 0.3": weight_key(
        CLIP, CHOSEN, "wan", HeatmapSettings(floor=0.3)),
    "heatmap setting source dis against farneback": weight_key(
        CLIP, CHOSEN, "wan", HeatmapSettings(source="farneback")),
}  # fmt: skip


@pytest.mark.parametrize("words", OTHERS)
def test_what_differs_is_refused_and_said(words: str, tmp_path: Path) -> None:
    stored = OTHERS[words]
    write_weight(tmp_path, stored, some_weight(stored.shape))
    assert find_weight(tmp_path, KEY) is None
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (words hold what re would read)
        load_weight(tmp_path, KEY)
    assert words in str(refused.value)
    # Only what differs is named, and nothing is resized to fit.
    assert str(refused.value).count(" against ") == 2  # "wanted against stored", and this


def test_the_nearest_of_a_clip_is_the_one_compared_with(tmp_path: Path) -> None:
    far = weight_key(CLIP, replace(CHOSEN, height=96, fps=4.0), "ltx", HeatmapSettings())
    near = OTHERS["rate 16 against 8 frames/s"]
    for key in (far, near):
        write_weight(tmp_path, key, some_weight(key.shape))
    with pytest.raises(ValueError, match=r"stored\): rate 16 against 8 frames/s$"):
        load_weight(tmp_path, KEY)


def test_a_clip_that_has_changed_has_no_weight(tmp_path: Path) -> None:
    write_weight(tmp_path, KEY, some_weight(KEY.shape))
    other = weight_key("cd" * 32, CHOSEN, "wan", HeatmapSettings())
    with pytest.raises(ValueError, match=r"cdcdcdcd.*never exported, or its file has changed"):
        load_weight(tmp_path, other)


def test_families_with_one_grid_share_weights(tmp_path: Path) -> None:
    weight = some_weight(KEY.shape)
    write_weight(tmp_path, KEY, weight)
    assert FAMILIES["hunyuan"].conditioned_first
    shared = weight_key(CLIP, CHOSEN, "hunyuan", HeatmapSettings())
    assert torch.equal(load_weight(tmp_path, shared), load_weight(tmp_path, KEY))


def test_a_rate_that_differs_in_its_last_digits_is_the_same(tmp_path: Path) -> None:
    write_weight(tmp_path, KEY, some_weight(KEY.shape))
    near = weight_key(CLIP, replace(CHOSEN, fps=16.0 + 1e-9), "wan", HeatmapSettings())
    assert near.file != KEY.file
    assert torch.equal(load_weight(tmp_path, near), load_weight(tmp_path, KEY))


def test_several_samples_of_one_clip_lie_side_by_side(tmp_path: Path) -> None:
    for start in range(4):
        chosen = replace(CHOSEN, indices=tuple(range(start, start + 9)))
        key = weight_key(CLIP, chosen, "wan", HeatmapSettings())
        write_weight(tmp_path, key, some_weight(key.shape, seed=start))
    for start in range(4):
        chosen = replace(CHOSEN, indices=tuple(range(start, start + 9)))
        found = load_weight(tmp_path, weight_key(CLIP, chosen, "wan", HeatmapSettings()))
        torch.testing.assert_close(found, some_weight(KEY.shape, seed=start), rtol=1e-3, atol=1e-6)


def test_a_wrong_weight_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"weight should be \(1, 1, 3, 8, 12\)"):
        write_weight(tmp_path, KEY, some_weight((3, 12, 8)))
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        write_weight(tmp_path, KEY, some_weight(KEY.shape) + 0.5)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        write_weight(tmp_path, KEY, torch.full((1, 1, *KEY.shape), float("nan")))
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_refused_where_no_latents_could_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nearest: 5 or 9"):
        weight_key(CLIP, replace(CHOSEN, indices=tuple(range(8))), "wan", HeatmapSettings())
    with pytest.raises(ValueError, match="multiples of 32, got 80x96"):
        weight_key(CLIP, replace(CHOSEN, height=80), "ltx", HeatmapSettings())
    with pytest.raises(ValueError, match="family should be one of"):
        weight_key(CLIP, CHOSEN, "wan-3", HeatmapSettings())
    for name in ("../../etc/passwd", "AB" * 32, "ab"):
        with pytest.raises(ValueError, match="sha256"):
            weight_key(name, CHOSEN, "wan", HeatmapSettings())


def test_a_damaged_or_foreign_file_is_refused_by_name(tmp_path: Path) -> None:
    path = write_weight(tmp_path, KEY, some_weight(KEY.shape))
    whole = path.read_bytes()
    path.write_bytes(whole[:40])
    with pytest.raises(ValueError, match=f"{path.name} is damaged"):
        load_weight(tmp_path, KEY)
    save_file({"weight": torch.zeros(3, 8, 12)}, path)
    with pytest.raises(ValueError, match=f"{path.name} should hold a weight and its key"):
        load_weight(tmp_path, KEY)
    save_file({"weight": torch.zeros(3, 8, 12)}, path, {"key": json.dumps({"clip": CLIP})})
    with pytest.raises(ValueError, match="its key cannot be read"):
        load_weight(tmp_path, KEY)
    save_file({"weight": torch.zeros(3, 8, 12)}, path, {"key": "{no json"})
    with pytest.raises(ValueError, match=f"{path.name}: its key cannot be read"):
        load_weight(tmp_path, KEY)
    # A tensor that was cut by hand has another shape than its own key says.
    path.write_bytes(whole)
    text = json.loads(whole[8 : 8 + int.from_bytes(whole[:8], "little")])["__metadata__"]
    save_file({"weight": torch.zeros(3, 4, 12)}, path, text)
    with pytest.raises(ValueError, match=r"weight should be \(3, 8, 12\), got \(3, 4, 12\)"):
        load_weight(tmp_path, KEY)


def test_a_clip_is_hashed_once_until_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"one")
    read: list[str] = []

    def counted(path: str) -> str:
        read.append(path)
        return sha256_of(path)

    monkeypatch.setattr(clips_module, "sha256_of", counted)
    hashes = ClipHashes(tmp_path / "hashes.json")
    first = hashes.of(clip)
    assert hashes.of(clip) == first
    hashes.save()
    assert ClipHashes(tmp_path / "hashes.json").of(clip) == first
    assert len(read) == 1
    clip.write_bytes(b"another")
    changed = ClipHashes(tmp_path / "hashes.json")
    assert changed.of(clip) != first
    changed.save()
    assert len(read) == 2
    state = clip.stat()
    (tmp_path / "other.mp4").write_bytes(b"ANOTHER")
    (tmp_path / "other.mp4").replace(clip)
    os.utime(clip, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert ClipHashes(tmp_path / "hashes.json").of(clip) == sha256_of(clip)
    assert len(read) == 3
    for damaged in ("[1]", '{"a": 1}', '{"a": ['):
        (tmp_path / "hashes.json").write_text(damaged)
        with pytest.raises(ValueError, match=r"hashes\.json should hold the hashes of clips"):
            ClipHashes(tmp_path / "hashes.json")


def test_a_timeline_is_that_of_the_files_frames(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 255, (9, 32, 32, 3), dtype=np.uint8)
    for name in ("a.mp4", "a.gif"):
        write_video(tmp_path / name, frames, 12.5)
        timeline = timeline_of(tmp_path / name)
        assert timeline.starts == pytest.approx(np.arange(9) / 12.5, abs=0.006)
        assert timeline.end == pytest.approx(9 / 12.5, abs=0.006)
        (found,) = selected(timeline, FrameRule("head", 5), 32, 32)
        assert found.indices == (0, 1, 2, 3, 4)
    (tmp_path / "b.mp4").write_bytes(b"no video")
    with pytest.raises(VideoError, match=r"b\.mp4"):
        timeline_of(tmp_path / "b.mp4")


def timed_clip(path: Path, times: list[Fraction], rate: Fraction) -> Path:
    """A video of frames that grow brighter, shown at these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = tick = Fraction(1, 90_000)
        for index, time in enumerate(times):
            picture = np.full((32, 32, 3), 4 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(time / tick), tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


UNEVEN = [Fraction(k, 25) + Fraction(k % 3, 90) for k in range(60)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("rate", [24, 30, Fraction(24_000, 1001), Fraction(60_000, 1001), None])
def test_frames_at_a_rate_are_those_that_read_video_gives(
    rate: Fraction | int | None, suffix: str, tmp_path: Path
) -> None:
    """Matroska rounds times to ms, so that a frame due at 2 / 30 s is stored at 0.067."""
    times = UNEVEN if rate is None else [3 + k / Fraction(rate) for k in range(60)]
    path = timed_clip(tmp_path / f"a{suffix}", times, Fraction(rate or 25))
    timeline, stored = timeline_of(path), read_video(path).frames
    for fps in (8, 12, 15, 16, 24, 25, 30):
        indices, speed = resampled(timeline, FrameRule("head", 1, fps=fps))
        clip = read_video(path, fps=fps)
        np.testing.assert_array_equal(stored[indices], clip.frames)
        assert speed == pytest.approx(clip.fps)
    if rate is not None:
        assert timeline.fps == pytest.approx(float(rate), rel=1e-6)
