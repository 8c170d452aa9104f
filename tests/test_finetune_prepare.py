"""Preparing clips for fine-tuning: which frames, going on after a kill, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_diffusers import TINY
from tiny_finetune import invoke, prepare_arguments, prepared, tiny_clips

from motifocal.data.clip_files import timeline_of
from motifocal.data.selection import format_indices, frames_of
from motifocal.data.trainer_rules import Request, trained_on
from motifocal.loss.motion_loss import motion_weights
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.training.finetune.cache import ClipCache


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The folder of all, a tiny TI2V-5B, and its cache."""
    folder = tmp_path_factory.mktemp("made")
    return folder, *prepared("wan22-5b", folder)


def test_the_cache_holds_the_frames_that_inspect_shows_and_weights_of_them(
    made: tuple[Path, Path, Path]
) -> None:
    folder, _, cache = made
    (height, width), frames = TINY["wan22-5b"]
    entry, sample = ClipCache(cache).clips[1], ClipCache(cache).sample(1)
    clip = folder / "clips" / entry.name
    (selection,) = trained_on("plain", timeline_of(clip), 64, 64,
                              Request(((frames, height, width),), fps=16.0))  # fmt: skip
    assert entry.frames == format_indices(selection.indices)
    assert entry.fps == selection.fps
    weights = motion_weights(frames_of(clip, selection), "wan-5b", HeatmapSettings(floor=0.05))
    assert torch.equal(sample["weight"], weights[0, 0])
    assert weights.max() > 0


def test_preparing_goes_on_and_lists_what_is_damaged(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, whole = made
    clips, cache = tiny_clips(tmp_path / "clips", "wan22-5b"), tmp_path / "cache"
    (clips / "9.mp4").write_bytes(b"no video")
    (clips / "9.txt").write_text("damaged")
    arguments = prepare_arguments("wan22-5b", clips, cache, model)
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    assert "left out, 1 clips" in result.output
    assert "9.mp4" in (cache / "rejected.jsonl").read_text()
    # As if killed while it wrote: a clip and a caption are not there, another is cut off.
    files = sorted((cache / "clips").iterdir())
    before = {path: path.read_bytes() for path in (*files, *(cache / "texts").iterdir())}
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])
    next((cache / "texts").iterdir()).unlink()
    (cache / "clips.jsonl").unlink()
    untouched = files[2].stat().st_mtime_ns
    assert invoke(*arguments).exit_code == 0
    assert {path: path.read_bytes() for path in before} == before
    assert files[2].stat().st_mtime_ns == untouched
    assert ClipCache(cache).digest == ClipCache(whole).digest
    refused = invoke(*arguments, "--threshold", "0.2")
    assert refused.exit_code != 0
    assert "threshold 0.05 (not 0.2)" in str(refused.exception)


def test_what_the_model_cannot_take_is_refused_before_anything_is_read(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    folder, model, _ = made
    arguments = prepare_arguments("wan22-5b", folder / "clips", tmp_path / "cache", model)
    for given, words in [
        (("--frames", "6"), "1 + a multiple of 4"), (("--size", "48x40"), "multiples of 32"),
        (("--max-stride", "2"), "--max-stride is not for models of diffusers"),
    ]:  # fmt: skip
        result = invoke(*arguments, *given)
        assert result.exit_code == 2
        assert words in " ".join(result.output.split())
    assert not (tmp_path / "cache").exists()
