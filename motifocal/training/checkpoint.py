"""A training's state becomes a file that a kill at any moment cannot spoil, and is found again.

All randomness of a run is a function of (seed, step), so a checkpoint holds no random state: the
weights, the average, the optimiser and the step number are the whole of it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motifocal.files import replacing

KEEP = 2  # the newest, and one older should the newest be on a disk that died while writing
NAME = re.compile(r"step-(\d{8})\.pt")


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` (tensors and plain containers) as the checkpoint of `step`, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    with replacing(path, durable=True) as temporary:
        torch.save({"step": step, **state}, temporary)
    for old in list_checkpoints(folder)[:-KEEP]:
        old.unlink()
    return path


def kept_weights(run: Path, step: int) -> Path:
    """The folder of the averaged weights that `train --keep-every` keeps at a step."""
    return run / "kept" / f"step-{step:08d}"


def list_checkpoints(folder: Path) -> list[Path]:
    """The finished checkpoints in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if NAME.fullmatch(p.name))


def latest_step(folder: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    steps = [int(found[1]) for p in list_checkpoints(folder) if (found := NAME.fullmatch(p.name))]
    return max(steps, default=0)


def load_checkpoint(folder: Path) -> dict[str, Any] | None:
    """The newest checkpoint's state with its `step`, or None where there is none yet."""
    paths = list_checkpoints(folder)
    if not paths:
        return None
    return torch.load(paths[-1], map_location="cpu", weights_only=True)


def mixed_seed(*numbers: int) -> int:
    """A seed that differs wherever one of the numbers does; zeros at the end do not count."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seed_everything(seed: int, step: int) -> torch.Generator:
    """Seed torch's global generator (dropout) for this step; return one for noise and timesteps."""
    mixed = (seed * 1_000_003 + step) % (2**63)
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed ^ 0x5DEECE66D)
