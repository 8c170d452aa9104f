"""The settings an output folder was begun with: a folder goes on only with the same ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from motifocal.files.atomic import write_text
from motifocal.files.json_text import read_json_object

_HASH = re.compile(r"\b[0-9a-f]{40,64}\b")


def claim(path: Path, settings: Mapping[str, object]) -> None:
    """Write the settings as JSON to `path`, or compare with those that are there.

    Raises ValueError where they differ, or where no settings are there: a folder is never filled
    with a mixture.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_text(path, json.dumps(settings, indent=1) + "\n")
        return
    held = read_json_object(path)
    if held != settings:
        theirs = ", ".join(_differences(held, settings))
        raise ValueError(f"{path} says {theirs}; use the same settings or another folder")


def _differences(held: Mapping[str, object], now: Mapping[str, object]) -> Iterator[str]:
    """What differs, in words: a hash is only named, and of settings in settings just what does."""
    for key in {**held, **now}:
        before, after = held.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            yield from _differences(before, after)
        elif any(_HASH.search(str(value)) for value in (before, after)):
            yield f"other {key}"
        else:
            yield f"{key} {before!r} (not {after!r})"
