"""Galleries written from results, and the data of their page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from motifocal.bench.gallery.page import compare_results, write_gallery
from motifocal.bench.pairs import Pair
from motifocal.bench.results import Results

BALLOON, DUCK, FISH = (Pair("balloon", "balloon_1", "the balloon rises"),
                       Pair("duck", "duck1", "the duck swims"), Pair("fish", "fish1", "it turns"))
PAIRS = (BALLOON, DUCK, FISH)


def write(results: list[Results], folder: Path, **options: Any) -> dict[str, Any]:
    """Write a gallery and read back the data of its page."""
    link = options.pop("link", True)
    list(write_gallery(compare_results(results, **options), folder, link=link))
    return data_of(folder)


def data_of(folder: Path) -> dict[str, Any]:
    text = (folder / "data.js").read_text(encoding="ascii")
    found = re.fullmatch(r'"use strict";\nconst GALLERY = (.*);\n', text, re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert isinstance(data, dict)
    return data


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}
