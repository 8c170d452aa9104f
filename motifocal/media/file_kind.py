"""Tell images from videos by a file's first bytes, whatever its name is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from motifocal.media.picture import PICTURE_SUFFIXES, check_file

_GIF = b"GIF8"
_PICTURES = (b"\x89PNG", _GIF, b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*")
# Matroska, Ogg, FLV, ASF, MPEG-PS.
_VIDEOS = (b"\x1a\x45\xdf\xa3", b"OggS", b"FLV", b"\x30\x26\xb2\x75", b"\0\0\1\xba")


def is_picture(path: Path) -> bool:
    """Tell whether a file is read as a picture: by its first bytes, or else its suffix.

    Raises VideoError where there is no file, or nothing in it.
    """
    head = _head(path)
    kind = head[8:12]  # of RIFF, and the brand of an ISO media file
    if head[:4] == b"RIFF":
        return kind == b"WEBP"
    if head[4:8] == b"ftyp":
        return kind in (b"avif", b"avis")
    if head.startswith(_VIDEOS):
        return False
    return head.startswith(_PICTURES) or path.suffix.lower() in PICTURE_SUFFIXES


def picture_grain(path: Path) -> Fraction:
    """Return how exactly an animated picture stores times, in s: GIF counts hundredths."""
    return Fraction(1, 100 if _head(path).startswith(_GIF) else 1000)


def _head(path: Path) -> bytes:
    check_file(path)
    with path.open("rb") as file:
        return file.read(16)
