"""Detect from a video file's structure whether its end is missing.

docs/reading.md lists for users what each container can and cannot tell.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from motifocal.media.pyav_versions import has_index

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_TIME_BASE = 1_000_000  # AV_TIME_BASE in FFmpeg's libavutil/avutil.h: ticks in 1 s
_TAIL = 256 * 1024  # bytes of the end that are looked at; an Ogg page has at most 65 307


def found_and_declared(
    container: InputContainer, stream: VideoStream, rate: Fraction, count: int, end: Fraction
) -> tuple[int, int]:
    """Count the frames there are, and those the header declares (0 where it does not say).

    `count` frames were decoded, the last of which ends at `end` s by the file's clock.
    """
    if stream.frames and "mp4" in container.format.name and has_index(stream):
        # The index, unlike the header's count, leaves out what an edit list cuts off.
        return count, sum(not entry.is_discard for entry in stream.index_entries) or stream.frames
    # Elsewhere time tells: AVI counts frames that it does not store because they repeat the last,
    # and may count them by a faster clock than that of its frames.
    declared = round(_declared_seconds(container, stream) * rate)
    return max(count, round(end * rate)) if declared else count, declared


def _declared_seconds(container: InputContainer, stream: VideoStream) -> Fraction:
    """Return when the header says that the stream ends, s; 0 where it says nothing."""
    if container.format.name == "avi" and stream.frames and stream.time_base:
        return stream.frames * stream.time_base
    if container.format.name == "asf":
        return Fraction(0)  # its duration counts a delay in front as well
    if stream.duration and stream.time_base:
        return stream.duration * stream.time_base
    # Matroska and WebM: "00:00:02.000000000"
    clock = re.fullmatch(r"(\d+):(\d+):(\d+\.\d+)", stream.metadata.get("DURATION", ""), re.ASCII)
    if clock:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + Fraction(clock[3])
    if container.duration and len(container.streams) == 1:
        return Fraction(container.duration, _TIME_BASE)
    return Fraction(0)


def lacks_its_end(path: Path, container_name: str) -> bool:
    """Tell whether a file of this container, by FFmpeg's name, ends before its structure does."""
    cut = _CUT.get(container_name)
    if cut is None:
        return False
    with path.open("rb") as file:
        return cut(file, os.fstat(file.fileno()).st_size)


# Each container: file, its size in bytes -> whether its end is missing.


def _matroska(file: BinaryIO, size: int) -> bool:
    """The segment, after the EBML header, declares its size, unless it was recorded live."""
    end = 0
    for name in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):  # EBML, Segment
        if file.read(4) != name or not (first := file.read(1)) or first == b"\0":
            return False
        length = 9 - first[0].bit_length()  # bytes of the number, told by its leading zeros
        unknown = (1 << 7 * length) - 1
        number = int.from_bytes(first + file.read(length - 1), "big") & unknown
        if number == unknown:
            return False
        end = file.seek(number, os.SEEK_CUR)
    return end > size


def _fragments(file: BinaryIO, size: int) -> bool:
    """The boxes of a fragmented MP4 follow each other to its end; of others the index tells."""
    start, fragmented = 0, False
    while size - start >= 8:
        file.seek(start)
        # An empty box at the end has 8 bytes.
        length, name, longer = struct.unpack(">I4sQ", file.read(16).ljust(16, b"\0"))
        length = longer if length == 1 else length
        if length < 8:  # 0: the box goes on to the end of the file
            return False
        fragmented = fragmented or name == b"moof"
        start += length
    return fragmented and start != size


def _ogg(file: BinaryIO, size: int) -> bool:
    """The last page has to be whole and to close its stream."""
    tail = _tail(file, size)
    page = tail[max(0, tail.rfind(b"OggS")) :]
    if page[:4] != b"OggS" or len(page) < 27 + page[26]:
        return True
    segments = page[27 : 27 + page[26]]
    closes = bool(page[5] & 4)
    return not closes or len(page) < 27 + len(segments) + sum(segments)


def _transport(file: BinaryIO, size: int) -> bool:
    """Packets of 188 bytes, with 4 before each on Blu-ray and 16 behind in DVB."""
    head = file.read(5 * 204)
    for length, sync in ((188, 0), (192, 4), (204, 0)):
        if all(head[at : at + 1] == b"G" for at in range(sync, min(5 * length, size), length)):
            return size % length > 0
    return False


def _program(file: BinaryIO, size: int) -> bool:
    """The packets behind the last pack header each declare their length."""
    tail = _tail(file, size)
    pack = tail[max(0, tail.rfind(b"\0\0\1\xba")) :]
    if pack[:4] != b"\0\0\1\xba" or len(pack) < 14:
        return pack[:4] == b"\0\0\1\xba"
    # MPEG-1 has 12 bytes; MPEG-2, told by two bits, 14 and a number of stuffing bytes.
    at = 14 + (pack[13] & 7) if pack[4] >> 6 == 1 else 12
    while len(pack) - at >= 6 and pack[at : at + 3] == b"\0\0\1" and pack[at + 3] >= 0xBB:
        at += 6 + int.from_bytes(pack[at + 4 : at + 6], "big")
    closed = pack[at : at + 4] == b"\0\0\1\xb9"
    return not closed and (at > len(pack) or 0 < len(pack) - at < 6)


def _asf(file: BinaryIO, size: int) -> bool:
    """The file properties declare the size, unless it was broadcast."""
    head = file.read(65_536)
    at = head.find(bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365"))
    if at < 0 or len(head) < at + 92:
        return False
    declared, flags = struct.unpack_from("<Q40xI", head, at + 40)
    return not flags & 1 and declared > size


def _tail(file: BinaryIO, size: int) -> bytes:
    file.seek(max(0, size - _TAIL))
    return file.read()


_CUT: dict[str, Callable[[BinaryIO, int], bool]] = {
    "matroska,webm": _matroska,
    "mov,mp4,m4a,3gp,3g2,mj2": _fragments,
    "ogg": _ogg,
    "mpegts": _transport,
    "mpeg": _program,
    "asf": _asf,
}
