"""Derive the keys of a study from a secret in a file or the environment; there is no default.

The secret can sign cookies and open the dashboard, so only the owner may read its file.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

from motifocal.files.atomic import write_new_text

ENVIRONMENT = "MOTIFOCAL_STUDY_SECRET"
LEAST_LETTERS = 32
MOST_LETTERS = 1000
DIGITS = 32


@dataclass(frozen=True)
class Keys:
    """`session` signs cookies, `dashboard` is the token in the dashboard's link."""

    session: bytes
    dashboard: str

    @classmethod
    def of(cls, secret: str) -> Keys:
        """Derive two keys that tell nothing of each other, nor of the secret.

        Raises ValueError for a secret of fewer than 32 characters, which could be guessed.
        """
        if not LEAST_LETTERS <= len(secret) <= MOST_LETTERS:
            raise ValueError(f"the study's secret should have {LEAST_LETTERS} to {MOST_LETTERS} "
                             f"characters, got {len(secret)}")

        def derived(use: bytes) -> bytes:
            return hmac.new(secret.encode(), use, hashlib.sha256).digest()

        return cls(derived(b"session"), derived(b"dashboard").hex()[:DIGITS])


def read_keys(file: str | os.PathLike[str] | None) -> Keys:
    """Read the keys of the secret in `file`, or without one in MOTIFOCAL_STUDY_SECRET.

    Raises ValueError for a file that others may read, OSError for one that cannot be read.
    """
    if file is None:
        return Keys.of(os.environ.get(ENVIRONMENT, ""))
    path = Path(file)
    with path.open(encoding="utf-8") as opened:
        mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
        if os.name == "posix" and mode & 0o077:
            raise ValueError(f"{path} should be readable by its owner alone (chmod 600), "
                             f"got mode {mode:o}")
        return Keys.of(opened.read(MOST_LETTERS + 1).strip())


def make_secret(file: Path) -> bool:
    """Write a new secret that only its owner may read; return False where the file exists."""
    return write_new_text(file, secrets.token_urlsafe(48) + "\n", mode=0o600)
