"""Store the settings of an output folder; a run only resumes with the same ones."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from motifocal.files.atomic import write_text
from motifocal.files.json_text import read_json_object

_HASH = re.compile(r"\b[0-9a-f]{40,64}\b")


def lock_settings(
    path: Path, settings: Mapping[str, object], *,
    upgrade: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> None:  # fmt: skip
    """Write the settings as JSON to `path`, or compare them with those that are there.

    `upgrade` turns the settings of an earlier version into those of this one, before they are
    compared. Raises ValueError where they differ, or where `path` holds no settings: a folder is
    never filled with a mixture.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_settings(path, settings)
        return
    stored = upgrade(read_json_object(path))
    if stored != settings:
        differences = ", ".join(_differences(stored, settings))
        raise ValueError(f"{path} says {differences}; use the same settings or another folder")


def write_settings(path: Path, settings: Mapping[str, object]) -> None:
    """Write the settings as JSON, whatever is there."""
    write_text(path, json.dumps(settings, indent=1) + "\n")


def check_own_folder(folder: Path, marker: str, kind: str) -> None:
    """Raise ValueError for a folder with files in it that has no `marker`, the file by which a
    folder of this kind is known: nobody else's files are replaced."""
    if not (folder / marker).exists() and folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} should be empty or {kind} that motifocal wrote, got a folder "
                         f"without {marker}")


def _differences(stored: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """Yield what differs in words: hashes are only named, nested settings compared one by one."""
    for key in {**stored, **now}:
        before, after = stored.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after)
        elif any(_HASH.search(str(value)) for value in (before, after)):
            yield f"other {key}"
        else:
            yield f"{key} {before!r} (not {after!r})"
