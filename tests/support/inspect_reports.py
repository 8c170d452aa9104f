"""`motifocal inspect` of small clips, and its reports: read, and without what its places decide."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from click.testing import CliRunner, Result
from doctor_clips import moving

from motifocal.cli.inspect import inspect
from motifocal.files.json_text import read_json_object
from motifocal.inspection.page import read_report

OPTIONS = ["--frames", "9", "--size", "48x64", "--workers", "2"]


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


def called(*arguments: Any) -> Result:
    return CliRunner().invoke(inspect, [str(one) for one in arguments], catch_exceptions=False)


def report_of(output: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((output / "inspect.json").read_text())
    read_report(report)
    return report


def codes_of(report: dict[str, Any]) -> dict[str, set[str]]:
    return {clip["name"]: {f["code"] for f in clip["faults"]} for clip in report["clips"]}


def clip(seed: int, frames: int = 12) -> np.ndarray:
    return moving(seed, frames, height=48, width=64)
