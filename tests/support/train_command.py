"""`motifocal` in this process, and the words that train a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tiny
import torch
from click.testing import CliRunner, Result

from motifocal.cli import cli
from motifocal.data.shards import Shards


def invoke(*words: Any) -> Result:
    """Run `motifocal WORDS` in this process, as the first that asks for the accelerator."""
    tiny.fresh_accelerator()
    torch.set_num_threads(1)
    return CliRunner().invoke(cli, [str(word) for word in words])


def arguments(shards: Path, run: Path, base: Path, **changed: Any) -> list[str]:
    """Words of `motifocal train` with the settings `changed`."""
    return ["train", str(shards), "-o", str(run), "--model", str(base), "--preset", "scenes",
            "--device", "cpu", *tiny.assignments(**changed)]  # fmt: skip


def fast_forward(folder: Path, base: Path, shards: Shards, **changed: Any) -> None:
    """A run in `folder` that stands at step 2, without the work."""
    from motifocal.training.loop import save

    run = tiny.tiny_run(folder, base, shards, **changed)
    run.step = 2
    save(run)
