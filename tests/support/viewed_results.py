"""Pairs whose names are hard to lay out for VBench."""

from __future__ import annotations

from motifocal.bench.pairs import Pair

HARD_PAIRS = (
    Pair("duck", "duck_1", "The duck swims, left!"),
    Pair("duck", "duck_1", "the duck dives"),
    Pair("cat", "cat-3", "a cat jumps on box 7"),
    Pair("car", "v1.2", "the red car stops"),
)
