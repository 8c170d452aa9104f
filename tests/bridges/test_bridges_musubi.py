"""musubi-tuner's training with the motion part, and the weights in its caches.

musubi-tuner itself is on no package registry, so what stands in for it here is written from the
facts of its interface: how a trainer is called, how caches are named and filled, and how every
tensor of a cache file comes to the batch. docs/bridges.md names the versions that were read.
"""

from __future__ import annotations

import json
import os
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from turned import turned_on_its_side

from motifocal.bridges import musubi
from motifocal.bridges.cached_latents import Job, make_weights, sample_weight
from motifocal.bridges.musubi_cache import BATCH_KEY, GRIDS, read_datasets, weight_jobs
from motifocal.cli.weights import weights
from motifocal.data.selection import Selection, frames_of
from motifocal.loss.focal import motion_focal_loss
from motifocal.loss.latent_grid import pool
from motifocal.media.video import read_video, write_video
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap

SETTINGS = HeatmapSettings()


@dataclass
class DiTOutput:
    """What a newer trainer's model call returns."""

    pred: Tensor
    target: Tensor
    extra: dict[str, Any] = field(default_factory=dict)


class Model(torch.nn.Module):
    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.mix = torch.nn.Conv3d(4, 4, 1)
        torch.nn.init.normal_(self.mix.weight, generator=torch.Generator().manual_seed(1))
        self.to(dtype)

    def forward(self, latents: Tensor) -> Tensor:
        return self.mix(latents.to(self.mix.weight.dtype))


def timestep_weights(args: Any, timesteps: Tensor) -> Tensor | None:
    """(B, 1, 1, 1, 1), or None where the weighting scheme is "none"."""
    if args.weighting_scheme == "none":
        return None
    return (timesteps / 1000).pow(-2)[:, None, None, None, None]


