"""The weights in musubi-tuner's caches, and the batch that its training reads of them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import pytest
import torch
from click.testing import CliRunner
from musubi_caches import SETTINGS, cached, configured, jobs_of
from musubi_trainers import Model, NewTrainer, arguments
from safetensors import safe_open
from safetensors.torch import load_file
from square_clips import drawn_clip
from torch import Tensor
from turned import turned_on_its_side

from motifocal.bridges import musubi
from motifocal.bridges.cached_latents import make_weights, sample_weight
from motifocal.bridges.musubi_cache import BATCH_KEY, GRIDS, read_datasets, weight_jobs
from motifocal.cli.weights import weights
from motifocal.data.selection import Selection, frames_of
from motifocal.loss.latent_grid import pool
from motifocal.media.video import read_video
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap


def read_as_training_does(paths: list[Path]) -> dict[str, Tensor]:
    """A batch of the caches: names lose their type, those of latents their sizes too."""
    held: dict[str, list[Tensor]] = {}
    for path in paths:
        for key, tensor in load_file(path).items():
            name = key.rsplit("_", 1)[0]
            if name.startswith("latents_"):
                name = name.rsplit("_", 1)[0]
            held.setdefault(name, []).append(tensor)
    return {name: torch.stack(tensors) for name, tensors in held.items()}


def test_the_weights_of_exactly_the_cached_frames_come_with_the_batch(tmp_path: Path) -> None:
    config = configured(tmp_path, frame_extraction="chunk")
    clip = tmp_path / "videos" / "a clip_1.mp4"
    drawn_clip(clip)
    paths = [cached(tmp_path / "cache", "a clip_1", start, 9) for start in (0, 9)]
    before = [load_file(path) for path in paths]
    outcome = make_weights(jobs_of(config))
    assert (outcome.made, outcome.kept, outcome.refused) == (2, 0, {})

    batch = read_as_training_does(paths)
    assert batch[BATCH_KEY].shape == (2, 3, 8, 12)
    assert batch[BATCH_KEY].dtype == torch.float16
    for number, start in enumerate((0, 9)):
        selection = Selection(tuple(range(start, start + 9)), 24.0, 64, 96, "half-up")
        heatmap = clip_heatmap(frames_of(clip, selection), SETTINGS)
        wanted = pool(torch.from_numpy(heatmap), GRIDS["wan"])[0, 0]
        torch.testing.assert_close(batch[BATCH_KEY][number].float(), wanted, atol=1e-3, rtol=0)
        # The square was hot where it was, and only there.
        assert batch[BATCH_KEY][number].max() > 0.9
        assert (batch[BATCH_KEY][number] < 0.1).float().mean() > 0.4
    # Nothing else in the files has changed.
    for path, held in zip(paths, before, strict=True):
        after = load_file(path)
        assert all(torch.equal(after[name], tensor) for name, tensor in held.items())
        with safe_open(path, "pt") as file:
            assert file.metadata()["format_version"] == "1.0.1"
    # And the trainer takes the batch as it is.
    batch["latents"] = batch["latents"].float()[:, :4]
    assert musubi.motion_trainer(NewTrainer, 1.0)().step(arguments(), Model(), batch) > 0


def test_frames_dropped_for_a_declared_rate_are_dropped_for_the_weights_too(
    tmp_path: Path,
) -> None:
    config = configured(tmp_path, source_fps=24.0)
    clip = tmp_path / "videos" / "a.mp4"
    drawn_clip(clip)
    path = cached(tmp_path / "cache", "a", 0, 9)
    assert make_weights(jobs_of(config)).made == 1
    kept = Selection((0, 2, 3, 5, 7, 8, 9, 11, 12), 16.0, 64, 96, "half-up")
    wanted = sample_weight(clip, kept, GRIDS["wan"], SETTINGS)
    got = read_as_training_does([path])[BATCH_KEY][0]
    assert torch.equal(got, wanted)
    other = Selection(tuple(range(9)), 24.0, 64, 96, "half-up")
    assert not torch.equal(got, sample_weight(clip, other, GRIDS["wan"], SETTINGS))


def test_others_may_still_read_a_cache_with_a_weight(tmp_path: Path) -> None:
    config = configured(tmp_path)
    drawn_clip(tmp_path / "videos" / "a.mp4")
    path = cached(tmp_path / "cache", "a", 0, 9)
    (tmp_path / "new").touch()
    assert make_weights(jobs_of(config)).made == 1
    assert path.stat().st_mode == (tmp_path / "new").stat().st_mode


def test_names_and_captions_may_hold_any_line_end(tmp_path: Path) -> None:
    drawn_clip(tmp_path / "new\nline.mp4")
    cached(tmp_path / "cache", "new\nline", 0, 9)
    table = tmp_path / "clips.jsonl"
    row = {"video_path": str(tmp_path / "new\nline.mp4"), "caption": "one\u2028two\x85three"}
    table.write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    config = tmp_path / "dataset.json"
    held = {"video_jsonl_file": str(table), "cache_directory": str(tmp_path / "cache"),
            "target_frames": [9]}  # fmt: skip
    config.write_text(json.dumps({"datasets": [held]}))
    assert make_weights(jobs_of(config)).made == 1


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    config = configured(tmp_path, frame_extraction="chunk")
    drawn_clip(tmp_path / "videos" / "a.mp4")
    paths = [cached(tmp_path / "cache", "a", start, 9) for start in (0, 9)]
    assert make_weights(jobs_of(config)[:1]).made == 1
    outcome = make_weights(jobs_of(config))
    assert (outcome.made, outcome.kept) == (1, 1)
    cached(tmp_path / "cache", "a", 9, 9)  # cached anew: its weight is gone
    outcome = make_weights(jobs_of(config))
    assert (outcome.made, outcome.kept) == (1, 1)
    outcome = make_weights(jobs_of(config, HeatmapSettings(floor=0.3)))
    assert (outcome.made, outcome.kept) == (2, 0)
    assert make_weights(jobs_of(config, HeatmapSettings(floor=0.3)), force=True).made == 2
    assert all(len(load_file(path)) == 3 for path in paths)


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    config = configured(tmp_path)
    videos, cache = tmp_path / "videos", tmp_path / "cache"
    for name in ("a.mp4", "twice.mp4", "short.mp4"):
        drawn_clip(videos / name, 5 if name == "short.mp4" else 12)
    (videos / "twice.mov").write_bytes((videos / "twice.mp4").read_bytes())
    (videos / "broken.mp4").write_bytes(b"no video")
    cached(cache, "a", 1, 9)
    cached(cache, "gone", 0, 9)
    cached(cache, "twice", 0, 9)
    cached(cache, "short", 0, 9)
    cached(cache, "broken", 0, 9)
    wrong = cached(cache, "a", 0, 9)
    os.rename(wrong, cache / "a_00000-013_0096x0064_wan.safetensors")
    wrong = cached(cache, "a", 0, 9)
    os.rename(wrong, cache / "a_00000-009_0192x0064_wan.safetensors")
    (cache / "a_00000-009_0096x0096_wan.safetensors").write_bytes(b"no cache")
    wrong = cached(cache, "a", 0, 9)
    os.rename(wrong, cache / "a_00000-009-01_0096x0064_wan.safetensors")
    refused = make_weights(jobs_of(config)).refused
    reasons = {
        "a_00001-009_0096x0064": "frames differ: 1-9 of the clip are cached, the configuration "
        "now takes 0-8",
        "a_00000-013_0096x0064": "frames differ: 13 make 4 latents, 3 are cached",
        "a_00000-009_0192x0064": "size differs: 64x192 pixels make 8x24 latents, 8x12 are cached",
        "a_00000-009_0096x0096": "is damaged",
        "a_00000-009-01_0096x0064": "is section 01 of a clip: not supported",
        "gone_00000-009_0096x0064": "should have one clip named gone, got none",
        "twice_00000-009_0096x0064": "twice.mov",
        "short_00000-009_0096x0064": "frames 0-8 are wanted, the clip has 5",
        "broken_00000-009_0096x0064": "broken.mp4",
    }
    assert set(refused) == {f"{name}_wan.safetensors" for name in reasons}
    for name, words in reasons.items():
        assert words in refused[f"{name}_wan.safetensors"], refused


def test_a_clip_that_is_stored_turned_is_refused(tmp_path: Path) -> None:
    config = configured(tmp_path)
    clip = tmp_path / "videos" / "phone.mp4"
    drawn_clip(clip, 12)
    turned_on_its_side(clip)
    assert read_video(clip, num_frames=1).frames.shape == (1, 128, 96, 3)
    cached(tmp_path / "cache", "phone", 0, 9)
    (reason,) = make_weights(jobs_of(config)).refused.values()
    assert "is stored turned or mirrored" in reason


def test_hunyuan_latents_are_weighted_on_their_own_grids(tmp_path: Path) -> None:
    config = configured(tmp_path)
    drawn_clip(tmp_path / "videos" / "a.mp4", 12)
    for family, shape in (("hv", (3, 8, 12)), ("hv15", (3, 4, 6))):
        path = cached(tmp_path / "cache", "a", 0, 9, family=family)
        assert make_weights(jobs_of(config, family=family)).made == 1
        weight = read_as_training_does([path])[BATCH_KEY][0]
        assert tuple(weight.shape) == shape
        assert weight[0].max() > 0.5  # the first latent is noised and counted like the others


def test_clips_are_found_in_a_table_beside_it_and_in_folders_of_pictures(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    drawn_clip(tmp_path / "clips" / "a.mp4", 12)
    pictures = tmp_path / "clips" / "b"
    pictures.mkdir()
    for index, frame in enumerate(read_video(tmp_path / "clips" / "a.mp4").frames):
        cv2.imwrite(str(pictures / f"{index:03d}.png"), frame[..., ::-1])
    table = tmp_path / "clips" / "table.jsonl"
    rows = [{"video_path": name, "caption": "a square"} for name in ("a.mp4", "b")]
    table.write_text("\n\n".join(map(json.dumps, rows)) + "\n")
    config = configured(tmp_path)
    held = json.loads(config.read_text())
    del held["datasets"][1]["video_directory"]
    held["datasets"][1]["video_jsonl_file"] = str(table)
    config.write_text(json.dumps(held))
    paths = [cached(tmp_path / "cache", stem, 0, 9) for stem in ("a", "b")]
    outcome = make_weights(jobs_of(config))
    assert (outcome.made, outcome.refused) == (2, {})
    batch = read_as_training_does(paths)
    torch.testing.assert_close(batch[BATCH_KEY][0], batch[BATCH_KEY][1], atol=0.02, rtol=0)
    (pictures / "000.png").rename(pictures / "0.png")
    (pictures / "001.png").rename(pictures / "10.png")
    pictures.rename(tmp_path / "clips" / "c")
    table.write_text(json.dumps({"video_path": "c", "caption": ""}))
    cached(tmp_path / "cache", "c", 0, 9)
    refused = make_weights(jobs_of(config)).refused
    assert "leading zeros" in refused["c_00000-009_0096x0064_wan.safetensors"]


def test_toml_is_read_and_what_is_no_configuration_is_refused(tmp_path: Path) -> None:
    config = tmp_path / "dataset.toml"
    (tmp_path / "v").mkdir()
    folder = json.dumps(str(tmp_path / "v"))
    config.write_text(
        "[general]\nresolution = [960, 544]\n[[datasets]]\n"
        f"video_directory = {folder}\nframe_extraction = 'full'\nmax_frames = 45\n"
    )
    (dataset,) = read_datasets(config, "wan")
    assert dataset.cache == tmp_path / "v"  # its default
    assert dataset.request.buckets == ((45, 16, 16),)
    with pytest.raises(ValueError, match="no latents of videos are cached for wan"):
        weight_jobs(config, "wan", SETTINGS)
    with pytest.raises(ValueError, match="family should be one of wan, hv, hv15, got 'flux'"):
        weight_jobs(config, "flux", SETTINGS)
    for text, words in (
        ("datasets = 3", "should have"),
        ("[[datasets]]\nimage_directory = 'x'", "should have a data set of videos, got none"),
        ("[[datasets]", "should be TOML or JSON"),
    ):
        config.write_text(text)
        with pytest.raises(ValueError, match=words):
            read_datasets(config, "wan")


def test_the_command_lists_what_it_refused_and_ends_with_1(tmp_path: Path) -> None:
    config = configured(tmp_path)
    drawn_clip(tmp_path / "videos" / "a.mp4", 12)
    cached(tmp_path / "cache", "a", 0, 9)
    call = ["musubi", "--dataset-config", str(config), "--family", "wan"]
    done = CliRunner().invoke(weights, call)
    assert (done.exit_code, done.stdout) == (0, "1 made, 0 there before, 0 refused\n")
    cached(tmp_path / "cache", "gone", 0, 9)
    done = CliRunner().invoke(weights, call)
    assert (done.exit_code, done.stdout) == (1, "0 made, 1 there before, 1 refused\n")
    assert "refused: gone_00000-009" in done.stderr
