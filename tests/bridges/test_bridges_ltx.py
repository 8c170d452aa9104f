"""The LTX-2 trainer's training with the motion part, and the weights beside its latents.

The trainer is on no package registry, so what stands in for it here is written from the facts of
its interface: how strategies are asked, which tokens they count, and how a sample is put together
from folders. docs/bridges.md names the versions that were read.
"""

from __future__ import annotations

import errno
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from torch.utils.data import default_collate

from motifocal.bridges import ltx
from motifocal.bridges.cached_latents import WeightSummary, make_weights
from motifocal.bridges.ltx_weights import BATCH_KEY, FOLDER, GRID, missing_weights, weight_jobs
from motifocal.cli.weights import weights
from motifocal.data.selection import Selection, frames_of
from motifocal.loss.focal import motion_focal_loss
from motifocal.loss.latent_grid import pool
from motifocal.media.video import write_video
from motifocal.motion.heatmap import HeatmapSettings, clip_heatmap

SETTINGS = HeatmapSettings()
F, H, W, C = 3, 2, 4, 8  # latent frames, height and width, channels


@dataclass
class ModelInputs:
    """What prepare_training_inputs returns, as far as the loss needs it."""

    video_targets: Tensor | None
    audio_targets: Tensor | None
    video_loss_mask: Tensor | None
    noisy: Tensor


class Flexible:
    """The newer strategy: references in front of the tokens, one loss a sample."""

    references = 0
    conditioned = H * W  # tokens of the first latent, which enter clean

    def __init__(self, config: Any = None) -> None:
        self.config = config
        self.shared = torch.nn.Linear(1, 1)

    def prepare_training_inputs(self, batch: dict[str, Any], timestep_sampler: Any) -> ModelInputs:
        latents = tokens(batch["video_latents"]["latents"])
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(2))
        mask = torch.ones(latents.shape[:2], dtype=torch.bool)
        mask[:, : self.conditioned] = False
        mask = torch.cat([torch.zeros(len(mask), self.references, dtype=torch.bool), mask], 1)
        noisy = torch.cat([torch.ones(len(mask), self.references, C), (latents + noise) / 2], 1)
        audio = torch.ones(len(mask), 5, 2) if "audio" in batch else None
        return ModelInputs(noise - latents, audio, mask, noisy)

    def compute_loss(
        self, video_pred: Tensor | None, audio_pred: Tensor | None, inputs: ModelInputs
    ) -> Tensor:
        loss: Tensor | float = 0.0
        if video_pred is not None and inputs.video_targets is not None:
            assert inputs.video_loss_mask is not None
            length = inputs.video_targets.shape[1]
            mask = inputs.video_loss_mask[:, -length:, None].float()
            error = (video_pred[:, -length:] - inputs.video_targets).pow(2) * mask
            loss = error.mean(dim=[-2, -1]) / mask.mean(dim=[-2, -1]).clamp(min=1e-8)
        if audio_pred is not None and inputs.audio_targets is not None:
            loss = loss + (audio_pred - inputs.audio_targets).pow(2).mean(dim=[-2, -1])
        assert isinstance(loss, Tensor)
        return loss

    def get_checkpoint_metadata(self) -> dict[str, Any]:
        return {"theirs": 1}


class FlexibleWithReference(Flexible):
    references = 5


class TextToVideo(Flexible):
    """The older strategy: one number for the batch."""

    def compute_loss(
        self, video_pred: Tensor | None, audio_pred: Tensor | None, inputs: ModelInputs
    ) -> Tensor:
        assert video_pred is not None and inputs.video_loss_mask is not None  # noqa: PT018
        assert inputs.video_targets is not None
        mask = inputs.video_loss_mask[..., None].float()
        loss = (video_pred - inputs.video_targets).pow(2).mul(mask).div(mask.mean()).mean()
        if audio_pred is None or inputs.audio_targets is None:
            return loss
        return loss + (audio_pred - inputs.audio_targets).pow(2).mean()


