"""Options of `motifocal export` for the moving square, and the table that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from square_clips import FRAMES, SIDE


def latents(family: str = "wan", frames: int = FRAMES, side: int = SIDE) -> list[object]:
    return ["--as", "latents", "--family", family, "--size", side, "--frames", frames]


def masks(family: str = "wan", frames: int = FRAMES) -> list[object]:
    return ["--as", "masks", "--family", family, "--size", SIDE, "--frames", frames]


def rows_in(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
