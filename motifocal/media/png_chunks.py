"""Strip a PNG of chunks that do not affect its pixels, whose damage would stop some readers."""

from __future__ import annotations

import io
from pathlib import Path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Colour profiles, which are not applied here, texts, sizes, times, palettes for lesser screens.
_UNUSED = frozenset(
    {b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI", b"tEXt", b"zTXt", b"iTXt"}
    | {b"pHYs", b"tIME", b"bKGD", b"hIST", b"sPLT", b"sBIT"}
)


def is_png(path: Path) -> bool:
    """Tell whether the file begins as a PNG does."""
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


def without_unused_chunks(path: Path) -> io.BytesIO:
    """Return a PNG file without these chunks; what is cut short in it stays so."""
    content = path.read_bytes()
    kept, start = [content[: len(_SIGNATURE)]], len(_SIGNATURE)
    while start < len(content):
        end = start + 12 + int.from_bytes(content[start : start + 4], "big")
        if content[start + 4 : start + 8] not in _UNUSED:
            kept.append(content[start:end])
        start = end
    return io.BytesIO(b"".join(kept))
