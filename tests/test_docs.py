"""The pages in docs/ that a script makes are what the script makes now."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_equation_of_the_paper_is_where_the_page_says() -> None:
    page = script("paper_docs")
    assert page.PATH.read_text() == page.document(), "docs/paper.md is old; run make docs"
