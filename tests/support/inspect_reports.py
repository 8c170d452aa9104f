"""What reports of `inspect` about the same clips in other places have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motifocal.files.json_text import read_json_object


def thumbnails(folder: Path) -> dict[str, bytes]:
    """By their clips: their own names say which file was looked at."""
    report = read_json_object(folder / "inspect.json")
    return {clip["name"]: (folder / clip["thumb"]).read_bytes() for clip in report["clips"]}


def without_places(folder: Path) -> dict[str, Any]:
    """The report, but not where the clips and captions are and what thumbnails are called."""
    report = read_json_object(folder / "inspect.json")
    for name in ("folder", "format"):
        report["settings"].pop(name)
    report.pop("title")
    for clip in report["clips"]:
        clip.pop("thumb")
    return report
