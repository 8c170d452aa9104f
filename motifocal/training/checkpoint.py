"""Save and load the state of a training; a kill at any moment damages nothing.

All randomness of a run is a function of (seed, step), so a checkpoint holds no random state: the
weights, the average, the optimiser and the step number are the whole of it.
"""

from __future__ import annotations

import errno
import pickle
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from motifocal.files.atomic import replacing
from motifocal.files.tensor_file import check_pickles

KEEP = 2  # the newest, and one older should the newest be on a disk that died while writing
NAME = re.compile(r"step-(\d{8})\.pt")
# What zipfile and torch.load raise on damaged files: neither has one type for that.
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, struct.error, pickle.UnpicklingError, EOFError, LookupError,
    NotImplementedError, OSError, OverflowError, RuntimeError, TypeError, ValueError,
)  # fmt: skip
# Of those that the system raises, this one says that an offset in the file makes no sense; others
# are of permissions, links, the disk: the bytes may be whole.
_OF_CONTENT = (None, errno.EINVAL)


class DamagedCheckpoint(ValueError):  # noqa: N818
    """A checkpoint that cannot be read, or whose bytes are not those that were written."""


def save_checkpoint(folder: Path, step: int, state: dict[str, Any]) -> Path:
    """Write `state` (tensors and plain containers) as the checkpoint of `step`, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:08d}.pt"
    # To an open file: torch's own files say nothing of a full disk.
    with replacing(path, durable=True) as temporary, temporary.open("wb") as file:
        torch.save({"step": step, **state}, file)
    # Of later steps only damaged ones are there: the run would have gone on from them.
    before = [other for other in list_checkpoints(folder) if _step_of(other) <= step]
    for other in set(list_checkpoints(folder)) - set(before[-KEEP:]):
        other.unlink()
    return path


def kept_weights(run: Path, step: int) -> Path:
    """Return the folder of the averaged weights that `train --keep-every` keeps at a step."""
    return run / "kept" / f"step-{step:08d}"


def list_checkpoints(folder: Path) -> list[Path]:
    """Return the finished checkpoints in `folder`, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if NAME.fullmatch(p.name))


def latest_step(folder: Path) -> int:
    """Return the step of the newest checkpoint; 0 where there is none."""
    return max(map(_step_of, list_checkpoints(folder)), default=0)


def load_checkpoint(
    folder: Path, notify: Callable[[str], None] = warnings.warn
) -> dict[str, Any] | None:
    """Return the newest intact checkpoint's state with its `step`, or None where there is none yet.

    `notify` is told of each newer one that is damaged. Raises DamagedCheckpoint where all are, and
    OSError where the system does not let one be read: what it holds is not known.
    """
    damaged: list[str] = []
    for path in reversed(list_checkpoints(folder)):
        try:
            state = read_checkpoint(path)
        except DamagedCheckpoint as error:
            damaged.append(str(error))
            continue
        for fault in damaged:
            notify(f"{fault}; taking {path.name} instead")
        return state
    if damaged:
        raise DamagedCheckpoint(f"{'; '.join(damaged)}; none is intact: delete them to begin anew")
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint and verify its checksums.

    Raises DamagedCheckpoint where they fail, OSError where the system does not let it be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if (part := archive.testzip()) is not None:
                raise zipfile.BadZipFile(f"wrong checksum of {part}")
        check_pickles(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno not in _OF_CONTENT:
            raise OSError(f"{path} cannot be read: {error.strerror}") from error
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DamagedCheckpoint(f"{path} is damaged ({reason})") from error
    if not isinstance(state, dict) or state.get("step") != _step_of(path):
        raise DamagedCheckpoint(f"{path} should be the checkpoint of step {_step_of(path)}")
    return state


def _step_of(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))


def mixed_seed(*numbers: int) -> int:
    """A seed that differs wherever one of the numbers does; zeros at the end do not count."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def seed_everything(seed: int, step: int) -> torch.Generator:
    """Seed torch's global generator (dropout) for this step; return one for noise and timesteps."""
    mixed = (seed * 1_000_003 + step) % (2**63)
    torch.manual_seed(mixed)
    return torch.Generator().manual_seed(mixed ^ 0x5DEECE66D)