STRATEGIES = pytest.mark.parametrize("strategy", [Flexible, FlexibleWithReference, TextToVideo])


def tokens(latents: Tensor) -> Tensor:
    """Time slowest, columns fastest: as VideoLatentPatchifier of ltx-core 1.0.0 has it."""
    return latents.flatten(2).transpose(1, 2)


def made_batch(sound: bool = False) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(4)
    latents = torch.randn(2, C, F, H, W, generator=generator)
    heat = torch.rand(2, F, H, W, generator=generator).half()
    batch: dict[str, Any] = {"video_latents": {"latents": latents}, BATCH_KEY: {"weight": heat}}
    return {**batch, "audio": True} if sound else batch


def step(
    strategy: Any, batch: dict[str, Any], dtype: torch.dtype = torch.float32, sound: bool = False
) -> tuple[Tensor, Tensor, ModelInputs]:
    """Loss, gradient on the prediction, and the inputs of one step."""
    inputs = strategy.prepare_training_inputs(batch, None)
    prediction = (inputs.noisy * 0.7 + 0.1).to(dtype).requires_grad_()
    heard = torch.zeros(2, 5, 2) if sound else None
    loss = strategy.compute_loss(prediction, heard, inputs)
    loss.mean().backward()
    assert prediction.grad is not None
    return loss.detach(), prediction.grad, inputs


@STRATEGIES
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_without_weight_the_loss_is_the_strategys_own_bit_for_bit(
    strategy: Callable[[], Any], dtype: torch.dtype
) -> None:
    plain = step(strategy(), made_batch(), dtype)
    batch = made_batch()
    del batch[BATCH_KEY]  # nor are weights asked for
    ours = step(ltx.motion_strategy(strategy(), 0.0), batch, dtype)
    assert torch.equal(plain[0], ours[0])
    assert torch.equal(plain[1], ours[1])


@STRATEGIES
@pytest.mark.parametrize("motif_weight", [0.5, 1.0, 5.0])
def test_the_motion_part_is_the_papers_over_the_tokens_that_the_strategy_counts(
    strategy: Any, motif_weight: float
) -> None:
    batch = made_batch()
    loss, gradient, inputs = step(ltx.motion_strategy(strategy(), motif_weight), batch)
    prediction = (inputs.noisy * 0.7 + 0.1)[:, strategy.references :].requires_grad_()
    assert inputs.video_loss_mask is not None
    assert inputs.video_targets is not None
    wanted = motion_focal_loss(
        prediction, inputs.video_targets, tokens(batch[BATCH_KEY]["weight"][:, None]),
        weight=motif_weight, valid=inputs.video_loss_mask[:, strategy.references :, None],
    )  # fmt: skip
    expected = wanted.total if loss.ndim else wanted.total.mean()
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=0)
    wanted.total.mean().backward()
    torch.testing.assert_close(gradient[:, strategy.references :], prediction.grad)


@STRATEGIES
def test_the_gradient_on_conditioned_tokens_is_exactly_zero(strategy: Any) -> None:
    _, gradient, inputs = step(ltx.motion_strategy(strategy(), 1.0), made_batch())
    assert inputs.video_loss_mask is not None
    kept = inputs.video_loss_mask
    assert gradient[~kept].count_nonzero() == 0
    assert gradient[kept].count_nonzero() > 0
    assert int((~kept).sum()) == 2 * (strategy.references + H * W)


def test_hot_tokens_get_the_gradient_and_in_the_strategys_order() -> None:
    batch = made_batch()
    batch[BATCH_KEY]["weight"].zero_()
    batch[BATCH_KEY]["weight"][:, 1, 0, 3] = 1
    plain = step(Flexible(), made_batch())[1]
    gradient = step(ltx.motion_strategy(Flexible(), 1.0), batch)[1]
    hot = 1 * H * W + 0 * W + 3
    changed = (gradient != plain).any(-1)
    assert changed.nonzero()[:, 1].tolist() == [hot, hot]
    torch.testing.assert_close(gradient[:, hot], 2 * plain[:, hot])


