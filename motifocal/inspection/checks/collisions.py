"""Find clips whose files a trainer would store under one name.

musubi-tuner names a clip's caches by its file name without folder and ending, so that one clip
overwrites the other's. The LTX-2 trainer names latents by the path without ending. finetrainers
looks for the one video beside each text file, and stops where there are two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from motifocal.data.caption_formats import BESIDE
from motifocal.data.trainer_rules import TRAINERS
from motifocal.inspection.entries import Entry, Folder


def _stem(name: str) -> str:
    return PurePosixPath(name).stem


def _without_ending(name: str) -> str:
    return PurePosixPath(name).with_suffix("").as_posix()


#: Trainer -> a clip's path below the folder -> the name that it goes by there.
NAMED_BY: dict[str, Callable[[str], str]] = {
    "musubi": _stem,
    "ltx": _without_ending,
    "finetrainers": _without_ending,
}


def mark_collisions(folder: Folder, trainer: str) -> None:
    """Add a fault to every entry that shares its name in the trainer's files with another one."""
    if trainer not in NAMED_BY or (trainer == "finetrainers" and folder.format != BESIDE):
        return
    by_name: dict[str, list[Entry]] = defaultdict(list)
    for entry in folder.entries:
        if entry.path is not None and all(code != "not-listed" for code, _ in entry.faults):
            by_name[NAMED_BY[trainer](entry.name)].append(entry)
    for name, entries in by_name.items():
        for entry in entries if len(entries) > 1 else ():
            words = f"{TRAINERS[trainer].title} knows it as {name!r}, and {_others(entry, entries)}"
            entry.faults.append(("same-name", words))


def _others(entry: Entry, entries: Sequence[Entry]) -> str:
    first, *more = (other.name for other in entries if other is not entry)
    return f"{first} and {len(more)} more too" if more else f"{first} too"
