"""Record which shards are written, so that a later run does not have to read them.

`written.jsonl` gets a line for each shard: its number, the state of its file, and a hash of what
its clips were made from. A shard whose file has that state is what was written; any other is read
to its end and checked, clip by clip.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from motifocal.data.shard_file import DamagedShard
from motifocal.data.shards import open_shard, shard_path
from motifocal.data.stretches import Draw
from motifocal.data.workers.items import WHOLE, Part, files_of_parts
from motifocal.files.folder_state import file_stamp
from motifocal.files.json_lines import append_line, read_lines
from motifocal.files.remote import fetched

WRITTEN = "written.jsonl"


class WrittenShards:
    """The shards of a folder; a part adds to a file of its own, and reads those of all parts."""

    def __init__(self, folder: Path, draw: Draw | None, part: Part = WHOLE) -> None:
        self.folder, self.draw, self.path = folder, draw, folder / part.file(WRITTEN)
        # All that was kept of each: the whole's line may be older than a part's, or newer.
        self._known: dict[int, list[tuple[list[int], str]]] = {}
        for path in (folder / WRITTEN, *folder.glob(files_of_parts(WRITTEN))):
            for line in read_lines(path) if path.exists() else ():
                if {"state", "sources"} <= line.keys() and isinstance(line.get("shard"), int):
                    known = self._known.setdefault(line["shard"], [])
                    known.append((line["state"], line["sources"]))

    def holds(
        self, number: int, state: os.stat_result, digests: Sequence[str],
        notify: Callable[[str], None],
    ) -> bool:  # fmt: skip
        """Tell whether the shard, of this state, is whole, and made from what the clips are now."""
        if ([*file_stamp(state)], _hash(digests)) in self._known.get(number, ()):
            return True
        if not is_done(shard_path(self.folder, number), digests, self.draw, notify):
            return False
        self.add(number, digests)
        return True

    def add(self, number: int, digests: Sequence[str]) -> None:
        """Keep a shard that was written, or read to its end, just now."""
        state = [*file_stamp(shard_path(self.folder, number).stat())]
        sources = _hash(digests)
        self._known.setdefault(number, []).append((state, sources))
        append_line(self.path, {"shard": number, "state": state, "sources": sources})


def _hash(digests: Sequence[str]) -> str:
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def is_done(
    path: Path, digests: Sequence[str], draw: Draw | None, notify: Callable[[str], None]
) -> bool:
    """Read a shard to its end: whether it is whole, and made from what the clips are now."""
    with fetched(path) as local:
        try:
            shard = open_shard(local, len(digests), draw)
            shard.verify()
        except DamagedShard as error:
            notify(f"{error.reason.replace(str(local), str(path))}: made anew")
            return False
    if shard.sources is None:
        notify(f"{path} is of an earlier version and does not say what its clips were made from: "
               f"whether they have changed cannot be told")
        return True
    changed = sum(a.hex() != b for a, b in zip(shard.sources, digests, strict=True))
    if changed:
        notify(f"{path}: {changed} of its {len(digests)} clips have changed: made anew")
    return not changed
