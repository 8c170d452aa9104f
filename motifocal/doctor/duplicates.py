"""Tiny frames of clips become fingerprints, and fingerprints the pairs of clips that look the same.

N clips, K moments of a clip, B bits. Frames are `(F, H, W, 3)` uint8 RGB.

A fingerprint has K moments spread over the clip: of each the signs of 63 low frequencies (a
perceptual hash; Zauner 2010) and a picture of 12 x 12. The hash finds pairs that may be the same,
the pictures decide. Both survive another codec, rate or size; a crop, a mirror or another start
are not seen through.

Measured on 254 real clips: re-encoded (CRF 38), scaled (96 to 512 pixels, also to another shape)
and with frames repeated, 32 clips differ in at most 14 of 378 bits and 10 grey levels from what
they were. Of the 32 131 pairs of different clips, five models' attempts at the same pictures among
them, 46 are as near in bits, and 4 of those in pictures too: stills of one photograph.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.picture import Pixels

#: Moments of a clip, and the sides of the hash's block of frequencies and of the picture.
MOMENTS, BLOCK, SIDE = 6, 8, 12
#: Bits and grey levels by which clips that look the same may differ.
MOST_BITS, MOST_LEVELS = 16, 10
#: Standard deviation, grey levels: frames below it have no structure that a hash could hold.
LEAST_STRUCTURE = 2.0
_AT_ONCE = 1 << 18  # pairs compared in one piece, which bounds the memory

Bits = NDArray[np.bool_]
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """`bits` (B,) bool, `pictures` (K, SIDE, SIDE) uint8 grey."""

    bits: Bits
    pictures: NDArray[np.uint8]

    def to_text(self) -> str:
        """One word for a table; ``from_text`` undoes it."""
        whole = np.packbits(self.bits).tobytes() + self.pictures.tobytes()
        return base64.b64encode(whole).decode()

    @staticmethod
    def from_text(text: str) -> Fingerprint:
        """Raises ValueError where `to_text` did not write this."""
        values = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        count = MOMENTS * (BLOCK * BLOCK - 1)
        packed = -(-count // 8)
        if len(values) != packed + MOMENTS * SIDE * SIDE:
            raise ValueError(f"a fingerprint of {len(values)} bytes is none")
        bits = np.unpackbits(values[:packed], count=count).astype(np.bool_)
        return Fingerprint(bits, values[packed:].reshape(MOMENTS, SIDE, SIDE))


def fingerprint(frames: Pixels) -> Fingerprint | None:
    """Of tiny frames (F, H, W, 3); None where no moment of the clip has any structure."""
    places = np.rint((np.arange(MOMENTS) + 0.5) / MOMENTS * (len(frames) - 1)).astype(int)
    grey = [cv2.cvtColor(frames[place], cv2.COLOR_RGB2GRAY) for place in places]
    if max(float(picture.std()) for picture in grey) < LEAST_STRUCTURE:
        return None
    small = [cv2.resize(g, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for g in grey]
    return Fingerprint(
        np.concatenate([_hash(picture) for picture in grey]), np.stack(small).astype(np.uint8)
    )


def _hash(grey: NDArray[np.uint8]) -> Bits:
    """Which of the lowest frequencies but the mean are above their median: (63,)."""
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    if small.std() < LEAST_STRUCTURE:
        return np.zeros(BLOCK * BLOCK - 1, np.bool_)
    low = cv2.dct(small)[:BLOCK, :BLOCK].ravel()[1:]
    above: Bits = low > np.median(low)
    return above


def near_pairs(bits: Bits, most: int = MOST_BITS) -> list[tuple[int, int]]:
    """All pairs (i, j), i < j, of rows of (N, B) that differ in at most `most` bits, in order.

    None is missed: cut into `most` + 1 bands, two such rows agree in one band at least, so only
    rows that share a band are compared.
    """
    if not len(bits):
        return []
    unique, place = np.unique(bits, axis=0, return_inverse=True)
    place = place.reshape(-1)
    found = {tuple(pair) for pairs in _candidates(unique, most) for pair in pairs.tolist()}
    members: list[list[int]] = [[] for _ in unique]
    for row, group in enumerate(place.tolist()):
        members[group].append(row)
    near = {tuple(sorted((i, j))) for a, b in found for i in members[a] for j in members[b]}
    same = {(i, j) for group in members for n, i in enumerate(group) for j in group[n + 1 :]}
    return sorted((int(i), int(j)) for i, j in near | same)


def _candidates(bits: Bits, most: int) -> Iterator[Indices]:
    """Pairs (P, 2) of different rows within `most` bits of each other; some come more than once."""
    packed = np.packbits(bits, axis=1)
    for band in np.array_split(bits, most + 1, axis=1):
        keys = np.packbits(band, axis=1)
        _, group = np.unique(keys, axis=0, return_inverse=True)
        order = np.argsort(group.reshape(-1), kind="stable")
        edges = np.flatnonzero(np.diff(group.reshape(-1)[order])) + 1
        for bucket in np.split(order, edges):
            if len(bucket) > 1:
                yield from _near_in(packed, bucket, most)


def _near_in(packed: NDArray[np.uint8], bucket: Indices, most: int) -> Iterator[Indices]:
    """The near pairs of one bucket, compared a few rows at a time."""
    rows = max(1, _AT_ONCE // max(1, len(bucket)))
    for start in range(0, len(bucket) - 1, rows):
        here = bucket[start : start + rows]
        apart = np.unpackbits(packed[here][:, None] ^ packed[bucket][None], axis=2)
        first, second = np.nonzero(apart.sum(axis=2, dtype=np.int32) <= most)
        kept = second > first + start
        yield np.stack([here[first[kept]], bucket[second[kept]]], axis=1)


def find_duplicates(prints: Sequence[Fingerprint | None]) -> dict[int, int]:
    """Clip -> the first clip before it that looks the same, where there is one."""
    first: dict[str, int] = {}  # many copies of one clip would make every pair of them
    found: dict[int, int] = {}
    known: list[tuple[int, Fingerprint]] = []
    for place, one in enumerate(prints):
        if one is None:
            continue
        before = first.setdefault(one.to_text(), place)
        if before == place:
            known.append((place, one))
        else:
            found[place] = before
    if known:
        for i, j in near_pairs(np.stack([one.bits for _, one in known])):
            (early, a), (late, b) = known[i], known[j]
            if int(np.max(cv2.absdiff(a.pictures, b.pictures))) <= MOST_LEVELS:
                found.setdefault(late, early)
    return found
