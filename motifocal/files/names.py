"""Make file names from prompts, shorten them, and find them as the disk stores them."""

from __future__ import annotations

import hashlib
import os
import string
import unicodedata
from functools import lru_cache
from pathlib import Path, PurePosixPath

from motifocal.files.remote import RemotePath

_DIGITS = 12  # hexadecimal, of a sha256


def slug(prompt: str) -> str:
    """Return the text in lower case, with `_` for spaces and without punctuation."""
    plain = prompt.lower().translate(str.maketrans("", "", string.punctuation))
    return plain.replace(" ", "_")


def shortened(text: str, most: int) -> str:
    """Cut text to at most `most` bytes of UTF-8; a hash of the whole replaces what is cut off.

    So names that only differ there stay different. File systems allow names of 255 bytes.
    """
    whole = text.encode("utf-8", "surrogateescape")
    if len(whole) <= most:
        return text
    mark = f"-{hashlib.sha256(whole).hexdigest()[:_DIGITS]}"
    return whole[: most - len(mark)].decode("utf-8", "ignore") + mark


def is_utf8(text: str) -> bool:
    """Tell whether text can be written as UTF-8.

    A lone surrogate cannot: JSON may hold one where text was cut inside an emoji,
    and names of files that are not UTF-8 are read as such.
    """
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def printable(text: str) -> str:
    """Return text for messages: what cannot be written as UTF-8 is escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def stored_name(folder: str | Path, name: str) -> str:
    """Return the name below `folder`, with slashes, of the file that `name` means.

    Unicode writes "é" as one letter or as a letter and an accent. macOS and its archives store the
    second, tables mostly hold the first. A name that is not there is therefore looked for in its
    other spellings; it comes back as it is where none or several of them exist, and in a bucket.
    """
    if isinstance(folder, RemotePath):
        return name
    if os.path.lexists(os.path.join(folder, name)):
        return name
    parts: list[str] = []
    for part in PurePosixPath(name).parts:
        here = os.path.join(folder, *parts)
        if not os.path.lexists(os.path.join(here, part)):
            spellings = _names_in(here).get(composed(part), ())
            if len(spellings) != 1:
                return name
            part = spellings[0]
        parts.append(part)
    return "/".join(parts)


def composed(name: str) -> str:
    """Return the spelling of a name in which letters and their accents are one (Unicode's NFC)."""
    return unicodedata.normalize("NFC", name)


def _names_in(folder: str) -> dict[str, tuple[str, ...]]:
    """List the names in a folder by their composed form; none where it cannot be read."""
    try:
        return _listed(folder, os.stat(folder).st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _listed(folder: str, changed: int) -> dict[str, tuple[str, ...]]:
    """List names, cached as long as the folder does not change: a table may name thousands."""
    spellings: dict[str, tuple[str, ...]] = {}
    for name in os.listdir(folder):
        spellings[composed(name)] = (*spellings.get(composed(name), ()), name)
    return spellings
