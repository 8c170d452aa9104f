"""Masks made elsewhere take the place of heatmaps from flow when clips are prepared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from motifocal.cli import cli
from motifocal.data.shards import Shards
from motifocal.data.sources import SceneClips, VideoFolderClips, scan_videos, usable
from motifocal.data.workers.threads import Threads
from motifocal.media.video import write_video

FRAMES, SIZE = 7, 32


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Two captioned videos, one in a folder of its own."""
    folder = tmp_path / "clips"
    (folder / "deep").mkdir(parents=True)
    for index, name in enumerate(("a", "deep/b")):
        write_video(folder / f"{name}.mp4", SceneClips(2, "train", SIZE, FRAMES, 0)[index].frames,
                    8)
        (folder / f"{name}.txt").write_text(f"caption {index}")
    return folder


def ids() -> np.ndarray:
    """(F, H, W) ids: object 1 fills the row of latents that the frame's number says, 2 a column."""
    mask = np.zeros((FRAMES, SIZE, SIZE), np.uint8)
    for frame, picture in enumerate(mask):
        picture[:, 24:] = 2
        picture[8 * (frame % 4) : 8 * (frame % 4) + 8] = 1
    return mask


def masks_of(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez(folder / f"{name}.npz", mask=ids())
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["prepare", *map(str, arguments)])


def prepared(clips: Path, base: Path, output: Path, *more: object) -> Result:
    return run(clips, "-o", output, "--model", base, "--size", SIZE, "--frames", 3, "--workers", 0,
               *more)  # fmt: skip


def windows(clips: Path, output: Path) -> list[range]:
    """The frames that each prepared clip should have, drawn by the source without masks."""
    from motifocal.data.captions import read_captions
    from motifocal.data.sources import dynamic_stride

    found = usable(scan_videos(read_captions(clips).videos, output / "notes.jsonl", Threads(1)), 3)
    source = VideoFolderClips(*found[:3], frames=3, height=SIZE, width=SIZE, max_stride=4,
                              windows=1, seed=0)
    generators = (np.random.default_rng([0, index]) for index in range(len(source)))
    drawn = (dynamic_stride(FRAMES, 3, 4, generator) for generator in generators)
    return [range(start, start + 3 * stride, stride) for start, stride in drawn]


def test_a_folder_of_masks_weights_each_clip_by_the_frames_that_were_drawn(
    clips: Path, base: Path, tmp_path: Path
) -> None:
    masks = masks_of(tmp_path / "masks", "a", "deep/b")
    result = prepared(clips, base, tmp_path / "shards", "--masks", masks, "--objects", 1)
    assert result.exit_code == 0, result.output
    heatmap = Shards(tmp_path / "shards").batch([0, 1]).heatmap
    for clip, frames in enumerate(windows(clips, tmp_path)):
        expected = torch.zeros(3, 4, 4)
        for place, frame in enumerate(frames):
            expected[place, frame % 4] = 1
        torch.testing.assert_close(heatmap[clip, 0], expected)


def test_a_saved_heatmap_is_a_mask_and_other_objects_are_other_weights(
    clips: Path, base: Path, tmp_path: Path
) -> None:
    masks = masks_of(tmp_path / "masks", "a", "deep/b")
    result = prepared(clips, base, tmp_path / "shards", "--masks", masks, "--objects", 2)
    assert result.exit_code == 0, result.output
    heatmap = Shards(tmp_path / "shards").batch([0]).heatmap
    assert torch.equal(heatmap[0, 0, :, :, :3], torch.zeros(3, 4, 3))
    assert heatmap[0, 0, :, :, 3].sum() == 9  # the column, less the row of object 1
    again = prepared(clips, base, tmp_path / "shards", "--masks", masks, "--objects", 1)
    assert isinstance(again.exception, ValueError)
    assert "objects" in str(again.exception)
    maps = CliRunner().invoke(cli, ["heatmap", str(clips), "-o", str(tmp_path / "maps")])
    assert maps.exit_code == 0, maps.output
    saved = prepared(clips, base, tmp_path / "of-maps", "--masks", tmp_path / "maps")
    assert saved.exit_code == 0, saved.output


def test_clips_whose_mask_is_missing_or_does_not_fit_are_left_out_by_name(
    clips: Path, base: Path, tmp_path: Path
) -> None:
    masks = masks_of(tmp_path / "masks", "a")
    result = prepared(clips, base, tmp_path / "shards", "--masks", masks, "--objects", 1)
    assert result.exit_code == 0, result.output
    assert "left out, 1 clips" in result.stderr
    (line,) = (tmp_path / "shards/rejected.jsonl").read_text().splitlines()
    assert json.loads(line)["name"] == "deep/b.mp4"
    assert "no mask of this name" in json.loads(line)["reason"]
    # A mask of as many frames as are taken may be of any: only one of all frames will do.
    np.savez(masks / "a.npz", mask=ids()[:3])
    short = prepared(clips, base, tmp_path / "other", "--masks", masks, "--objects", 1)
    assert isinstance(short.exception, ValueError)
    assert "should have 7 frames as the clip has, got 3" in short.stderr


def test_shards_of_a_mask_that_has_changed_are_made_anew(
    clips: Path, base: Path, tmp_path: Path
) -> None:
    masks = masks_of(tmp_path / "masks", "a", "deep/b")
    given = ("--masks", masks, "--objects", "all")
    assert prepared(clips, base, tmp_path / "shards", *given).exit_code == 0
    np.savez(masks / "a.npz", mask=np.ones_like(ids()))
    result = prepared(clips, base, tmp_path / "shards", *given)
    assert "1 of its 2 clips have changed: made anew" in result.stderr
    assert Shards(tmp_path / "shards").batch([0]).heatmap.min() == 1


@pytest.mark.parametrize(
    ("clip", "options", "message"),
    [
        ("scenes", ("--masks", "all"), "should be one of none, objects, moving, got 'all'"),
        ("scenes", ("--masks", "moving", "--objects", "1"), "not about scenes"),
        ("clips", ("--masks", "nowhere"), "nowhere is no folder"),
        ("clips", ("--objects", "1"), "--objects is about --masks"),
        ("clips", ("--masks", ".", "--floor", "0.2"), "--floor is about flow"),
        ("clips", ("--static",), "go with the synthetic scenes"),
    ],
)
def test_masks_that_make_no_sense_are_refused(
    clip: str, options: tuple[str, ...], message: str, clips: Path, base: Path, tmp_path: Path
) -> None:
    at = clips if clip == "clips" else clip
    result = prepared(at, base, tmp_path / "shards", *options)  # type: ignore[arg-type]
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
