"""Open a database by path or URL, with atomic, ordered and durable transactions.

SQLite has one writer: writes take turns, first among the threads of this process (see
`group_commit`), then among processes. They are on disk when they return, unless they are `quick`:
losing those in a power cut does no harm, as that of a lease, and what is on disk later implies what
came before.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Insert, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from motifocal.extras import require
from motifocal.files import disk
from motifocal.study.store.group_commit import GroupCommit

T = TypeVar("T")

BUSY_SECONDS = 60  # that a write waits for other processes' writes
POOL = 32  # connections: as many as a server has threads
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


class Database:
    """Transactions on one database. `read` sees one state, a write happens whole or not at all.

    All raise StorageError where the database cannot be read or written now.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._engine = _sqlite(url) if self.is_sqlite else _postgresql(url)
        self._writing = {kind == "quick": self._engine.execution_options(transaction_kind=kind)
                         for kind in ("write", "quick")}
        self._commits = GroupCommit(partial(_begin, self._writing))
        # Unclosed connections would raise ResourceWarnings.
        weakref.finalize(self, self._engine.dispose)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a transaction that only reads."""
        with storage_errors(self.url), self._engine.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T], *, quick: bool = False) -> T:
        """Run `work` in a transaction and return its result: on disk by then, or with `quick` soon
        after."""
        with storage_errors(self.url):
            if self.is_sqlite:
                return self._commits.run(work, quick=quick)
            with _begin(self._writing, quick) as connection:
                if quick:
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                return work(connection)

    @contextmanager
    def create_transaction(self) -> Iterator[Connection]:
        """Open the one transaction in which everything is created."""
        with storage_errors(self.url), self._writing[False].begin() as connection:
            yield connection

    def has_table(self, table: str) -> bool:
        """Return whether there is such a table."""
        with self.read() as connection:
            return inspect(connection).has_table(table)

    def write_ahead(self) -> None:
        """Have SQLite write ahead to a log (WAL), so that nobody who reads waits for who writes.

        The file keeps that, so it is not done to one that may be somebody else's. PostgreSQL always
        does so.
        """
        if self.is_sqlite:
            with storage_errors(self.url), closing(self._engine.raw_connection()) as connection:
                connection.cursor().execute("PRAGMA journal_mode = WAL")

    def close(self) -> None:
        """Close all connections; SQLite then folds its log into the one file."""
        self._engine.dispose()


def _begin(engines: Mapping[bool, Engine], quick: bool) -> AbstractContextManager[Connection]:
    return engines[quick].begin()


def add(connection: Connection, statement: Insert, **values: Any) -> int:
    """Insert one row and return its id."""
    key = connection.execute(statement, values).inserted_primary_key
    if key is None:
        raise ValueError(f"{statement.table} should give its rows ids")
    return int(key[0])


def parse_url(place: str | Path) -> URL:
    """Return a path or a database URL as a URL. Raise ValueError for a database of another kind."""
    if isinstance(place, Path) or "://" not in place:
        return URL.create("sqlite", database=os.path.abspath(place))
    try:
        url = make_url(place)
    except ArgumentError as error:
        raise ValueError(f"the database should be a path or a URL: {error}") from error
    kind = url.get_backend_name()
    if kind == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite" or not url.database or url.database == ":memory:" or url.query:
        raise ValueError("the database should be a file or postgresql://..., got "
                         f"{url.render_as_string(hide_password=True)}")
    return url.set(drivername="sqlite", database=os.path.abspath(url.database))


@contextmanager
def translate_errors(url: URL) -> Iterator[None]:
    """Raise a ValueError where a server cannot be reached or a file is no database."""
    try:
        with storage_errors(url):
            yield
    except StorageError as error:
        raise ValueError(str(error)) from error


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=POOL, max_overflow=0,
                           connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # else the driver begins transactions of its own
        connection.execute("PRAGMA foreign_keys = ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        kind = connection.get_execution_options().get("transaction_kind")
        # In WAL mode NORMAL leaves the flush to the next FULL transaction, which is of the same
        # log and so carries all before it.
        driver.execute(f"PRAGMA synchronous = {'NORMAL' if kind == 'quick' else 'FULL'}")
        driver.execute("BEGIN IMMEDIATE" if kind else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    require("psycopg", "postgresql", "PostgreSQL needs")
    return create_engine(url, pool_size=POOL, max_overflow=0, pool_pre_ping=True)