class OldTrainer:
    """Squares the difference in the loop itself; its model call returns two tensors."""

    def call_dit(
        self, args: Any, accelerator: Any, transformer: Any, latents: Tensor,
        batch: dict[str, Any], noise: Tensor, noisy_model_input: Tensor, timesteps: Tensor,
        network_dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        return transformer(noisy_model_input), noise - latents

    def step(self, args: Any, transformer: Any, batch: dict[str, Any]) -> Tensor:
        latents, noise, noisy, timesteps = drawn(batch)
        weighting = timestep_weights(args, timesteps)
        prediction, target = self.call_dit(
            args, None, transformer, latents, batch, noise, noisy, timesteps, torch.float32
        )
        loss = torch.nn.functional.mse_loss(
            prediction.to(torch.float32), target, reduction="none"
        )
        return (loss if weighting is None else loss * weighting).mean()


class NewTrainer:
    """Has the seams that newer versions have: process_batch and compute_loss."""

    def call_dit(
        self, args: Any, accelerator: Any, transformer: Any, latents: Tensor,
        batch: dict[str, Any], noise: Tensor, noisy_model_input: Tensor, timesteps: Tensor,
        network_dtype: torch.dtype, **kwargs: Any,
    ) -> DiTOutput:  # fmt: skip
        return DiTOutput(transformer(noisy_model_input), noise - latents, {"kept": 1})

    def compute_loss(
        self, args: Any, output: DiTOutput, timesteps: Tensor, noise_scheduler: Any,
        dit_dtype: torch.dtype, network_dtype: torch.dtype, global_step: int,
    ) -> tuple[Tensor, dict[str, float]]:  # fmt: skip
        weighting = timestep_weights(args, timesteps)
        loss = torch.nn.functional.mse_loss(
            output.pred.to(network_dtype), output.target, reduction="none"
        )
        return (loss if weighting is None else loss * weighting).mean(), {"theirs": 1.0}

    def extra_metadata(self, args: Any) -> dict[str, Any]:
        return {"ss_theirs": "kept"}

    def step(self, args: Any, transformer: Any, batch: dict[str, Any]) -> Tensor:
        latents, noise, noisy, timesteps = drawn(batch)
        output = self.call_dit(
            args, None, transformer, latents, batch, noise, noisy, timesteps, torch.float32
        )
        loss, self.metrics = self.compute_loss(
            args, output, timesteps, None, torch.bfloat16, torch.float32, 0
        )
        return loss


def drawn(batch: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    latents = batch["latents"]
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(latents.shape, generator=generator)
    timesteps = torch.rand(len(latents), generator=generator) * 800 + 100
    t = (timesteps / 1000)[:, None, None, None, None]
    return latents, noise, (1 - t) * latents + t * noise, timesteps


def made_batch(frames: int = 3) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(7)
    latents = torch.randn(2, 4, frames, 6, 8, generator=generator)
    heat = torch.rand(2, frames, 6, 8, generator=generator).half()
    return {"latents": latents, BATCH_KEY: heat, "timesteps": None}


def arguments(scheme: str = "sigma_sqrt") -> Any:
    return SimpleNamespace(weighting_scheme=scheme)


TRAINERS = pytest.mark.parametrize("trainer", [OldTrainer, NewTrainer])


def trained(trainer: Any, args: Any, batch: dict[str, Any], model: Model) -> tuple[Tensor, Tensor]:
    """The loss of one step and the gradient that it leaves."""
    model.zero_grad()
    loss = trainer.step(args, model, batch)
    loss.backward()
    assert model.mix.weight.grad is not None
    return loss.detach(), model.mix.weight.grad.clone()


@TRAINERS
@pytest.mark.parametrize("scheme", ["none", "sigma_sqrt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_weight_the_loss_is_the_trainers_own_bit_for_bit(
    trainer: type[Any], scheme: str, dtype: torch.dtype
) -> None:
    model = Model(dtype)
    plain = trained(trainer(), arguments(scheme), made_batch(), model)
    ours = trained(musubi.motion_trainer(trainer, 0.0)(), arguments(scheme), made_batch(), model)
    for theirs, got in zip(plain, ours, strict=True):
        assert torch.equal(theirs, got)
    # And it asks for no weights.
    batch = {"latents": made_batch()["latents"]}
    assert torch.equal(plain[0], musubi.motion_trainer(trainer, 0.0)().step(
        arguments(scheme), model, batch))  # fmt: skip


@TRAINERS
@pytest.mark.parametrize("scheme", ["none", "sigma_sqrt"])
@pytest.mark.parametrize("motif_weight", [0.5, 1.0, 5.0])
def test_the_motion_part_is_the_papers_under_the_trainers_timestep_weights(
    trainer: type[Any], scheme: str, motif_weight: float
) -> None:
    model, batch, args = Model(), made_batch(), arguments(scheme)
    latents, noise, noisy, timesteps = drawn(batch)
    weighting = timestep_weights(args, timesteps)
    wanted = motion_focal_loss(
        model(noisy), noise - latents, batch[BATCH_KEY][:, None], weight=motif_weight,
        timestep_weight=None if weighting is None else weighting.flatten(),
    )  # fmt: skip
    model.zero_grad()
    wanted.total.mean().backward()
    gradient = model.mix.weight.grad
    assert gradient is not None
    wanted_gradient = gradient.clone()
    loss, got = trained(musubi.motion_trainer(trainer, motif_weight)(), args, batch, model)
    torch.testing.assert_close(loss, wanted.total.mean().detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(got, wanted_gradient, rtol=1e-4, atol=1e-6)


@TRAINERS
def test_a_model_in_bfloat16_gives_the_loss_of_its_own_predictions(
    trainer: type[Any],
) -> None:
    model, batch = Model(torch.bfloat16), made_batch()
    latents, noise, noisy, _ = drawn(batch)
    wanted = motion_focal_loss(model(noisy), noise - latents, batch[BATCH_KEY][:, None])
    loss = musubi.motion_trainer(trainer, 1.0)().step(arguments("none"), model, batch)
    torch.testing.assert_close(loss, wanted.total.mean(), rtol=1e-5, atol=0)


@TRAINERS
def test_pictures_in_a_mixed_data_set_keep_the_plain_loss(trainer: type[Any]) -> None:
    batch = made_batch(frames=1)
    del batch[BATCH_KEY]
    model = Model()
    plain = trainer().step(arguments(), model, batch)
    assert torch.equal(plain, musubi.motion_trainer(trainer, 1.0)().step(arguments(), model, batch))


@TRAINERS
def test_a_batch_without_its_weights_is_refused(trainer: type[Any]) -> None:
    motion = musubi.motion_trainer(trainer, 1.0)()
    missing = {"latents": made_batch()["latents"]}
    with pytest.raises(ValueError, match="this batch has no motifocal_weight: make the weights"):
        motion.step(arguments(), Model(), missing)
    partly = made_batch()
    partly[BATCH_KEY] = partly[BATCH_KEY][:1]  # one cache of two has them
    with pytest.raises(ValueError, match=r"should be \(2, 3, 6, 8\) .*, got \(1, 3, 6, 8\)"):
        motion.step(arguments(), Model(), partly)
    other = made_batch()
    other[BATCH_KEY] = other[BATCH_KEY][:, :2]
    with pytest.raises(ValueError, match="latents were cached after their weights"):
        motion.step(arguments(), Model(), other)


def test_newer_versions_log_both_parts_and_write_the_weight_down() -> None:
    motion = musubi.motion_trainer(NewTrainer, 2.0)()
    loss = motion.step(arguments(), Model(), made_batch())
    parts = motion.metrics
    assert parts["theirs"] == 1.0
    assert loss.item() == pytest.approx(parts["loss/diffusion"] + 2 * parts["loss/motion"])
    assert motion.extra_metadata(None) == {"ss_theirs": "kept", "ss_motif_weight": 2.0}


def test_a_fork_with_another_loss_than_the_square_is_refused() -> None:
    args = SimpleNamespace(weighting_scheme="none", loss_type="huber")
    with pytest.raises(ValueError, match=r"--loss_type should be mse .*, got huber"):
        musubi.motion_trainer(OldTrainer, 1.0)().step(args, Model(), made_batch())


def test_a_weight_that_is_none_is_refused() -> None:
    for weight in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="motif_weight should be finite and at least 0"):
            musubi.motion_trainer(NewTrainer, weight)


def script(monkeypatch: pytest.MonkeyPatch, name: str, trainer: str) -> types.ModuleType:
    """A training script whose main reads sys.argv and trains with the trainer of its module."""
    module = types.ModuleType(name)
    module.__file__ = f"/somewhere/{name}.py"
    setattr(module, trainer, type(trainer, (NewTrainer,), {}))

    def run() -> None:
        module.argv = list(sys.argv)  # type: ignore[attr-defined]
        module.used = getattr(module, trainer)()  # type: ignore[attr-defined]

    module.main = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "musubi_tuner", types.ModuleType("musubi_tuner"))
    monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(sys, "argv", ["before"])
    return module


def test_the_launcher_runs_their_main_with_our_trainer_and_their_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "musubi_tuner.wan_train_network"
    module: Any = script(monkeypatch, name, "WanNetworkTrainer")
    theirs = ["--task", "i2v-A14B", "--dataset", "a.toml", "--motif", "x"]
    musubi.main(["wan", "--motif_weight", "0.5", *theirs])
    assert module.argv == [f"/somewhere/{name}.py", *theirs]
    assert isinstance(module.used, NewTrainer)
    assert module.used.extra_metadata(None)["ss_motif_weight"] == 0.5


def test_the_launcher_knows_the_name_that_older_versions_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module: Any = script(monkeypatch, "musubi_tuner.hv_train_network", "NetworkTrainer")
    musubi.main(["hv"])
    assert module.used.extra_metadata(None)["ss_motif_weight"] == 1.0


def test_the_launcher_says_what_is_wrong(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match=r"wan_train_network is not there: install musubi-tuner"):
        musubi.main(["wan"])
    for given, words in (
        (["flux"], "invalid choice"),
        (["wan", "--motif_weight", "-1"], "motif_weight should be finite and at least 0, got -1"),
        (["wan"], "has no WanNetworkTrainer: an unknown version"),
    ):
        script(monkeypatch, "musubi_tuner.wan_train_network", "SomethingElse")
        if given != ["wan"]:
            script(monkeypatch, "musubi_tuner.wan_train_network", "WanNetworkTrainer")
        with pytest.raises(SystemExit) as stopped:
            musubi.main(given)
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


# Caches: what wan_cache_latents.py leaves, and what its training reads of them.


def drawn_clip(path: Path, count: int = 24, fps: float = 24.0) -> None:
    """A bright square that moves right over a textured ground, 128 x 96."""
    ground = np.random.default_rng(5).integers(40, 90, (96, 128, 3)).astype(np.uint8)
    frames = np.stack([cv2.GaussianBlur(ground, (0, 0), 2)] * count)
    for index in range(count):
        frames[index, 30:60, 10 + 3 * index : 40 + 3 * index] = (230, 200, 40)
    write_video(path, frames, fps, crf=12)


def cached(
    folder: Path, stem: str, start: int, frames: int, height: int = 64, width: int = 96,
    family: str = "wan",
) -> Path:  # fmt: skip
    """A cache file as musubi-tuner names and fills it; the latents themselves are noise."""
    folder.mkdir(exist_ok=True)
    stride = GRIDS[family].spatial_stride
    sizes = (1 + (frames - 1) // 4, height // stride, width // stride)
    generator = torch.Generator().manual_seed(start)
    name = f"{stem}_{start:05d}-{frames:03d}_{width:04d}x{height:04d}_{family}.safetensors"
    tensors = {
        f"latents_{'x'.join(map(str, sizes))}_bfloat16": torch.randn(
            16, *sizes, generator=generator
        ).bfloat16(),
        "clip_bfloat16": torch.randn(1, 5, 8, generator=generator).bfloat16(),
    }
    metadata = {"architecture": family, "width": str(width), "format_version": "1.0.1"}
    save_file(tensors, folder / name, metadata)
    return folder / name


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


def configured(tmp_path: Path, **values: Any) -> Path:
    """A dataset_config with one data set of videos and one of pictures, as JSON."""
    videos = tmp_path / "videos"
    videos.mkdir(exist_ok=True)
    own = {
        "video_directory": str(videos),
        "cache_directory": str(tmp_path / "cache"),
        "target_frames": [9],
        "frame_extraction": "head",
        **values,
    }
    pictures = {"image_directory": str(tmp_path / "images"), "cache_directory": "elsewhere"}
    config = tmp_path / "dataset.json"
    config.write_text(json.dumps({"general": {"resolution": [96, 64], "batch_size": 2},
                                  "datasets": [pictures, own]}))  # fmt: skip
    return config


def jobs_of(config: Path, settings: HeatmapSettings = SETTINGS, family: str = "wan") -> list[Job]:
    return weight_jobs(config, family, settings)


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
    kept = Selection((0, 2, 3, 5, 6, 8, 9, 11, 12), 16.0, 64, 96, "half-up")
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


def test_the_launcher_says_what_is_wrong_with_the_data_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(monkeypatch, "musubi_tuner.wan_train_network", "WanNetworkTrainer")
    config, table = tmp_path / "dataset.json", tmp_path / "clips.jsonl"
    table.write_text('\nno json\n')
    for own, words in (
        ({"image_directory": "x", "cache_directory": "y"}, "should have a data set of videos"),
        ({"video_directory": str(tmp_path / "gone")}, "No such file"),
        ({"video_jsonl_file": str(table), "cache_directory": "y"}, "line 2 should be JSON"),
    ):
        config.write_text(json.dumps({"datasets": [own]}))
        with pytest.raises(SystemExit) as stopped:
            musubi.main(["wan", "--dataset_config", str(config)])
        assert stopped.value.code == 2
        assert words in capsys.readouterr().err


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


def test_the_launcher_stops_before_training_where_weights_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = script(monkeypatch, "musubi_tuner.wan_train_network", "WanNetworkTrainer")
    config = configured(tmp_path)
    drawn_clip(tmp_path / "videos" / "a.mp4", 12)
    for frames in (1, 9):  # a single frame needs none
        cached(tmp_path / "cache", "a", 0, frames)
    call = ["wan", "--dataset_config", str(config)]
    with pytest.raises(SystemExit, match=r"1 cached clips have no motion weights, the first is a_"):
        musubi.main(call)
    musubi.main([*call, "--motif_weight", "0"])
    del module.used
    assert make_weights(jobs_of(config)).made == 1
    musubi.main(call)
    assert module.used.extra_metadata(None)["ss_motif_weight"] == 1.0


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
