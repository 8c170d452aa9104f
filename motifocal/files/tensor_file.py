"""Read a file of named tensors from an untrusted source without running code in it."""

from __future__ import annotations

import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: What `torch.load` raises on files that were cut, overwritten or never its own: it has no one
#: type.
DAMAGE = (
    pickle.UnpicklingError, RuntimeError, EOFError, LookupError, AssertionError, TypeError,
    AttributeError, ValueError, OverflowError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
LONGEST_NAME = 10_000  # characters of a text in a pickle
LARGEST_PICKLE = 2**28  # bytes, without the tensors
_OLD_PICKLES = 5  # at the start of a file that is no ZIP archive, before the tensors


def read_tensors(file: Path, mmap: bool = False) -> dict[str, Any]:
    """Read the dict in a `.safetensors` file or in one of `torch.save`.

    Args:
        file: told apart by its suffix; everything but `.safetensors` is read by `torch.load`
            with `weights_only=True`.
        mmap: leave the tensors of `torch.save` on the disk until they are used.

    Raises:
        ValueError: the file is damaged, holds more than tensors and plain containers, or no dict
            with strings as keys.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if file.suffix.lower() == ".safetensors":
            tensors: dict[str, Tensor] = load_file(file)
            return tensors
        check_pickles(file)
        read = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except (SafetensorError, *DAMAGE) as error:
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} is damaged, or holds more than tensors: {words}") from error
    if not isinstance(read, Mapping) or not all(isinstance(name, str) for name in read):
        kind = type(read).__name__
        raise ValueError(f"{file} should hold a dict of tensors by name, got {kind}")
    return dict(read)


def open_safetensors(path: Path, framework: str = "np") -> Any:
    """Open a `.safetensors` file, with arrays ("np") or tensors ("pt"); ValueError if damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        return safe_open(path, framework=framework)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def check_pickles(file: Path) -> None:
    """Look through what `torch.save` has written, before `torch.load` does, and load nothing.

    `torch.load` searches its own message about a name that it does not know, in a time that grows
    with the square of the name's length: minutes for a quarter of a megabyte.

    Raises:
        ValueError: a text of more than 10 000 characters, a pickle that is too large, or none.
            One of DAMAGE where the archive is damaged.
    """
    if not zipfile.is_zipfile(file):
        with file.open("rb") as opened:
            for _ in range(_OLD_PICKLES):
                _check_texts(opened)
        return
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if member.filename.endswith("data.pkl"):
                if member.file_size > LARGEST_PICKLE:
                    raise ValueError(f"{member.filename} has {member.file_size} bytes")
                with archive.open(member) as opened:
                    _check_texts(opened)


def _check_texts(pickled: IO[bytes]) -> None:
    """Read one pickle to its end, without building anything of it."""
    for _, argument, _ in pickletools.genops(pickled):
        if isinstance(argument, str) and len(argument) > LONGEST_NAME:
            raise ValueError(f"it holds a name of {len(argument)} characters")
