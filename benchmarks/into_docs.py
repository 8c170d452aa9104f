"""A benchmark's output on stdin becomes its section of docs/benchmarks.md.

The page holds `<!-- begin NAME -->` and `<!-- end NAME -->`; what lies between is replaced.
"""

from __future__ import annotations

import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def replaced(page: str, name: str, text: str) -> str:
    """The page with `text` between the markers of `name`.

    Raises ValueError unless each marker is there once, in order.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    if page.count(begin) != 1 or page.count(end) != 1 or page.index(begin) > page.index(end):
        raise ValueError(f"the page should hold {begin} and then {end}, each once")
    head, rest = page.split(begin)
    tail = rest.split(end)[1]
    return f"{head}{begin}\n\n{text.strip()}\n\n{end}{tail}"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: into_docs.py NAME < output")
    text = sys.stdin.read()
    if not text.strip():
        sys.exit("stdin should hold a benchmark's output, got nothing")
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replaced(page, sys.argv[1], text), encoding="utf-8")


if __name__ == "__main__":
    main()