def test_sound_keeps_its_plain_loss() -> None:
    batch = made_batch(sound=True)
    both = step(ltx.motion_strategy(Flexible(), 1.0), batch, sound=True)[0]
    alone = step(ltx.motion_strategy(Flexible(), 1.0), made_batch())[0]
    torch.testing.assert_close(both - alone, torch.ones(2))


def test_bfloat16_predictions_are_compared_in_float32() -> None:
    batch = made_batch()
    loss, _, inputs = step(ltx.motion_strategy(Flexible(), 1.0), batch, torch.bfloat16)
    prediction = (inputs.noisy * 0.7 + 0.1).bfloat16()
    assert inputs.video_loss_mask is not None
    assert inputs.video_targets is not None
    wanted = motion_focal_loss(
        prediction, inputs.video_targets, tokens(batch[BATCH_KEY]["weight"][:, None]),
        valid=inputs.video_loss_mask[..., None],
    )  # fmt: skip
    torch.testing.assert_close(loss, wanted.total, rtol=1e-5, atol=0)


def test_weights_of_other_latents_are_refused() -> None:
    strategy = ltx.motion_strategy(Flexible(), 1.0)
    batch = made_batch()
    batch[BATCH_KEY]["weight"] = batch[BATCH_KEY]["weight"][:, :2]
    with pytest.raises(ValueError, match=r"should be \(2, 3, 2, 4\) like the latents, got \(2, 2,"):
        step(strategy, batch)
    with pytest.raises(ValueError, match="the batch should have motion_weights and latents"):
        step(strategy, {"video_latents": made_batch()["video_latents"]})
    with pytest.raises(ValueError, match="motif_weight should be finite and at least 0"):
        ltx.motion_strategy(Flexible(), -1.0)


def test_the_strategy_stays_the_one_that_was_built() -> None:
    built = Flexible("config")
    moved = ltx.motion_strategy(built, 1.5)
    assert isinstance(moved, Flexible)
    assert moved.shared is built.shared
    moved.shared = torch.nn.Linear(2, 2)  # the trainer may put parts of it in their place later
    assert built.shared is moved.shared
    assert moved.get_checkpoint_metadata() == {"theirs": 1, "motif_weight": 1.5}


# The data: what process_dataset.py leaves, and what the trainer reads of it.


class PrecomputedDataset:
    """A sample is one .pt of each folder, of the same name; those that lack one are left out."""

    def __init__(self, data_root: str, data_sources: dict[str, str]) -> None:
        root = Path(data_root)
        self.root = root / ".precomputed" if (root / ".precomputed").exists() else root
        self.sources = data_sources
        first = self.root / next(iter(data_sources))
        names = [file.relative_to(first) for file in sorted(first.glob("**/*.pt"))]
        self.names = [
            name for name in names if all((self.root / d / name).exists() for d in data_sources)
        ]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {
            key: torch.load(self.root / folder / self.names[index], weights_only=True)
            for folder, key in self.sources.items()
        }


class NewConfig:
    """A strategy's configuration that names its folders itself."""

    def get_data_sources(self) -> dict[str, str]:
        return {"latents": "video_latents"}


class Trainer:
    """Builds its strategy and, when training starts, its data: as LtxvTrainer does."""

    started: list[str]

    def __init__(self, config: Any) -> None:
        self._config = config
        self._training_strategy: Any = Flexible(config.training_strategy)
        self._dataset: Any = None

    def _init_dataloader(self) -> None:
        if self._dataset is None:
            owner = self._config.training_strategy
            owner = owner if hasattr(owner, "get_data_sources") else self._training_strategy
            root = self._config.data.preprocessed_data_root
            self._dataset = PrecomputedDataset(root, data_sources=owner.get_data_sources())
        self._dataloader = [default_collate([self._dataset[i] for i in range(len(self._dataset))])]

    def train(self, disable_progress_bars: bool = False) -> None:
        self._init_dataloader()
        (batch,) = self._dataloader
        batch["video_latents"]["latents"] = batch["video_latents"]["latents"].float()
        self.loss = step_with_any_mask(self._training_strategy, batch)


