"""The faults that a clip can have, their levels, and the sentences that explain them.

An error means that the clip cannot be trained on as it is; a warning that it will hurt; a note
is for information. No code is ever given another meaning: scripts read them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from motifocal.files.toml_text import parse_toml

ERROR, WARNING, NOTE, GOOD = "error", "warning", "note", "good"
LEVELS = (ERROR, WARNING, NOTE, GOOD)  # the worst first


@dataclass(frozen=True)
class Fault:
    """A kind of fault: how bad, its name, and one sentence of why it matters."""

    level: str
    title: str
    help: str


#: Code -> the fault, as the file has it.
FAULTS = {code: Fault(**entries) for code, entries in parse_toml(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items()}

#: Codes of today -> those of the version before, which reports have beside them for one release.
OLD_CODES = {
    "decoder-failed": "no-answer", "static": "still", "too-little-motion": "cold",
    "rotated": "turned", "non-square-pixels": "stretched", "partly-checked": "not-watched",
}  # fmt: skip


def worst(codes: Iterable[str]) -> str:
    """Return the level of the worst of these faults; "good" where there is none."""
    return min((FAULTS[code].level for code in codes), key=LEVELS.index, default=GOOD)
