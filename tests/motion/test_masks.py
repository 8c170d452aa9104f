"""Masks of any usual form become the same heatmap, and what does not fit is refused with words."""

from __future__ import annotations

import os
import tracemalloc
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from motifocal.media.video import VideoError, write_image, write_video
from motifocal.motion.heatmap_files import save_heatmap
from motifocal.motion.masks import find_mask, mask_heatmap

F, H, W = 4, 24, 40
CLIP = (F, H, W)


def ids(frames: int = F, height: int = H, width: int = W) -> np.ndarray:
    """(F, H, W) uint8: object 1 on the left moves down, object 3 on the right rests."""
    mask = np.zeros((frames, height, width), np.uint8)
    for frame in range(frames):
        mask[frame, 2 * frame : 2 * frame + 8, 4:12] = 1
    mask[:, 12:20, 28:36] = 3
    return mask


def grey(frames: int = F, height: int = H, width: int = W) -> np.ndarray:
    """(F, H, W) uint8 that grows to the right."""
    return np.tile(np.linspace(0, 255, width).astype(np.uint8), (frames, height, 1))


def pngs(folder: Path, mask: np.ndarray, mode: str) -> Path:
    """Write (F, H, W) as PNGs of this mode; indexed ones get a palette of colours."""
    folder.mkdir(parents=True)
    for index, values in enumerate(mask):
        image = Image.fromarray(values)
        if mode == "P":
            image = image.convert("L")
            image.putpalette(np.random.default_rng(0).integers(0, 256, 768).tolist())
        elif mode == "1":
            image = image.point(lambda value: 255 * (value > 0)).convert("1")
        elif mode in ("RGB", "RGBA", "LA"):
            image = image.convert(mode)
        image.save(folder / f"{index + 8}.png")  # 10 comes after 9, not after 1
    return folder


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "LA"])
def test_grey_pictures_are_weights(tmp_path: Path, mode: str) -> None:
    mask = grey() * np.uint16(257) if mode == "I;16" else grey()
    heat = mask_heatmap(pngs(tmp_path / "m", mask, mode), CLIP)
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, grey() / 255, atol=1e-6)


def test_other_pictures_and_videos_are_weights_up_to_their_codec(tmp_path: Path) -> None:
    frames = np.repeat(grey()[..., None], 3, axis=-1)
    write_video(tmp_path / "m.mp4", frames, 8, crf=4)
    (tmp_path / "webp").mkdir()
    for index, frame in enumerate(frames):
        write_image(tmp_path / f"webp/{index}.webp", frame)
    for path in (tmp_path / "m.mp4", tmp_path / "webp"):
        assert np.abs(mask_heatmap(path, CLIP) - grey() / 255).max() < 0.05


def test_an_npz_may_hold_truths_bytes_or_floats_under_any_one_name(tmp_path: Path) -> None:
    truth = ids() > 0
    for name, array in {"mask": truth, "segmentation": truth.astype(np.float16),
                        "heatmap": truth.astype(np.uint8) * 255}.items():  # fmt: skip
        heat = mask_heatmap(npz(tmp_path / f"{name}.npz", **{name: array}), CLIP)
        assert np.array_equal(heat, truth.astype(np.float32)), name


def test_a_heatmap_that_was_saved_is_a_mask(tmp_path: Path) -> None:
    heat = (grey() / 255).astype(np.float32)
    save_heatmap(tmp_path / "a.npz", heat)
    np.testing.assert_allclose(mask_heatmap(tmp_path / "a.npz", CLIP), heat, atol=1e-6)


@pytest.mark.parametrize("objects", [None, "all"])
@pytest.mark.parametrize("mode", ["P", "1"])
def test_indexed_and_binary_pictures_are_all_their_objects(
    tmp_path: Path, mode: str, objects: str | None
) -> None:
    heat = mask_heatmap(pngs(tmp_path / "m", ids(), mode), CLIP, objects=objects)
    assert np.array_equal(heat, ids() > 0)


@pytest.mark.parametrize("form", ["P", "L", "I;16", "npz", "int64"])
def test_chosen_objects_are_hot_and_no_others(tmp_path: Path, form: str) -> None:
    if form in ("npz", "int64"):
        values = ids().astype(np.int64) if form == "int64" else ids()
        path = npz(tmp_path / "m.npz", mask=values)
    else:
        path = pngs(tmp_path / "m", ids().astype(np.uint16 if form == "I;16" else np.uint8), form)
    for objects in ((1,), (3,), (1, 3)):
        heat = mask_heatmap(path, CLIP, objects=objects)
        assert np.array_equal(heat, np.isin(ids(), objects)), objects
    assert np.array_equal(mask_heatmap(path, CLIP, objects="all"), ids() > 0)
    with pytest.raises(VideoError, match=r"m.*: has no object 2, but \[1, 3\]"):
        mask_heatmap(path, CLIP, objects=(1, 2))


def test_what_an_indexed_picture_leaves_undecided_is_no_object(tmp_path: Path) -> None:
    mask = ids()
    mask[:, :2] = 255
    heat = mask_heatmap(pngs(tmp_path / "m", mask, "P"), CLIP)
    assert np.array_equal(heat, ids() * (mask != 255) > 0)