def step_with_any_mask(strategy: Any, batch: dict[str, Any]) -> Tensor:
    inputs = strategy.prepare_training_inputs(batch, None)
    return strategy.compute_loss(inputs.noisy * 0.7, None, inputs)


def config_of(root: Path, strategy: Any = None) -> Any:
    return SimpleNamespace(
        data=SimpleNamespace(preprocessed_data_root=str(root)),
        training_strategy=NewConfig() if strategy is None else strategy,
    )


def drawn_clip(path: Path, count: int = 20, fps: float = 24.0) -> None:
    """A bright square that moves right over a textured ground, 128 x 96."""
    ground = np.random.default_rng(5).integers(40, 90, (96, 128, 3)).astype(np.uint8)
    frames = np.stack([cv2.GaussianBlur(ground, (0, 0), 2)] * count)
    for index in range(count):
        frames[index, 30:60, 10 + 3 * index : 40 + 3 * index] = (230, 200, 40)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, fps, crf=12)


def processed(
    root: Path, name: str, frames: int = 3, height: int = 2, width: int = 3, fps: float = 24.0
) -> Path:
    """Latents as process_videos.py saves them; the numbers themselves are noise."""
    path = (root / ".precomputed" / "latents" / name).with_suffix(".pt")
    path.parent.mkdir(parents=True, exist_ok=True)
    latents = torch.randn(C, frames, height, width, generator=torch.Generator().manual_seed(1))
    torch.save({"latents": latents.bfloat16(), "num_frames": frames, "height": height,
                "width": width, "fps": fps}, path)  # fmt: skip
    return path


def weighed(root: Path, settings: HeatmapSettings = SETTINGS, **options: Any) -> WeightSummary:
    return make_weights(weight_jobs(root / ".precomputed", None, settings, **options))


def weight_of(root: Path, name: str) -> Tensor:
    held = torch.load(root / ".precomputed" / FOLDER / f"{name}.pt", weights_only=True)
    return held["weight"]


def test_the_weights_are_of_the_clips_first_frames_at_the_latents_size(tmp_path: Path) -> None:
    drawn_clip(tmp_path / "videos" / "a b.mp4")
    processed(tmp_path, "videos/a b.mp4")
    outcome = weighed(tmp_path)
    assert (outcome.made, outcome.kept, outcome.refused) == (1, 0, {})
    selection = Selection(tuple(range(17)), 24.0, 64, 96, "floor")
    heatmap = clip_heatmap(frames_of(tmp_path / "videos" / "a b.mp4", selection), SETTINGS)
    got = weight_of(tmp_path, "videos/a b")
    assert got.dtype == torch.float16
    wanted = pool(torch.from_numpy(heatmap), GRID)[0, 0]
    torch.testing.assert_close(got.float(), wanted, atol=1e-3, rtol=0)
    assert got[0].max() > 0.2  # the first latent too: its mask is the strategy's affair


def test_a_picture_gets_no_motion_and_another_autoencoder_its_own_grid(tmp_path: Path) -> None:
    processed(tmp_path, "still.png", frames=1)
    drawn_clip(tmp_path / "a.mp4")
    processed(tmp_path, "a.mp4", frames=4, height=4, width=6)
    outcome = weighed(tmp_path, grid=replace(GRID, spatial_stride=16, temporal_stride=4))
    assert (outcome.made, outcome.refused) == (2, {})
    assert torch.equal(weight_of(tmp_path, "still"), torch.zeros(1, 2, 3).half())
    assert weight_of(tmp_path, "a").shape == (4, 4, 6)


