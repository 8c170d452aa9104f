"""Match the names of video files to pairs; ids may hold `_`, so names are never split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from motifocal.bench.pairs import Pair
from motifocal.files.names import composed


def match(
    names: Iterable[str], pairs: Sequence[Pair]
) -> tuple[dict[str, tuple[Pair, int]], list[str]]:
    """Match file names to pairs and seeds; return these, and the names that match none.

    A name is `<image id>_<slug>_<seed>` with any suffix; the letters' case does not count, nor
    whether accents are letters of their own. A video with the
    benchmark's own name for it is of seed 0.
    """
    by_theirs = {pair.theirs.casefold(): pair for pair in pairs if pair.theirs}
    by_stem = {composed(pair.stem).casefold(): pair for pair in pairs}
    matched, unmatched = {}, []
    for name in names:
        stem, _, seed = Path(name).stem.rpartition("_")
        pair = by_stem.get(composed(stem).casefold())
        if pair is not None and seed.isascii() and seed.isdigit():
            matched[name] = (pair, int(seed))
        elif by_theirs and (theirs := _theirs(name, by_theirs)):
            matched[name] = (theirs, 0)
        else:
            unmatched.append(name)
    return matched, unmatched


def _theirs(name: str, pairs: Mapping[str, Pair]) -> Pair | None:
    """Return the pair whose own name ends the path `name`: `<name>` or `<folder>/<name>`."""
    path = Path(name.casefold()).with_suffix("")
    return pairs.get("/".join(path.parts[-2:])) or pairs.get(path.name)
