"""What is no mask of the clip, or may mean two things, is refused with words."""

from __future__ import annotations

import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from harmful_pickle import Payload
from mask_files import CLIP, F, H, W, grey, ids, npz, pngs
from PIL import Image

from motifocal.media.video import VideoError, write_video
from motifocal.motion.masks import mask_heatmap


def test_what_is_no_mask_is_refused_in_a_line(tmp_path: Path) -> None:
    truth = ids() > 0
    colours = np.zeros((F, H, W, 3), np.uint8)
    colours[..., 0] = 200
    write_video(tmp_path / "colours.mp4", colours, 8)
    write_video(tmp_path / "grey.mp4", np.repeat(grey()[..., None], 3, axis=-1), 8)
    (tmp_path / "empty").mkdir()
    mixed = pngs(tmp_path / "mixed", grey(), "L")
    Image.fromarray(grey()[0][:8]).save(mixed / "1.png")
    damaged = pngs(tmp_path / "damaged", grey(), "L")
    (damaged / "9.png").write_bytes((damaged / "9.png").read_bytes()[:60])
    (tmp_path / "text.npz").write_text("no array")
    cases: list[tuple[str, object, str]] = [
        ("colours.mp4", None, "should be grey, got colours; objects need ids"),
        ("grey.mp4", (1,), "objects need PNGs or an .npz, a video's codec changes their ids"),
        ("empty", None, "the folder holds no pictures"),
        ("mixed", None, r"pictures should be of one kind, got \(24, 40\) uint8, \(8, 40\) uint8"),
        ("damaged", None, "9.png: cannot be read as a PNG"),
        ("gone.mp4", None, "no such file"),
        ("gone.npz", None, "cannot be read"),
        ("text.npz", None, "cannot be read"),
        (npz(tmp_path / "two.npz", a=truth, b=truth).name, None, r"one array 'mask', got \['a'"),
        (npz(tmp_path / "flat.npz", mask=truth[0]).name, None, r"\(F, H, W\) of numbers, got \(24"),
        (npz(tmp_path / "big.npz", mask=grey() * 1.0).name, None, r"in \[0, 1\], got 0.0 to 255.0"),
        (npz(tmp_path / "nan.npz", mask=truth * np.nan).name, None, r"in \[0, 1\], got nan"),
        (npz(tmp_path / "wide.npz", mask=grey().astype(int)).name, None, "uint8 or uint16, got"),
        (npz(tmp_path / "soft.npz", mask=truth * 0.5).name, (1,), "objects should be integers"),
    ]  # fmt: skip
    for name, objects, words in cases:
        with pytest.raises(VideoError, match=rf"{name}.*{words}"):
            mask_heatmap(tmp_path / name, CLIP, objects=objects)


def test_a_mask_of_other_proportions_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "m.npz", mask=ids() > 0)
    with pytest.raises(VideoError, match=r"m.npz: 40x24 does not scale to the clip's 40x30"):
        mask_heatmap(path, (F, 30, W))


@pytest.mark.parametrize("form", ["L", "npz"])
def test_ids_are_not_taken_for_very_dark_grey(tmp_path: Path, form: str) -> None:
    folder = pngs(tmp_path / "m", ids(), "L")
    path = npz(tmp_path / "m.npz", mask=ids()) if form == "npz" else folder
    with pytest.raises(VideoError, match="values up to 3 look like ids, name objects or 'all'"):
        mask_heatmap(path, CLIP)


@pytest.mark.parametrize(
    ("numbers", "dtype"),
    [((40, 100), np.uint16), ((13, 255), np.uint8), ((13, 255), np.uint16),
     ((13, 65535), np.uint16)],
)
def test_ids_of_16_bits_or_beside_undecided_pixels_are_not_taken_for_grey(
    tmp_path: Path, numbers: tuple[int, int], dtype: type
) -> None:
    """Divided by 257 the first would be an empty mask; in the others what is undecided weighs 1."""
    marked = np.zeros(ids().shape, dtype)
    marked[ids() == 1], marked[ids() == 3] = numbers
    path = npz(tmp_path / "m.npz", mask=marked)
    with pytest.raises(VideoError, match="look like ids, name objects or 'all'"):
        mask_heatmap(path, CLIP)
    assert np.array_equal(mask_heatmap(path, CLIP, objects=numbers[:1]), ids() == 1)