def test_the_bright_part_of_a_black_and_white_mask_is_object_one(tmp_path: Path) -> None:
    path = pngs(tmp_path / "m", (ids() > 0).astype(np.uint8) * 255, "L")
    for objects in (None, "all", (1,)):
        assert np.array_equal(mask_heatmap(path, CLIP, objects=objects), ids() > 0)


@pytest.mark.parametrize("form", ["L", "npz"])
def test_ids_are_not_taken_for_very_dark_grey(tmp_path: Path, form: str) -> None:
    folder = pngs(tmp_path / "m", ids(), "L")
    path = npz(tmp_path / "m.npz", mask=ids()) if form == "npz" else folder
    with pytest.raises(VideoError, match="values up to 3 look like ids, name objects or 'all'"):
        mask_heatmap(path, CLIP)


@pytest.mark.parametrize("factor", [0.5, 2, 0.77])
def test_a_mask_of_another_size_is_scaled_to_the_clip(tmp_path: Path, factor: float) -> None:
    large = Image.fromarray((ids()[0] > 0).astype(np.uint8) * 255)
    size = (round(W * factor), round(H * factor))
    scaled = np.asarray(large.resize(size, Image.Resampling.BOX))
    heat = mask_heatmap(npz(tmp_path / "m.npz", mask=np.stack([scaled] * F)), CLIP)
    assert heat.shape == CLIP
    wrong = (heat[0] > 0.5) != (ids()[0] > 0)
    assert wrong.mean() < 0.06


def test_a_mask_is_cropped_like_its_clip(tmp_path: Path) -> None:
    path = npz(tmp_path / "m.npz", mask=ids() > 0)
    heat = mask_heatmap(path, CLIP, size=(24, 24))
    assert np.array_equal(heat, (ids() > 0)[:, :, 8:32])
    # A mask that has the wanted size already is of the cropped clip.
    already = npz(tmp_path / "cropped.npz", mask=(ids() > 0)[:, :, 8:32])
    assert np.array_equal(mask_heatmap(already, CLIP, size=(24, 24)), heat)


def test_a_mask_is_of_all_frames_or_of_those_that_were_taken(tmp_path: Path) -> None:
    path, taken = npz(tmp_path / "m.npz", mask=ids() > 0), (0, 2, 2)
    heat = mask_heatmap(path, CLIP, indices=taken)
    assert np.array_equal(heat, (ids() > 0)[list(taken)])
    few = npz(tmp_path / "few.npz", mask=(ids() > 0)[list(taken)])
    assert np.array_equal(mask_heatmap(few, CLIP, indices=taken), heat)
    with pytest.raises(VideoError, match=r"few.npz: should have 4 frames as the clip has, got 3"):
        mask_heatmap(few, CLIP)
    with pytest.raises(VideoError, match=r"m.npz: should have 9 or 3 frames .* got 4"):
        mask_heatmap(path, (9, H, W), indices=taken)


def test_a_mask_of_other_proportions_is_refused(tmp_path: Path) -> None:
    path = npz(tmp_path / "m.npz", mask=ids() > 0)
    with pytest.raises(VideoError, match=r"m.npz: 40x24 does not scale to the clip's 40x30"):
        mask_heatmap(path, (F, 30, W))


@pytest.mark.parametrize("rows", [22, 23])
def test_a_long_mask_may_round_its_short_side_either_way(tmp_path: Path, rows: int) -> None:
    path = npz(tmp_path / "m.npz", mask=np.ones((1, rows, 400), np.bool_))
    assert mask_heatmap(path, (1, 45, 800)).shape == (1, 45, 800)
    path = npz(tmp_path / "tall.npz", mask=np.ones((1, 400, rows), np.bool_))
    assert mask_heatmap(path, (1, 800, 45)).shape == (1, 800, 45)


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


class Payload:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("pwned",)


def test_a_pickle_in_an_npz_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("evil.npz", mask=np.array(Payload(), dtype=object))
    with pytest.raises(VideoError, match=r"evil.npz: cannot be read"):
        mask_heatmap("evil.npz", CLIP)
    assert not Path("pwned").exists()


def test_a_clips_mask_is_found_by_its_name_and_never_guessed(tmp_path: Path) -> None:
    folder = tmp_path / "masks"
    pngs(folder / "deep/a.b", ids(), "L")
    npz(folder / "c.npz", mask=ids())
    npz(tmp_path / "outside.npz", mask=ids())
    (folder / "d").write_text("a file without suffix is none")
    assert find_mask(folder, "deep/a.b") == folder / "deep/a.b"
    assert find_mask(folder, "c") == folder / "c.npz"
    for name in ("a.b", "a", "deep/a", "d", "C.npz"):
        with pytest.raises(VideoError, match="there is no mask of this name"):
            find_mask(folder, name)
    for name in ("../outside", "", str(tmp_path / "outside")):
        with pytest.raises(VideoError, match="lies outside of"):
            find_mask(folder, name)
    (folder / "c.mp4").touch()
    with pytest.raises(VideoError, match=r"should be one mask, got .*c.npz and .*c.mp4"):
        find_mask(folder, "c")


def test_a_mask_is_found_in_the_other_spelling_of_its_letters(tmp_path: Path) -> None:
    stored = npz(tmp_path / "e\u0301.npz", mask=grey())
    assert find_mask(tmp_path, "\u00e9") == stored


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
