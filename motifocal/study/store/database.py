"""A path or URL becomes a database whose transactions are whole, ordered and on disk.

SQLite has one writer: writes take turns, first among the threads of this process (`commits`), then
among processes. They are on disk when they return, unless they are `quick`: losing those in a power
cut does no harm, as that of a lease, and what is on disk later implies what came before.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, Insert, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from motifocal.extras import install_extra
from motifocal.study.store.group_commit import Commits
from motifocal.study.store.storage import StorageError, stored

T = TypeVar("T")

BUSY_SECONDS = 60  # that a write waits for other processes' writes
POOL = 32  # connections: as many as a server has threads


class Database:
    """Transactions on one database. `read` sees one state, a write happens whole or not at all.

    All raise StorageError where the database cannot be read or written now.
    """

    def __init__(self, url: URL) -> None:
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._engine = _sqlite(url) if self.is_sqlite else _postgresql(url)
        self._writing = {quick: self._engine.execution_options(deed="quick" if quick else "write")
                         for quick in (False, True)}
        self._commits = Commits(partial(_begun, self._writing))
        # Connections that nobody closes would be complained about.
        weakref.finalize(self, self._engine.dispose)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with stored(self.url), self._engine.begin() as connection:
            yield connection

    def write(self, work: Callable[[Connection], T], *, quick: bool = False) -> T:
        """What `work` returns, done whole: on disk by then, or with `quick` soon after."""
        with stored(self.url):
            if self.is_sqlite:
                return self._commits.run(work, quick=quick)
            with _begun(self._writing, quick) as connection:
                if quick:
                    connection.execute(text("SET LOCAL synchronous_commit TO off"))
                return work(connection)

    @contextmanager
    def making(self) -> Iterator[Connection]:
        """One transaction in which everything is made."""
        with stored(self.url), self._writing[False].begin() as connection:
            yield connection

    def holds(self, table: str) -> bool:
        """Is there such a table?"""
        with self.read() as connection:
            return inspect(connection).has_table(table)

    def close(self) -> None:
        """Let go of all connections; SQLite then folds its log into the one file."""
        self._engine.dispose()


def _begun(engines: Mapping[bool, Engine], quick: bool) -> AbstractContextManager[Connection]:
    return engines[quick].begin()


def add(connection: Connection, statement: Insert, **values: Any) -> int:
    """Insert one row; its id."""
    key = connection.execute(statement, values).inserted_primary_key
    if key is None:
        raise ValueError(f"{statement.table} should give its rows ids")
    return int(key[0])


def located(place: str | Path) -> URL:
    """A path or a database URL as a URL. Raises ValueError for a database of another kind."""
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
def reached(url: URL) -> Iterator[None]:
    """A server that cannot be reached, or a file that is no database, becomes a ValueError."""
    try:
        with stored(url):
            yield
    except StorageError as error:
        raise ValueError(str(error)) from error


def _sqlite(url: URL) -> Engine:
    engine = create_engine(url, pool_size=POOL, max_overflow=0,
                           connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # else the driver begins transactions of its own
        for pragma in ("foreign_keys = ON", "journal_mode = WAL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        deed = connection.get_execution_options().get("deed")
        # In WAL mode NORMAL leaves the flush to the next FULL transaction, which is of the same
        # log and so carries all before it.
        driver.execute(f"PRAGMA synchronous = {'NORMAL' if deed == 'quick' else 'FULL'}")
        driver.execute("BEGIN IMMEDIATE" if deed else "BEGIN")

    return engine


def _postgresql(url: URL) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError as error:
        raise ValueError(f"PostgreSQL needs psycopg; {install_extra('postgresql')}") from error
    return create_engine(url, pool_size=POOL, max_overflow=0, pool_pre_ping=True)
