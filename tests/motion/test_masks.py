"""Masks of any usual form, size and number of frames become the same heatmap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mask_files import CLIP, F, H, W, grey, ids, npz, pngs
from PIL import Image

from motifocal.media.video import VideoError, write_image, write_video
from motifocal.motion.heatmap_files import save_heatmap
from motifocal.motion.masks import mask_heatmap


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


@pytest.mark.parametrize("rows", [22, 23])
def test_a_long_mask_may_round_its_short_side_either_way(tmp_path: Path, rows: int) -> None:
    path = npz(tmp_path / "m.npz", mask=np.ones((1, rows, 400), np.bool_))
    assert mask_heatmap(path, (1, 45, 800)).shape == (1, 45, 800)
    path = npz(tmp_path / "tall.npz", mask=np.ones((1, 400, rows), np.bool_))
    assert mask_heatmap(path, (1, 800, 45)).shape == (1, 800, 45)