def test_soft_edges_of_a_grey_mask_are_not_taken_for_ids(tmp_path: Path) -> None:
    for dtype, scale in ((np.uint8, 1), (np.uint16, 257)):
        soft = (ids() > 0).astype(dtype) * dtype(255 * scale)
        soft[:, 0, :3] = (5 * scale, 120 * scale, 250 * scale)
        made = mask_heatmap(npz(tmp_path / f"{scale}.npz", mask=soft), CLIP)
        assert made.max() == 1
        np.testing.assert_allclose(made[0, 0, :3] * 255, (5, 120, 250), atol=0.51)


def test_grey_and_indexed_pictures_are_not_mixed_as_white_would_turn_undecided(
    tmp_path: Path,
) -> None:
    folder = pngs(tmp_path / "m", (ids() > 0).astype(np.uint8) * 255, "L")
    with Image.open(folder / "9.png") as image:
        image.convert("1").save(folder / "9.png")
    with pytest.raises(VideoError, match=r"of one kind, got \(24, 40\) uint8, .* uint8 indexed"):
        mask_heatmap(folder, CLIP)


def test_indexed_pictures_that_are_all_undecided_are_no_empty_mask(tmp_path: Path) -> None:
    folder = pngs(tmp_path / "m", (ids() > 0).astype(np.uint8) * 255, "P")
    with pytest.raises(VideoError, match="nothing but 255, which is undecided"):
        mask_heatmap(folder, CLIP)
    nothing = mask_heatmap(pngs(tmp_path / "none", np.zeros_like(ids()), "P"), CLIP)
    assert nothing.max() == 0


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparent_pictures_are_refused_as_either_half_may_be_the_mask(
    tmp_path: Path, mode: str
) -> None:
    folder = pngs(tmp_path / "m", np.full_like(ids(), 255), mode)
    assert mask_heatmap(folder, CLIP).min() == 1
    for path, values in zip(sorted(folder.iterdir()), ids(), strict=True):
        with Image.open(path) as image:
            image.putalpha(Image.fromarray((values > 0).astype(np.uint8) * 255))
            image.save(path)
    with pytest.raises(VideoError, match="should be opaque, got transparency"):
        mask_heatmap(folder, CLIP)


def test_a_pickle_in_an_npz_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("evil.npz", mask=np.array(Payload(), dtype=object))
    with pytest.raises(VideoError, match=r"evil.npz: cannot be read"):
        mask_heatmap("evil.npz", CLIP)
    assert not Path("pwned").exists()


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.uint16, np.int64, np.float32, np.float64])
def test_a_mask_takes_no_more_memory_than_a_clip_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type[np.generic]
) -> None:
    monkeypatch.setattr("motifocal.motion.heatmap_files.MAX_CLIP_BYTES", 2**22)
    most = 2**22 // (64 * 64 * (np.dtype(dtype).itemsize + 4))  # as stored, and as float32
    objects = "all" if dtype is np.int64 else None
    for frames, fits in ((most - 1, True), (most + 1, False)):
        mask = np.zeros((frames, 64, 64), dtype)
        mask[:, 8:16] = 1 if np.dtype(dtype).kind in "bif" else 60_000 % (np.iinfo(dtype).max + 1)
        np.savez_compressed(path := tmp_path / f"{frames}.npz", mask=mask)
        del mask
        tracemalloc.start()
        with nullcontext() if fits else pytest.raises(VideoError, match="needs more than"):
            mask_heatmap(path, (frames, 64, 64), objects=objects)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 1.15 * 2**22


def test_a_folder_of_pngs_takes_no_more_memory_than_a_clip_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motifocal.motion.masks.MAX_CLIP_BYTES", 2**22)
    most = 2**22 // (256 * 256 * 5)  # a byte as stored and four as float32
    for number in range(most):
        Image.fromarray(np.full((256, 256), 255, np.uint8)).save(tmp_path / f"{number}.png")
    assert mask_heatmap(tmp_path, (most, 256, 256)).shape == (most, 256, 256)
    for number in range(most, 40 * most):
        (tmp_path / f"{number}.png").write_bytes((tmp_path / "0.png").read_bytes())
    tracemalloc.start()
    with pytest.raises(VideoError, match="needs more than"):
        mask_heatmap(tmp_path, (40 * most, 256, 256))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.15 * 2**22
