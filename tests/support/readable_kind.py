"""A kind of file that the project reads: how whole ones are made, read, and damaged."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import damage

Make, Read = Callable[[Path], object], Callable[[Path], object]


@dataclass(frozen=True)
class Kind:
    """`make` fills a folder, `read` reads it, `parts` are patterns of the files to damage.

    `repair` makes checksums right again; `archive`: the files are ZIP archives, whose members are
    damaged too.
    """

    make: Make
    read: Read
    parts: tuple[str, ...] = ("*",)
    repair: Callable[[bytes], bytes] | None = None
    archive: bool = False

    def files(self, folder: Path) -> list[Path]:
        found = {path for part in self.parts for path in folder.glob(part) if path.is_file()}
        return sorted(found)

    def damaged(self, data: bytes, rng: random.Random) -> bytes:
        if self.archive and rng.random() < 0.5:
            return damage.inside_zip(data, rng)
        return damage.damaged(data, rng, self.repair)
