"""A benchmark's output on stdin becomes its section of docs/benchmarks.md, or of another page.

The page holds `<!-- begin NAME -->` and `<!-- end NAME -->`; what lies between is replaced.
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"scale": "scale.md"}  # of the others it is benchmarks.md


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
    page = DOCS / PAGES.get(sys.argv[1], "benchmarks.md")
    page.write_text(replaced(page.read_text(encoding="utf-8"), sys.argv[1], text), encoding="utf-8")


if __name__ == "__main__":
    main()
