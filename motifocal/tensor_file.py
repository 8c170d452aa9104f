"""A file of named tensors, of any origin, becomes a dict; nothing in it is run."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

#: What `torch.load` raises on files that were cut, overwritten or never its own: it has no one
#: type.
DAMAGE = (
    pickle.UnpicklingError, RuntimeError, EOFError, LookupError, AssertionError, TypeError,
    AttributeError, ValueError, struct.error,
)  # fmt: skip


def read_tensors(file: Path, mmap: bool = False) -> dict[str, Any]:
    """The dict in a `.safetensors` file or in one of `torch.save`.

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
        read = torch.load(file, map_location="cpu", weights_only=True, mmap=mmap)
    except (SafetensorError, *DAMAGE) as error:
        words = " ".join(str(error).split())[:200]
        raise ValueError(f"{file} is damaged, or holds more than tensors: {words}") from error
    if not isinstance(read, Mapping) or not all(isinstance(name, str) for name in read):
        kind = type(read).__name__
        raise ValueError(f"{file} should hold a dict of tensors by name, got {kind}")
    return dict(read)
