"""Clips with captions and tiny models of diffusers, for fine-tuning through the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tiny_diffusers import TINY, save_tiny
from train_command import invoke

from motifocal.media.video import write_video
from motifocal.scenes.export import recipe
from motifocal.scenes.render import render
from motifocal.training.checkpoint import load_checkpoint
from motifocal.training.log import read_log

CLIPS = 3


def tiny_clips(folder: Path, kind: str, clips: int = CLIPS) -> Path:
    """Drawn clips of a size that the model takes, each with a caption beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (height, width), frames = TINY[kind]
    for number in range(clips):
        made = recipe(number, "train", 0)
        drawn = render(made.stage, made.action, size=max(height, width), frames=frames + 2)
        write_video(folder / f"{number}.mp4", drawn.frames, 16, crf=8)
        (folder / f"{number}.txt").write_text(made.text)
    return folder


def prepare_arguments(kind: str, clips: Path, cache: Path, model: Path) -> list[str]:
    """The arguments of `motifocal prepare` for a tiny model."""
    (height, width), frames = TINY[kind]
    return ["prepare", str(clips), "-o", str(cache), "--model", str(model), "--frames", str(frames),
            "--size", f"{height}x{width}", "--fps", "16", "--precision", "float32",
            "--device", "cpu", "--floor", "0.05"]  # fmt: skip


def prepared(kind: str, folder: Path) -> tuple[Path, Path]:
    """A tiny model's folder and a cache that was made for it."""
    model, cache = save_tiny(kind, folder / "model"), folder / "cache"
    clips = tiny_clips(folder / "clips", kind)
    result = invoke(*prepare_arguments(kind, clips, cache, model))
    assert result.exit_code == 0, result.output
    return model, cache


def train_arguments(
    cache: Path, run: Path, model: Path, *more: str, **changed: Any
) -> list[str]:  # fmt: skip
    """The arguments of `motifocal train` for a tiny LoRA; `changed` are settings."""
    settings = {"steps": 3, "save_every": 1, "precision": "float32", "global_batch": 2,
                "learning_rate": 0.01, "warmup": 1, **changed}  # fmt: skip
    return ["train", str(cache), "-o", str(run), "--model", str(model), "--lora", "4",
            "--device", "cpu", "--samples", "0", "--log-with", "none", *more,
            *(part for key, value in settings.items()
              for part in ("--set", f"{key}={json.dumps(value)}"))]  # fmt: skip


def losses_of(run: Path) -> list[dict[str, float]]:
    """The lines of the log without what time they took."""
    return [{key: value for key, value in line.items() if key != "seconds"}
            for line in read_log(run / "log.jsonl")]  # fmt: skip


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    """What the newest checkpoint holds of the trained weights."""
    state = load_checkpoint(run / "checkpoints")
    assert state is not None
    weights: dict[str, torch.Tensor] = state["weights"]
    return weights


def tensors_of(run: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the newest checkpoint by its path: weights, average, optimiser state."""
    found: dict[str, torch.Tensor] = {}

    def collect(name: str, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            found[name] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                collect(f"{name}/{key}", inner)
        elif isinstance(value, list | tuple):
            for index, inner in enumerate(value):
                collect(f"{name}/{index}", inner)

    collect("", load_checkpoint(run / "checkpoints"))
    return found


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
