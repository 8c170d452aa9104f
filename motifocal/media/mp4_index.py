"""Check that an MP4's header and its index of frames agree on the duration of a track.

FFmpeg believes the index alone. One damaged duration in it makes a clip of many frames play as a
single one, or at another speed, without an error.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from motifocal.media.picture import VideoError

_LARGEST_TABLE = 64 * 2**20  # bytes; 8 million durations


class _Box(NamedTuple):
    """Where the contents of a box lie in the file."""

    start: int
    end: int


def check_index(path: Path, track: int) -> None:
    """Raise VideoError where the lengths of the track with this id differ by more than 5 %.

    The header's has to be the sum of the index's durations, or the time that its frames are shown.
    Two frames more or less are no fault: programs differ in how long the last one is shown. A file
    that lacks one of the lengths, or whose frames are indexed piecewise (fragmented), passes.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        for movie in _boxes(file, _Box(0, size), b"moov"):
            if any(_boxes(file, movie, b"mvex")):
                return
            for trak in _boxes(file, movie, b"trak"):
                if _track_id(file, trak) == track:
                    _check_track(path, file, trak)


def _check_track(path: Path, file: BinaryIO, trak: _Box) -> None:
    declared = _declared(file, trak)
    clock, ticks = declared or (0, 0)
    durations = _runs(file, trak, b"stts", ">II")
    frames = sum(count for count, _ in durations)
    summed = sum(count * length for count, length in durations)
    if not clock or not ticks or not frames:
        return
    slack = max(2 * ticks / frames, ticks / 20)
    if abs(summed - ticks) <= slack:
        return
    # Durations are in decoding order. Where frames are shown in another one and a long one is near
    # the end, their sum is not the time from the first shown to the last, which FFmpeg declares.
    if abs(_shown(durations, _runs(file, trak, b"ctts", ">Ii")) - ticks) > slack:
        raise VideoError(f"{path}: its index is damaged, {frames} frames take {summed / clock:g} s "
                         f"there and {ticks / clock:g} s by the header")  # fmt: skip


def _declared(file: BinaryIO, trak: _Box) -> tuple[int, int] | None:
    """Read ticks a second, and the ticks that the track lasts by its header; None if unknown."""
    header = _content(file, trak, b"mdia", b"mdhd")
    # Version 1 has times of 64 bits. All bits set mean that the length is unknown.
    layout, at, unknown = (">IQ", 20, 2**64 - 1) if header[:1] == b"\1" else (">II", 12, 2**32 - 1)
    if len(header) < at + struct.calcsize(layout):
        return None
    clock, ticks = struct.unpack_from(layout, header, at)
    return None if ticks == unknown else (clock, ticks)


def _runs(file: BinaryIO, trak: _Box, name: bytes, layout: str) -> list[tuple[int, int]]:
    """Read a table of the index as runs of frames: how many, and the value that they have."""
    table = _content(file, trak, b"mdia", b"minf", b"stbl", name)
    count = min(int.from_bytes(table[4:8], "big"), max(0, len(table) - 8) // 8)
    return list(struct.iter_unpack(layout, table[8 : 8 + 8 * count]))


def _shown(durations: list[tuple[int, int]], delays: list[tuple[int, int]]) -> int:
    """Return the ticks from when the first frame is shown to the end of the one shown last.

    `delays` are from decoding a frame to showing it; 0 where there is none for it.
    """
    first = last = end = None
    decoded, waiting, (left, delay) = 0, iter(delays), (0, 0)
    for count, length in durations:
        while count:
            while not left:
                left, delay = next(waiting, (count, 0))
            # Counts may be damaged, so frames of one duration and one delay are not gone through.
            taken = min(count, left)
            shown = decoded + delay, decoded + (taken - 1) * length + delay
            first = shown[0] if first is None else min(first, shown[0])
            if last is None or shown[1] >= last:
                last, end = shown[1], shown[1] + length
            decoded, count, left = decoded + taken * length, count - taken, left - taken
    return 0 if first is None or end is None else end - first


def _track_id(file: BinaryIO, trak: _Box) -> int | None:
    header = _content(file, trak, b"tkhd")
    at = 20 if header[:1] == b"\1" else 12
    return int.from_bytes(header[at : at + 4], "big") if len(header) >= at + 4 else None


def _content(file: BinaryIO, box: _Box, *names: bytes) -> bytes:
    """Read the box at the end of a path of names; nothing where there is none."""
    for name in names:
        inner = next(_boxes(file, box, name), None)
        if inner is None:
            return b""
        box = inner
    if box.end - box.start > _LARGEST_TABLE:
        return b""
    file.seek(box.start)
    return file.read(box.end - box.start)


def _boxes(file: BinaryIO, within: _Box, name: bytes) -> Iterator[_Box]:
    """Find the boxes of one name inside another, or in the file."""
    start, end = within
    while end - start >= 8:
        file.seek(start)
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1 and end - start >= 16:
            (length,), head = struct.unpack(">Q", file.read(8)), 16
        elif length == 0:
            length = end - start
        if length < head or start + length > end:
            return
        if kind == name:
            yield _Box(start + head, start + length)
        start += length
