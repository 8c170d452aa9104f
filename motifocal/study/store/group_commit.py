"""Writes that many threads want become few transactions: those that wait are committed together.

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


class _Job:
    """One write, and what became of it. `woken` says that it is finished, or has to lead."""

    def __init__(self, work: Callable[[Connection], Any], quick: bool) -> None:
        self.work, self.quick = work, quick
        self.value: Any = None
        self.error: BaseException | None = None
        self.finished = False
        self.woken = threading.Event()


class Commits:
    """Runs writes one after the other. `begin(quick)` opens a transaction, which is on disk when
    it ends unless it is quick."""

    def __init__(self, begin: Callable[[bool], AbstractContextManager[Connection]]) -> None:
        self._begin = begin
        self._guard = threading.Lock()  # of what follows, and held for moments only
        self._waiting: deque[_Job] = deque()
        self._led = False

    def run(self, work: Callable[[Connection], T], *, quick: bool) -> T:
        """What `work` returns, once it is committed. What it raises undoes it, and only it."""
        job = _Job(work, quick)
        with self._guard:
            self._waiting.append(job)
            leads, self._led = not self._led, True
        if not leads:
            self._wait(job)
        if not job.finished:
            self._lead()
        if job.error is not None:
            raise job.error
        value: T = job.value
        return value

    def _wait(self, job: _Job) -> None:
        """Until others have done the write, or it is its thread's turn to lead."""
        try:
            job.woken.wait()
        except BaseException:  # this thread has to stop; the others go on
            with self._guard:
                if job in self._waiting:
                    self._waiting.remove(job)
                    if job.woken.is_set():
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
            jobs = [self._waiting.popleft() for _ in range(count)]
        try:
            self._commit(jobs)
        finally:
            for job in jobs:
                job.finished = True
                job.woken.set()
            with self._guard:
                self._pass_on()

    def _commit(self, jobs: Sequence[_Job]) -> None:
        """One transaction. All learn of a failure, whichever thread it happens in."""
        try:
            with self._begin(all(job.quick for job in jobs)) as connection:
                for job in jobs:
                    _try(job, connection, alone=len(jobs) == 1)
        except BaseException as error:
            for job in jobs:
                job.error = job.error or error
            if not isinstance(error, Exception):  # somebody wants the program to stop
                raise


def _try(job: _Job, connection: Connection, *, alone: bool) -> None:
    if alone:
        job.value = job.work(connection)
        return
    try:
        with connection.begin_nested():
            try:
                job.value = job.work(connection)
            except Exception as error:  # going back to the savepoint may fail too, and hide it
                job.error = error
                raise
    except Exception as error:  # for the thread that wants the write: it is raised there
        job.error = job.error or error
        if isinstance(job.error, OperationalError):
            # As of a full disk, where SQLite has rolled back the other writes of the transaction.
            raise job.error from None
