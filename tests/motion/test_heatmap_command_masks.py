"""`motifocal heatmap --masks`: masks take the place of optical flow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command_line import CommandLine
from heatmap_runs import map_stamps, masks_for, write_clip

from motifocal.media.video import read_video, write_video
from motifocal.motion.heatmap_files import load_heatmap


def test_masks_take_the_place_of_flow(heatmap: CommandLine, tmp_path: Path) -> None:
    for name in ("a", "deep/b"):
        write_clip(tmp_path / f"clips/{name}.mp4", fps=12)
    masks = masks_for(tmp_path / "masks", "a", "deep/b")
    given = (tmp_path / "clips", "-o", tmp_path / "maps", "--masks", masks, "--overlay")
    ended = heatmap(*given, "--objects", "2")
    assert ended.code == 0
    assert "12.5%" not in ended.out  # that would be object 1
    assert ended.out.count(" 25.0%  ") == 2
    for name in ("a", "deep/b"):
        heat, settings = load_heatmap(tmp_path / f"maps/{name}.npz")
        assert settings is None
        assert heat[:, 24:, 32:].min() == 1
        assert heat.sum() == 4 * 24 * 32
        assert read_video(tmp_path / f"maps/{name}.overlay.mp4").fps == 12
    assert (tmp_path / "maps/filmstrip.png").exists()
    again = heatmap(*given, "--objects", "2")
    assert "2 clips (2 done before)" in again.err
    for other in (["--objects", "1,2"], ["--objects", "all"]):
        ended = heatmap(*given, *other)
        assert ended.code == 1
        assert "objects" in ended.err
        assert "use the same settings or another folder" in ended.err
    ended = heatmap(tmp_path / "clips", "-o", tmp_path / "maps")
    assert ended.code == 1
    assert "use the same settings or another folder" in ended.err


def test_a_clip_without_a_mask_that_fits_is_listed_and_the_others_are_done(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    for name in ("a", "none", "short"):
        write_clip(tmp_path / f"clips/{name}.mp4")
    write_clip(tmp_path / "clips/narrow.mp4", width=40)
    masks = masks_for(tmp_path / "masks", "a", "narrow")
    np.savez(masks / "short.npz", mask=np.ones((3, 48, 64), bool))
    given = (tmp_path / "clips", "-o", tmp_path / "maps", "--masks", masks, "--objects", "all")
    ended = heatmap(*given)
    assert ended.code == 1
    assert "left out, 3 of 4 clips:" in ended.err
    assert "none.mp4: " in ended.err
    assert "there is no mask of this name, .npz, video or folder" in ended.err
    assert "short.npz: should have 4 frames as the clip has, got 3" in ended.err
    assert "narrow.npz: 64x48 does not scale to the clip's 40x48" in ended.err
    assert set(map_stamps(tmp_path / "maps")) == {"a.npz"}
    before = map_stamps(tmp_path / "maps")
    masks_for(masks, "none", "short")
    ended = heatmap(*given)
    assert "left out, 1 of 4 clips:" in ended.err
    after = map_stamps(tmp_path / "maps")
    assert set(after) == {"a.npz", "none.npz", "short.npz"}
    assert after["a.npz"] == before["a.npz"]


def test_a_mask_that_has_changed_makes_a_new_map(heatmap: CommandLine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4")
    masks = masks_for(tmp_path / "masks", "a")
    given = (clip, "-o", tmp_path / "maps", "--masks", masks)
    heatmap(*given, "--objects", "all")
    np.savez(masks / "a.npz", mask=np.ones((4, 48, 64), np.uint8))
    heatmap(*given, "--objects", "all")
    assert load_heatmap(tmp_path / "maps/a.npz")[0].min() == 1


def test_masks_are_scaled_cropped_and_resampled_like_their_clips(
    heatmap: CommandLine, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "a.mp4", fps=8)
    grey = np.zeros((4, 24, 32, 3), np.uint8)
    grey[:2, :, 16:] = 255  # half of the clip's size, hot on the right at first
    (tmp_path / "masks").mkdir()
    write_video(tmp_path / "masks/a.mp4", grey, 8, crf=4)
    ended = heatmap(clip, "-o", tmp_path / "maps", "--masks", tmp_path / "masks",
                    "--size", 48, "--fps", 4)  # fmt: skip
    assert ended.code == 0
    heat, _ = load_heatmap(tmp_path / "maps/a.npz")
    assert heat.shape == (2, 48, 48)
    assert heat[0, :, 28:].min() > 0.9
    assert heat[0, :, :20].max() < 0.1
    assert heat[1].max() < 0.1
