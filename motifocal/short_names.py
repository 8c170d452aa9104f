"""A text that is too long for a file's name becomes a shorter one that no other text has."""

from __future__ import annotations

import hashlib

_DIGITS = 12  # hexadecimal, of a sha256


def shortened(text: str, most: int) -> str:
    """The text, of at most `most` bytes as UTF-8: a hash of it all stands for what is cut off.

    So names that only differ there stay different. File systems allow names of 255 bytes.
    """
    whole = text.encode("utf-8", "surrogateescape")
    if len(whole) <= most:
        return text
    mark = f"-{hashlib.sha256(whole).hexdigest()[:_DIGITS]}"
    return whole[: most - len(mark)].decode("utf-8", "ignore") + mark
