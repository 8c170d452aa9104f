"""Commit writes of many threads together in few transactions.

A vote has to be on disk before it is acknowledged, which takes milliseconds whatever it holds. So
one thread at a time leads: it commits all writes that wait, each under a savepoint of its own, lets
their threads go on, and hands the lead to one that has come meanwhile.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

T = TypeVar("T")

MOST_TOGETHER = 64  # writes in one transaction


class _Write:
    """One write and its result. `woken` says that it is finished, or has to lead."""

    def __init__(self, work: Callable[[Connection], Any], quick: bool) -> None:
        self.work, self.quick = work, quick
        self.value: Any = None
        self.error: BaseException | None = None
        self.finished = False
        self.woken = threading.Event()


class GroupCommit:
    """Run writes one after the other. `begin(quick)` opens a transaction, which is on disk when it
    ends unless it is quick."""

    def __init__(self, begin: Callable[[bool], AbstractContextManager[Connection]]) -> None:
        self._begin = begin
        self._guard = threading.Lock()  # of what follows, and held for moments only
        self._waiting: deque[_Write] = deque()
        self._led = False

    def run(self, work: Callable[[Connection], T], *, quick: bool) -> T:
        """Return what `work` returns, once it is committed. An exception undoes this write and no
        other."""
        write = _Write(work, quick)
        with self._guard:
            self._waiting.append(write)
            leads, self._led = not self._led, True
        if not leads:
            self._wait(write)
        if not write.finished:
            self._lead()
        if write.error is not None:
            raise write.error
        value: T = write.value
        return value

    def _wait(self, write: _Write) -> None:
        """Wait until others have done the write, or it is its thread's turn to lead."""
        try:
            write.woken.wait()
        except BaseException:  # this thread has to stop; the others go on
            with self._guard:
                if write in self._waiting:
                    self._waiting.remove(write)
                    if write.woken.is_set():
                        self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Let the one that has waited longest lead."""
        self._led = bool(self._waiting)
        if self._led:
            self._waiting[0].woken.set()

    def _lead(self) -> None:
        """Commit what waits, the leader's own write first, and pass the lead on."""
        with self._guard:
            count = min(len(self._waiting), MOST_TOGETHER)
            writes = [self._waiting.popleft() for _ in range(count)]
        try:
            self._commit(writes)
        finally:
            for write in writes:
                write.finished = True
                write.woken.set()
            with self._guard:
                self._pass_on()

    def _commit(self, writes: Sequence[_Write]) -> None:
        """Commit all in one transaction. All learn of a failure, whichever thread it happens in."""
        try:
            with self._begin(all(write.quick for write in writes)) as connection:
                for write in writes:
                    _try(write, connection, alone=len(writes) == 1)
        except BaseException as error:
            for write in writes:
                write.error = write.error or error
            if not isinstance(error, Exception):  # the program is to stop
                raise


def _try(write: _Write, connection: Connection, *, alone: bool) -> None:
    if alone:
        write.value = write.work(connection)
        return
    try:
        with connection.begin_nested():
            try:
                write.value = write.work(connection)
            except Exception as error:  # going back to the savepoint may fail too, and hide it
                write.error = error
                raise
    except Exception as error:  # for the thread that wants the write: it is raised there
        write.error = write.error or error
        if isinstance(write.error, OperationalError):
            # As of a full disk, where SQLite has rolled back the other writes of the transaction.
            raise write.error from None
