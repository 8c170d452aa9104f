"""The files of the project, told from .gitignore, without git."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def project_files() -> list[Path]:
    """The files that git would track, relative to the root; told from .gitignore, without git."""
    lines = (ROOT / ".gitignore").read_text().splitlines()
    patterns = [".git", *(line.strip("/") for line in lines if line and line[0] != "#")]

    def ignored(path: Path) -> bool:
        names = (path.name, path.as_posix())
        return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in patterns)

    found = []
    for folder, folders, files in os.walk(ROOT):
        here = Path(folder).relative_to(ROOT)
        folders[:] = [name for name in folders if not ignored(here / name)]
        found += [here / name for name in files if not ignored(here / name)]
    return sorted(found)


def python_files(*tops: str) -> list[Path]:
    return [path for path in project_files() if path.suffix == ".py" and path.parts[0] in tops]