def test_a_second_run_makes_only_what_is_missing_or_of_older_latents(tmp_path: Path) -> None:
    for name in ("a", "b"):
        drawn_clip(tmp_path / f"{name}.mp4")
        processed(tmp_path, f"{name}.mp4")
    jobs = weight_jobs(tmp_path / ".precomputed", None, SETTINGS)
    assert make_weights(jobs[:1]).made == 1
    assert missing_weights(tmp_path, "latents") == ["b.pt"]
    outcome = weighed(tmp_path)
    assert (outcome.made, outcome.kept) == (1, 1)
    processed(tmp_path, "b.mp4", frames=2)
    outcome = weighed(tmp_path)
    assert (outcome.made, outcome.kept) == (1, 1)
    assert weight_of(tmp_path, "b").shape[0] == 2
    assert weighed(tmp_path, HeatmapSettings(floor=0.3)).made == 2


def test_what_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    for name in ("slow", "short", "twice"):
        drawn_clip(tmp_path / f"{name}.mp4", 12 if name == "short" else 20)
    (tmp_path / "twice.mov").write_bytes((tmp_path / "twice.mp4").read_bytes())
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    processed(tmp_path, "slow.mp4", fps=25.0)
    for name in ("short", "twice", "broken", "gone"):
        processed(tmp_path, f"{name}.mp4")
    bad = processed(tmp_path, "bad.mp4")
    torch.save({"latents": torch.zeros(3)}, bad)
    evil = processed(tmp_path, "evil.mp4")
    torch.save({"latents": types.SimpleNamespace()}, evil)
    processed(tmp_path, "text.mp4").write_bytes(b"hello, this was never a pickle")
    refused = weighed(tmp_path).refused
    reasons = {
        "slow": "rate differs: the latents are of 25 frames/s, slow.mp4 has 24",
        "short": "too short, it has no frame 12",
        "twice": "should hold one video named twice, got twice.mov, twice.mp4",
        "broken": "broken.mp4",
        "gone": "should hold one video named gone, got none",
        "bad": "should have num_frames, height and width",
        "evil": "is damaged, or holds more than tensors",
        "text": "is damaged, or holds more than tensors",
    }
    assert set(refused) == {f"{name}.pt" for name in reasons}
    for name, words in reasons.items():
        assert words in refused[f"{name}.pt"]
    with pytest.raises(ValueError, match="should hold the latents of clips"):
        weighed(tmp_path, latents="elsewhere")


def test_the_trainer_loads_the_weights_as_one_more_folder(tmp_path: Path) -> None:
    for name in ("a", "b"):
        drawn_clip(tmp_path / f"{name}.mp4")
        processed(tmp_path, f"{name}.mp4")
    motion = ltx.motion_trainer(Trainer, PrecomputedDataset, 1.0)
    with pytest.raises(ValueError, match=r"2 samples in .* have no motion weights, the first is a"):
        motion(config_of(tmp_path))
    weighed(tmp_path)
    trainer = motion(config_of(tmp_path))
    trainer.train()
    plain = ltx.motion_trainer(Trainer, PrecomputedDataset, 0.0)(config_of(tmp_path))
    plain.train()
    assert plain._dataset.sources == {"latents": "video_latents"}
    assert trainer.loss.shape == (2,)
    assert (trainer.loss > plain.loss).all()


def test_older_versions_ask_the_strategy_for_their_folders(tmp_path: Path) -> None:
    drawn_clip(tmp_path / "a.mp4")
    processed(tmp_path, "a.mp4")
    strategy = SimpleNamespace(get_data_sources=lambda: ["latents", "conditions"])
    got = ltx.data_sources(strategy, SimpleNamespace())
    assert got == {"latents": "latents", "conditions": "conditions"}
    with pytest.raises(ValueError, match="should train a video, its data are"):
        ltx._check_weights(str(tmp_path), {"audio_latents": "audio_latents"})


