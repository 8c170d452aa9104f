"""A disk that is full while a model or a checkpoint is written is told in one line."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from motifocal.files.atomic import replacing, replacing_folder


def fail_as_safetensors(_: Path) -> None:
    raise SafetensorError("Error while serializing: I/O error: No space left on device "
                          "(os error 28)")


def fail_as_torch(_: Path) -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError:
        raise RuntimeError("unexpected pos 768 vs 662")  # noqa: B904  as it comes


def save_to_a_full_disk(_: Path) -> None:
    with Path("/dev/full").open("wb") as file:
        torch.save({"weight": torch.zeros(100_000)}, file)


@pytest.mark.parametrize("write", [fail_as_safetensors, fail_as_torch, save_to_a_full_disk])
def test_a_full_disk_is_told_in_words_whatever_writes(
    write: Callable[[Path], None], tmp_path: Path
) -> None:
    if write is save_to_a_full_disk and not Path("/dev/full").exists():
        pytest.skip("needs Linux's /dev/full")
    for replaced in (replacing, replacing_folder):
        words = "model cannot be written, the disk is full"
        with pytest.raises(OSError, match=words) as error, replaced(tmp_path / "model") as given:
            write(given)
        assert error.value.errno == errno.ENOSPC
        assert not list(tmp_path.iterdir())


def test_other_errors_of_a_block_that_writes_stay_what_they_are(tmp_path: Path) -> None:
    for fault in (RuntimeError("(os error 28)"), ValueError(), PermissionError(13, "no")):
        with pytest.raises(type(fault)) as error, replacing_folder(tmp_path / "model"):
            raise fault
        assert error.value is fault
