"""Writes of many threads share a commit, and only what fails is undone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from motifocal.study.store import group_commit as commits
from motifocal.study.store.database import Database, parse_url
from motifocal.study.store.group_commit import GroupCommit


class Slow:
    """A database whose commits wait until they are let go, and are counted."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.database = Database(parse_url(path))
        self.database.write(lambda connection: connection.execute(text("CREATE TABLE t (n INT)")))
        self.may_commit = threading.Event()
        self.began = threading.Event()
        self.transactions: list[bool] = []
        self.failure: BaseException | None = None
        self.commits = GroupCommit(self.begin)

    @contextmanager
    def begin(self, quick: bool) -> Iterator[Connection]:
        with self.database.create_transaction() as connection:
            yield connection
            self.transactions.append(quick)
            self.began.set()
            assert self.may_commit.wait(20)
            if self.failure is not None:
                raise self.failure

    def rows(self) -> list[int]:
        with self.database.read() as connection:
            return [row[0] for row in connection.execute(text("SELECT n FROM t ORDER BY n"))]

    def together(self, writes: list[Callable[[Connection], Any]], quick: bool = False) -> list[Any]:
        """What becomes of the first write, and of the others, which come while it commits."""
        outcomes: list[Any] = [None] * len(writes)

        def run(index: int) -> None:
            try:
                outcomes[index] = self.commits.run(writes[index], quick=quick)
            except BaseException as error:
                outcomes[index] = error

        threads = [threading.Thread(target=run, args=(index,)) for index in range(len(writes))]
        threads[0].start()
        assert self.began.wait(20)
        for thread in threads[1:]:
            thread.start()
        while len(self.commits._waiting) < len(writes) - 1:
            pass
        self.may_commit.set()
        for thread in threads:
            thread.join()
        return outcomes


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    made = Slow(tmp_path / "x.db")
    yield made
    made.database.close()


def write(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        connection.execute(text("INSERT INTO t VALUES (:n)"), {"n": number})
        return number

    return work


def fail(number: int) -> Callable[[Connection], int]:
    def work(connection: Connection) -> int:
        write(number)(connection)
        raise ValueError(f"no {number}")

    return work


def test_writes_that_wait_are_committed_together(slow: Slow) -> None:
    assert slow.together([write(number) for number in range(6)]) == list(range(6))
    assert slow.rows() == list(range(6))
    assert slow.transactions == [False, False]


def test_a_write_that_fails_undoes_only_itself(slow: Slow) -> None:
    outcomes = slow.together([write(0), write(1), fail(2), write(3), fail(4)])
    assert [str(outcome) for outcome in outcomes] == ["0", "1", "no 2", "3", "no 4"]
    assert slow.rows() == [0, 1, 3]


def test_when_a_commit_fails_nobody_is_told_that_it_went_well(slow: Slow) -> None:
    slow.failure = OSError("the disk is full")
    outcomes = slow.together([write(0), write(1), fail(2)])
    assert [str(outcome) for outcome in outcomes] == ["the disk is full"] * 2 + ["no 2"]
    assert slow.rows() == []


def test_a_transaction_is_quick_only_if_all_its_writes_are(slow: Slow) -> None:
    slow.together([write(number) for number in range(3)], quick=True)
    assert slow.transactions == [True, True]
    slow.may_commit.set()
    assert slow.commits.run(write(9), quick=False) == 9
    assert slow.transactions[-1] is False


def test_after_a_failure_the_next_write_goes_well(slow: Slow) -> None:
    slow.may_commit.set()
    with pytest.raises(ValueError, match="no 1"):
        slow.commits.run(fail(1), quick=False)
    assert slow.commits.run(write(2), quick=False) == 2
    assert slow.rows() == [2]


def test_who_wants_the_program_to_stop_is_heard_and_the_others_are_told(slow: Slow) -> None:
    slow.failure = KeyboardInterrupt()
    outcomes = slow.together([write(0), write(1)])
    assert [type(outcome) for outcome in outcomes] == [KeyboardInterrupt] * 2
    assert slow.rows() == []


class Interrupted(threading.Event):
    """What a thread waits on that is told to stop just when its turn comes."""

    def wait(self, timeout: float | None = None) -> bool:
        super().wait(timeout)
        raise KeyboardInterrupt


def test_a_thread_that_stops_while_it_waits_holds_nobody_up(
    slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    make = commits._Write

    def job(work: Any, quick: bool) -> Any:
        made.append(make(work, quick))
        if len(made) == 2:  # the first to wait, who will be told to lead
            made[-1].woken = Interrupted()
        return made[-1]

    monkeypatch.setattr(commits, "_Write", job)
    outcomes = slow.together([write(number) for number in range(4)])
    stopped = [index for index, each in enumerate(outcomes) if isinstance(each, KeyboardInterrupt)]
    assert len(stopped) == 1
    assert slow.rows() == [number for number in range(4) if number not in stopped]
    assert slow.commits.run(write(9), quick=False) == 9


def test_durable_writes_are_flushed_and_quick_ones_are_left_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    with Database(parse_url(tmp_path / "x.db")) as database:
        database.write_ahead()

        def level(connection: Connection) -> Any:
            return connection.execute(text("PRAGMA synchronous")).scalar()

        assert database.write(level) == 2
        assert database.write(level, quick=True) == 1
        assert database.write(level) == 2
        with database.read() as connection:
            assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
            assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
