"""Preparing clips for fine-tuning: which frames, going on after a kill, what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_videos import with_clock_jump
from tiny_diffusers import TINY, save_tiny
from tiny_finetune import CLIPS, invoke, prepare_arguments, prepared, tiny_clips

from motifocal.cli.finetune.model import check_caches
from motifocal.data import clip_files
from motifocal.data.captions import CaptionedVideo, Rejected
from motifocal.data.clip_files import timeline_of
from motifocal.data.selection import Selection, format_indices, frames_of
from motifocal.data.trainer_rules import Request, trained_on
from motifocal.loss.motion_loss import motion_weights
from motifocal.media.arrays import Frames
from motifocal.media.video import write_video
from motifocal.motion.heatmap import Heatmap, HeatmapSettings, clip_heatmap
from motifocal.training.families.registry import family_of
from motifocal.training.finetune.cache import CachedClip, CacheSettings, ClipCache, key_of
from motifocal.training.finetune.parts import digest_of, loaded_parts
from motifocal.training.finetune.prepare import Sample, lock_cache, samples_of, write_index


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


def test_a_rate_above_that_of_the_clips_is_warned_of(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    folder, model, _ = made
    clips = shutil.copytree(folder / "clips", tmp_path / "clips")
    frames = np.zeros((60, 64, 64, 3), np.uint8)
    write_video(clips / "fast.mp4", frames, 40)
    (clips / "fast.txt").write_text("a clip with enough frames")
    arguments = prepare_arguments("wan22-5b", clips, tmp_path / "cache", model)
    arguments[arguments.index("--fps") + 1] = "32"
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    slow = f"at 32 frames/s, {CLIPS} of {CLIPS + 1} clips have frames used twice in a row"
    assert slow in result.output
    assert "or give --fps 16, the lowest rate among them" in result.output


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
    assert "twice in a row" not in result.output
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


def test_a_clip_whose_clock_jumps_is_rejected_and_the_next_one_taken(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    folder, _, cache = made
    stored = ClipCache(cache).settings
    settings = CacheSettings(**{**stored, "heatmap": HeatmapSettings(**stored["heatmap"])})
    jump = with_clock_jump(tmp_path / "jump.mkv", np.zeros((24, 64, 64, 3), np.uint8))
    videos = [CaptionedVideo(path, "it falls", path.name)
              for path in (jump, folder / "clips" / "0.mp4")]  # fmt: skip
    rejected, taken = samples_of(videos, settings, 4, 1)
    assert isinstance(rejected, Rejected)
    assert rejected.reason.startswith("its times jump: frame 11 would be repeated for 1,690,")
    assert isinstance(taken, list)
    assert len(taken) == 1


def test_a_size_across_the_clips_is_told_once(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for index in range(2):
        noise = np.random.default_rng(index).integers(0, 256, (24, 32, 96, 3), np.uint8)
        write_video(clips / f"{index}.mp4", noise, 16)
        (clips / f"{index}.txt").write_text("it moves")
    arguments = prepare_arguments("wan22-5b", clips, tmp_path / "cache", made[1])
    result = invoke(*arguments, "--size", "96x32")
    assert result.exit_code == 0, result.output
    assert result.output.count("96x32 crops 89% of clips of 32x96; --size 32x96 has their") == 1


def test_a_cache_goes_on_in_the_precision_that_it_was_begun_in_alone(
    made: tuple[Path, Path, Path]
) -> None:
    folder, model, cache = made
    arguments = prepare_arguments("wan22-5b", folder / "clips", cache, model)
    refused = invoke(*arguments, "--precision", "bfloat16")
    assert refused.exit_code != 0
    assert "precision 'float32' (not 'bfloat16')" in str(refused.exception)


def test_files_of_another_precision_have_other_names(made: tuple[Path, Path, Path]) -> None:
    _, _, folder = made
    cache = ClipCache(folder)
    heatmap = HeatmapSettings(**cache.settings["heatmap"])
    settings = CacheSettings(**{**cache.settings, "heatmap": heatmap})
    video = CaptionedVideo(folder / "0.mp4", "it falls", "0.mp4")
    sample = Sample(video, Selection((0, 1, 2), 16.0, 32, 32), "0" * 64)
    a, b = (sample.entry(replace(settings, precision=p)) for p in ("float32", "bfloat16"))
    assert a.clip != b.clip
    assert a.text != b.text


def test_a_cache_from_before_other_evidence_is_gone_on_with_under_its_names(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, _, folder = made
    stored = ClipCache(folder).settings
    stored["heatmap"]["evidence"] = "pixels"
    settings = CacheSettings(**{**stored, "heatmap": HeatmapSettings(**stored["heatmap"])})
    del stored["heatmap"]["evidence"]
    (tmp_path / "cache.json").write_text(json.dumps(stored))
    lock_cache(tmp_path, settings)
    clip = Sample(CaptionedVideo(folder / "0.mp4", "it falls", "0.mp4"),
                  Selection((0, 1, 2), 16.0, 32, 32), "0" * 64)  # fmt: skip
    names = ("family", "weights", "precision", "height", "width", "heatmap")
    before = {**{name: stored[name] for name in names}, "clip": "0" * 64, "frames": (0, 1, 2),
              "fps": 16.0}  # fmt: skip
    assert clip.entry(settings).clip == key_of(before)
    regions = replace(settings, heatmap=replace(settings.heatmap, evidence="regions"))
    assert clip.entry(regions).clip != key_of(before)
    with pytest.raises(ValueError, match=r"evidence 'pixels' \(not 'regions'\)"):
        lock_cache(tmp_path, regions)


@pytest.mark.parametrize("kind", ["hunyuan", "hunyuan15", "kandinsky5"])
def test_large_clips_are_encoded_in_tiles(kind: str, tmp_path: Path) -> None:
    family = family_of(save_tiny(kind, tmp_path))
    video = torch.rand(1, 3, 5, 272, 288, generator=torch.Generator().manual_seed(0)) * 2 - 1
    seen: list[torch.Size] = []
    with loaded_parts(tmp_path, family, family.clip_parts, torch.device("cpu"), "float32") as pipe:
        pipe.vae.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape))
        latents = family.encode_clip(pipe, video, 24.0, torch.Generator())["latents"]
    stride = family.geometry.spatial_stride
    assert latents.shape[-2:] == (272 // stride, 288 // stride)
    assert max(side for shape in seen for side in shape[-2:]) == 256


def test_a_cache_from_before_tiles_is_gone_on_with_by_the_families_without_them_alone(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, _, folder = made
    stored = ClipCache(folder).settings
    assert "tiled" not in stored
    settings = CacheSettings(**{**stored, "heatmap": HeatmapSettings(**stored["heatmap"])})
    clip = Sample(CaptionedVideo(folder / "0.mp4", "it falls", "0.mp4"),
                  Selection((0, 1, 2), 16.0, 32, 32), "0" * 64)  # fmt: skip
    (tmp_path / "cache.json").write_text(json.dumps(stored))
    lock_cache(tmp_path, settings)
    tiled = replace(settings, tiled=True)
    assert clip.entry(tiled).clip != clip.entry(settings).clip
    with pytest.raises(ValueError, match=r"tiled False \(not True\)"):
        lock_cache(tmp_path, tiled)
    lock_cache(tmp_path / "new", tiled)
    lock_cache(tmp_path / "new", tiled)


def test_settings_of_a_cache_that_say_too_little_are_named(tmp_path: Path) -> None:
    (tmp_path / "cache.json").write_text('{"model": "tiny", "family": "wan-ti2v"}')
    with pytest.raises(ValueError, match=r"cache.json should say weights, precision, frames"):
        ClipCache(tmp_path)


def test_flow_is_estimated_on_the_device_that_encodes(
    made: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, model, _ = made
    devices = []

    def measured(frames: Frames, *given: Any, device: str | None, **more: Any) -> Heatmap:
        devices.append(device)
        return clip_heatmap(frames, *given, **more)

    monkeypatch.setattr(clip_files, "clip_heatmap", measured)
    result = invoke(*prepare_arguments("wan22-5b", folder / "clips", tmp_path, model))
    assert result.exit_code == 0, result.output
    assert devices == ["cpu"] * CLIPS


def test_a_part_of_another_library_is_refused(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    folder, model, _ = made
    foreign = shutil.copytree(model, tmp_path / "model")
    index = json.loads((foreign / "model_index.json").read_text())
    index["text_encoder"] = ["antigravity", "Encoder"]
    (foreign / "model_index.json").write_text(json.dumps(index))
    arguments = prepare_arguments("wan22-5b", folder / "clips", tmp_path / "cache", foreign)
    refused = invoke(*arguments)
    assert "text_encoder should be of diffusers or transformers, got antigravity" in str(
        refused.exception)  # fmt: skip


def test_what_the_model_cannot_take_is_refused_before_anything_is_read(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    folder, model, _ = made
    arguments = prepare_arguments("wan22-5b", folder / "clips", tmp_path / "cache", model)
    for given, words in [
        (("--frames", "6"), "1 + a multiple of 4"), (("--size", "48x40"), "nearest: 64x32"),
        (("--max-stride", "2"), "--max-stride is not for models of diffusers"),
    ]:  # fmt: skip
        result = invoke(*arguments, *given)
        assert result.exit_code == 2
        assert words in " ".join(result.output.split())
    assert not (tmp_path / "cache").exists()


def test_a_length_without_learned_positions_is_refused_before_captions_are_encoded(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    model, cache = save_tiny("cogvideox", tmp_path / "model"), tmp_path / "cache"
    arguments = prepare_arguments("cogvideox", made[0] / "clips", cache, model)
    refused = invoke(*arguments, "--frames", "13")
    assert refused.exit_code == 2
    assert "clips should be 9 frames of 32x48" in " ".join(refused.output.split())
    assert not cache.exists()
    # So is a cache from when lengths were not checked.
    family = family_of(model)
    weights = digest_of(model, (*family.text_parts, *family.clip_parts))
    lock_cache(cache, CacheSettings("m", family.name, weights, "float32", 13, 32, 48, 8.0, 1,
                                    HeatmapSettings()))  # fmt: skip
    write_index(cache, [CachedClip("0.mp4", "it falls", 8.0, "0-12", "", "key", "text")], [])
    with pytest.raises(ValueError, match=r"cache: clips should be 9 frames of .* got 13 frames"):
        check_caches([ClipCache(cache)], family, model)