def trainer_modules(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """ltx_trainer as the launcher imports it; what was trained is in the result."""
    seen: dict[str, Any] = {}

    class Recorded(Trainer):
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            seen["trainer"] = self

        def train(self, disable_progress_bars: bool = False) -> None:
            seen["quiet"] = disable_progress_bars
            super().train(disable_progress_bars)

    def config(**values: Any) -> Any:
        seen["config"] = values
        return config_of(values["data"]["preprocessed_data_root"])

    held: dict[str, dict[str, Any]] = {
        "ltx_trainer": {},
        "ltx_trainer.config": {"LtxTrainerConfig": config},
        "ltx_trainer.datasets": {"PrecomputedDataset": PrecomputedDataset},
        "ltx_trainer.trainer": {"LtxvTrainer": Recorded},
    }
    for name, values in held.items():
        module = types.ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    return seen


def test_the_launcher_trains_by_their_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn_clip(tmp_path / "a.mp4")
    processed(tmp_path, "a.mp4")
    weighed(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text(f"data:\n  preprocessed_data_root: {tmp_path}\nseed: 3\n")
    seen = trainer_modules(monkeypatch)
    ltx.main([str(config), "--motif-weight", "0.5", "--disable-progress-bars"])
    assert seen["config"]["seed"] == 3
    assert seen["quiet"]
    strategy = seen["trainer"]._training_strategy
    assert strategy.get_checkpoint_metadata()["motif_weight"] == 0.5


def test_the_launcher_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("seed: 3\n")
    with pytest.raises(SystemExit, match="ltx_trainer is not there"):
        ltx.main([str(config)])
    with pytest.raises(SystemExit):
        ltx.main([str(config), "--motif_weight", "nan"])
    assert "motif_weight should be finite and at least 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        ltx.main([str(tmp_path / "none.yaml")])
    assert "none.yaml: no such file" in capsys.readouterr().err


def test_the_command_writes_the_folder(tmp_path: Path) -> None:
    drawn_clip(tmp_path / "a.mp4")
    processed(tmp_path, "a.mp4")
    done = CliRunner().invoke(weights, ["ltx", str(tmp_path / ".precomputed")])
    assert (done.exit_code, done.stdout) == (0, "1 made, 0 there before, 0 refused\n")
    assert weight_of(tmp_path, "a").shape == (3, 2, 3)
    moved = tmp_path / "clips"
    moved.mkdir()
    (tmp_path / "a.mp4").rename(moved / "a.mp4")
    call = ["ltx", str(tmp_path / ".precomputed"), "--force"]
    assert CliRunner().invoke(weights, call).exit_code == 1
    assert CliRunner().invoke(weights, [*call, "--clips", str(moved)]).exit_code == 0


def test_clips_outside_of_the_tables_folder_lead_to_the_option_that_finds_them(
    tmp_path: Path,
) -> None:
    clip = tmp_path / "elsewhere" / "a.mp4"
    drawn_clip(clip)
    table = tmp_path / "table"
    # As the trainer names the latents of a clip that is not below the table: by its whole path.
    processed(table, clip.relative_to(clip.anchor).as_posix())
    call = ["ltx", str(table / ".precomputed")]
    refused = CliRunner().invoke(weights, call)
    assert refused.exit_code == 1
    words = f"got none; {clip} is outside of the table's folder: --clips {clip.anchor}"
    assert words in refused.stderr
    assert CliRunner().invoke(weights, [*call, "--clips", clip.anchor]).exit_code == 0


def test_a_full_disk_stops_the_run_and_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        drawn_clip(tmp_path / f"{name}.mp4")
        processed(tmp_path, f"{name}.mp4")
    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="the disk is full"):
        weighed(tmp_path)
    assert not list((tmp_path / ".precomputed" / FOLDER).iterdir())


def test_a_file_of_weights_that_is_not_ours_is_made_anew(tmp_path: Path) -> None:
    drawn_clip(tmp_path / "a.mp4")
    processed(tmp_path, "a.mp4")
    (tmp_path / ".precomputed" / FOLDER).mkdir()
    torch.save({"note": "a text"}, tmp_path / ".precomputed" / FOLDER / "a.pt")
    assert weighed(tmp_path).made == 1
    assert weight_of(tmp_path, "a").shape == (3, 2, 3)


def full_disk(path: Path, data: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
