"""Bytes of a whole file become those of a damaged one; the same seed gives the same damage."""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable

HEAD = 512  # bytes at the start of a file, where most formats keep their sizes
SIZES = (0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)
TEXTS = (b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5000, b"1e999", b"-1", b"NaN", b"null", b"[]",
         b"{}", b'""', b'"', b"\\ud800", b"\x00", b"\xff\xfe", b"\r\n", b",", b";", b"\t",
         b"../../etc/passwd", b"/" * 300)  # fmt: skip
PNG = b"\x89PNG\r\n\x1a\n"


def damaged(
    data: bytes, rng: random.Random, repair: Callable[[bytes], bytes] | None = None
) -> bytes:
    """The bytes after one to three mutations.

    `repair` makes checksums right again, so that the damage is not noticed by them alone; it is
    applied every other time.
    """
    for _ in range(rng.choice((1, 1, 2, 3))):
        data = rng.choice(MUTATIONS)(data, rng)
    return repair(data) if repair is not None and rng.random() < 0.5 else data


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """One to sixteen bits anywhere."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 4, 16)) if changed else 0):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate(data: bytes, rng: random.Random) -> bytes:
    """The end is missing."""
    return data[: rng.randrange(len(data) + 1)]


def splice(data: bytes, rng: random.Random) -> bytes:
    """A piece is repeated elsewhere, over what is there or in between."""
    start, place = rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)
    piece = data[start : start + rng.choice((1, 8, 64, 4096))]
    return data[:place] + piece + data[place + rng.choice((0, len(piece))) :]


def zero_run(data: bytes, rng: random.Random) -> bytes:
    """A hole, as of a block that was never written."""
    place = rng.randrange(len(data) + 1)
    hole = bytes(min(rng.choice((1, 16, 512, 65_536)), len(data) - place))
    return data[:place] + hole + data[place + len(hole) :]


def wrong_size(data: bytes, rng: random.Random) -> bytes:
    """A number of 1, 2, 4 or 8 bytes, most likely near the start, is an extreme one."""
    form = rng.choice("BHIQ")
    value = rng.choice(SIZES) % 2 ** (8 * struct.calcsize(form))
    number = struct.pack(rng.choice("<>") + form, value)
    place = _place(data, rng)
    return data[:place] + number + data[place + len(number) :]


def insert_text(data: bytes, rng: random.Random) -> bytes:
    """What a parser of text has to bear."""
    place = _place(data, rng)
    return data[:place] + rng.choice(TEXTS) + data[place:]


def _place(data: bytes, rng: random.Random) -> int:
    end = len(data) if rng.random() < 0.4 else min(HEAD, len(data))
    return rng.randrange(max(end, 1))


MUTATIONS = (flip_bits, truncate, splice, zero_run, wrong_size, wrong_size, insert_text)


def png_checksums(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums of what is in them, as far as it can be followed."""
    if not data.startswith(PNG):
        return data
    repaired, place = bytearray(data), len(PNG)
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        end = place + 8 + length
        if end + 4 > len(data):
            break
        repaired[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(repaired)


def inside_zip(data: bytes, rng: random.Random) -> bytes:
    """One member of a ZIP file is damaged, and the archive around it is whole."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    chosen = rng.choice(sorted(members))
    members[chosen] = damaged(members[chosen], rng)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return made.getvalue()
