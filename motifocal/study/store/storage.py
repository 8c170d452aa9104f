"""Say in one line what keeps a database from being read or written, and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from motifocal.files import disk

_SQLITE_FULL = "database or disk is full"
_SQLITE_BUSY = ("database is locked", "database table is locked")
_SQLITE_DISK = ("disk I/O error", "attempt to write a readonly database",
                "unable to open database file")
#: SQLSTATE disk_full; serialization_failure, deadlock_detected, lock_not_available.
_POSTGRESQL_FULL, _POSTGRESQL_BUSY = "53100", ("40001", "40P01", "55P03")


class StorageError(OSError):
    """The database cannot be read or written now; `busy` is whether only others are in the way."""

    def __init__(self, words: str, *, busy: bool = False) -> None:
        super().__init__(words)
        self.busy = busy


def url_for_display(url: URL) -> str:
    """Return the URL as a person would write it, without a password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.render_as_string(hide_password=True)


@contextmanager
def storage_errors(url: URL) -> Iterator[None]:
    """Raise a StorageError for whatever keeps the database from working inside the block."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StorageError(f"{url_for_display(url)}: too many requests wait for it",
                           busy=True) from error
    except DatabaseError as error:
        # Exactly DatabaseError is a damaged file. Other kinds are broken rules of the tables, of
        # which the caller knows, or mistakes of the program.
        if not (isinstance(error, OperationalError) or type(error) is DatabaseError):
            raise
        raise storage_error_of(error.orig or error, url) from error
    except sqlite3.DatabaseError as error:  # not wrapped by SQLAlchemy where a transaction begins
        raise storage_error_of(error, url) from error


def storage_error_of(error: BaseException, url: URL) -> StorageError:
    """Return a StorageError that describes an error of the database's driver."""
    where, cause = url_for_display(url), " ".join(str(error).split())
    state = getattr(error, "sqlstate", None)
    if cause in _SQLITE_BUSY or state in _POSTGRESQL_BUSY:
        return StorageError(f"{where}: another program holds it ({cause})", busy=True)
    if url.get_backend_name() == "sqlite":
        path = Path(where)
        if cause == _SQLITE_FULL:
            return StorageError(disk.full(path))
        if cause in _SQLITE_DISK:
            return StorageError(f"{where} cannot be used: {cause} ({disk.room_at(path)}); is its "
                                "folder there, may it be written, is there a quota?")
    if state == _POSTGRESQL_FULL:
        return StorageError(f"{where} cannot be written, the disk of its server is full: make room "
                            f"there ({cause})")
    return StorageError(f"{where} cannot be used: {cause}")
