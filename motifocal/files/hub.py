"""Report errors of the Hugging Face hub in one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Raise ValueError where a model is neither in the local cache nor given by the hub."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    try:
        yield
    except LocalEntryNotFoundError as error:
        raise ValueError(
            f"{name} is no folder here and not in the cache of hub models, and the hub is out of "
            f"reach or switched off: run `hf download {name}` while online, or give a folder"
        ) from error
    except (OSError, EntryNotFoundError, HFValidationError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{name} is no folder here, and the hub says: {reason}") from error
