"""The LTX-2 trainer takes the weights as one more folder, and the launcher starts it.

The trainer is on no package registry, so what stands in for it is written from the facts of its
interface: how a sample is put together from folders. docs/bridges.md names the versions read.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ltx_latents import processed, weighed
from ltx_strategies import Flexible
from square_clips import drawn_clip
from torch import Tensor
from torch.utils.data import default_collate

from motifocal.bridges import ltx


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
