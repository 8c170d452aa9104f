"""Find clips that look the same by fingerprints of tiny frames.

N clips, K moments of a clip, B bits. Frames are `(F, H, W, 3)` uint8 RGB.

A fingerprint has K moments spread over the clip: of each the signs of 63 low frequencies (a
perceptual hash; Zauner 2010) and a picture of 12 x 12. The hash finds pairs that may be the same,
the pictures decide. Both survive another codec, rate or size; a crop, a mirror or another start
are not seen through.

Measured on 254 generated clips: re-encoded (CRF 38), scaled (96 to 512 pixels, also to another
shape) and with frames repeated, 32 clips differ in at most 14 of 378 bits and 10 grey levels from
what they were. Of the 32 131 pairs of different clips, five models' attempts at the same pictures
among them, 46 are as near in bits, and 4 of those in pictures too: stills of one photograph.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from motifocal.media.arrays import Frames

#: Moments of a clip, and the sides of the hash's block of frequencies and of the picture.
MOMENTS, BLOCK, SIDE = 6, 8, 12
#: Bits and grey levels by which clips that look the same may differ.
MOST_BITS, MOST_LEVELS = 16, 10
#: Standard deviation, grey levels: frames below it have no structure that a hash could hold.
LEAST_STRUCTURE = 2.0
# Pairs compared in one piece, by their bits and by their pictures, which bounds the memory.
_AT_ONCE, _PICTURES_AT_ONCE = 1 << 20, 1 << 14

Bits = NDArray[np.bool_]
Indices = NDArray[np.intp]
Alike = Callable[[Indices, Indices], NDArray[np.bool_]]  # rows i and j, pair by pair


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """`bits` (B,) bool, `pictures` (K, SIDE, SIDE) uint8 grey."""

    bits: Bits
    pictures: NDArray[np.uint8]

    def to_text(self) -> str:
        """Encode as one word; ``from_text`` undoes it."""
        whole = np.packbits(self.bits).tobytes() + self.pictures.tobytes()
        return base64.b64encode(whole).decode()

    @staticmethod
    def from_text(text: str) -> Fingerprint:
        """Decode; raises ValueError where `to_text` did not write this."""
        values = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
        count = MOMENTS * (BLOCK * BLOCK - 1)
        packed = -(-count // 8)
        if len(values) != packed + MOMENTS * SIDE * SIDE:
            raise ValueError(f"a fingerprint of {len(values)} bytes is none")
        bits = np.unpackbits(values[:packed], count=count).astype(np.bool_)
        return Fingerprint(bits, values[packed:].reshape(MOMENTS, SIDE, SIDE))


def fingerprint(frames: Frames) -> Fingerprint | None:
    """Fingerprint tiny frames (F, H, W, 3); None where no moment of the clip has any structure."""
    places = np.rint((np.arange(MOMENTS) + 0.5) / MOMENTS * (len(frames) - 1)).astype(int)
    grey = [cv2.cvtColor(frames[place], cv2.COLOR_RGB2GRAY) for place in places]
    if max(float(picture.std()) for picture in grey) < LEAST_STRUCTURE:
        return None
    small = [cv2.resize(g, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for g in grey]
    return Fingerprint(
        np.concatenate([_hash(picture) for picture in grey]), np.stack(small).astype(np.uint8)
    )


def _hash(grey: NDArray[np.uint8]) -> Bits:
    """Tell which of the lowest frequencies but the mean are above their median: (63,)."""
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    if small.std() < LEAST_STRUCTURE:
        return np.zeros(BLOCK * BLOCK - 1, np.bool_)
    low = cv2.dct(small)[:BLOCK, :BLOCK].ravel()[1:]
    above: Bits = low > np.median(low)
    return above


def first_near(bits: Bits, most: int, alike: Alike) -> Indices:
    """Find for each row of (N, B) the first that differs in at most `most` bits and is alike.

    That is the row itself where none before it is. None is missed: cut into `most` + 1 bands, two
    such rows agree in one band at least, so only rows that share a band are compared.
    """
    first = np.arange(len(bits))
    for band in np.array_split(bits, most + 1, axis=1) if len(bits) else ():
        _, group = np.unique(np.packbits(band, axis=1), axis=0, return_inverse=True)
        order = np.argsort(group.reshape(-1), kind="stable")
        edges = np.flatnonzero(np.diff(group.reshape(-1)[order])) + 1
        for bucket in np.split(order, edges):
            if len(bucket) > 1:
                _settle(first, bucket, bits[bucket], most, alike)
    return first


def _settle(first: Indices, bucket: Indices, bits: Bits, most: int, alike: Alike) -> None:
    """Lower `first` by what the rows of one bucket say, a few at a time.

    Rows that have an earlier one already are left out: a thousand takes of one scene make half a
    million pairs, nearly all of which need no look.
    """
    signs = np.where(bits, np.float32(1), np.float32(-1))
    rows = max(1, _AT_ONCE // len(bucket))
    for start in range(0, len(bucket) - 1, rows):
        here = bucket[start : start + rows]
        open_ = start + np.flatnonzero(first[bucket[start:]] > here[0])
        apart = (bits.shape[1] - signs[start : start + rows] @ signs[open_].T) / 2
        rows_of_pair, columns_of_pair = np.nonzero(apart <= most)
        early, late = here[rows_of_pair], bucket[open_[columns_of_pair]]
        sooner = early < first[late]
        early, late = early[sooner], late[sooner]
        for piece in range(0, len(early), _PICTURES_AT_ONCE):
            i, j = (ends[piece : piece + _PICTURES_AT_ONCE] for ends in (early, late))
            same = alike(i, j)
            np.minimum.at(first, j[same], i[same])


def find_duplicates(prints: Sequence[Fingerprint | None]) -> dict[int, int]:
    """Map each clip to the first clip before it that looks the same, where there is one."""
    first: dict[str, int] = {}
    duplicates: dict[int, int] = {}
    known: list[tuple[int, Fingerprint]] = []
    for place, clip_print in enumerate(prints):
        if clip_print is None:
            continue
        before = first.setdefault(clip_print.to_text(), place)
        if before == place:
            known.append((place, clip_print))
        else:
            duplicates[place] = before
    if known:
        pictures = np.stack([clip_print.pictures.reshape(-1) for _, clip_print in known])

        def alike(i: Indices, j: Indices) -> NDArray[np.bool_]:
            same: NDArray[np.bool_] = (
                cv2.absdiff(pictures[i], pictures[j]).max(axis=1) <= MOST_LEVELS
            )
            return same

        bits = np.stack([clip_print.bits for _, clip_print in known])
        for late, early in enumerate(first_near(bits, MOST_BITS, alike).tolist()):
            if early < late:
                duplicates[known[late][0]] = known[early][0]
    return duplicates
