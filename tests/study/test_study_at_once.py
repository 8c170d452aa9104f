"""Many annotators at once, and killed processes, do no vote too many and lose none."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select
from study_checks import acknowledged, check_invariants, check_the_end, finish_later, rows, start
from tiny_study import answer, arrive, blank_study, finish, judge

from motifocal.study.store.store import Store
from motifocal.study.store.tables import LEASE, VOTE


@pytest.mark.slow
def test_eight_threads_at_once_do_no_vote_too_many(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    store = blank_study(path, pictures=6, sentences=2, votes=5, cap=8, gold_every=5)
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(4):
                who = arrive(store)
                while (task := store.task(who)) is not None:
                    if rng.random() < 0.1:
                        store.leave(who)
                        break
                    store.vote(who, task.slot, answer(rng.choice(["left", "right"])))
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    check_invariants(path, store)
    finish(store)
    check_the_end(path, store)


def test_one_annotator_in_two_windows_has_one_task(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    store = blank_study(path)
    who = arrive(store)
    tasks = []
    threads = [threading.Thread(target=lambda: tasks.append(store.task(who))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tasks) == 6
    assert len(set(tasks)) == 1
    assert rows(path, select(func.count()).where(LEASE.c.ended_at.is_(None))) == [(2,)]


@pytest.mark.slow
def test_four_processes_at_once_do_no_vote_too_many(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    store = blank_study(path, pictures=6, sentences=2, votes=5, cap=8, gold_every=5)
    processes = [start(path, 2) for _ in range(4)]
    told = acknowledged(processes)
    assert [process.returncode for process in processes] == [0] * 4
    assert len(told) == len(set(told)) == sum(1 for _ in store.votes())
    check_invariants(path, store)
    finish(store)
    check_the_end(path, store)


@pytest.mark.slow
def test_a_killed_process_loses_no_acknowledged_vote(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    # More votes than a process casts before it is killed, however fast the machine.
    store = blank_study(path, pictures=80, sentences=3, votes=5, cap=600)
    processes = [start(path, 600) for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        for _ in range(12):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    told = acknowledged(processes)
    assert {process.returncode for process in processes} == {-signal.SIGKILL}
    stored = set(rows(path, select(LEASE.c.token, VOTE.c.milliseconds).join(
        VOTE, VOTE.c.lease_id == LEASE.c.id)))
    assert {(slot, 4000 + number) for _, slot, number in told} <= stored
    assert len(stored) - len(told) <= 2 + 24  # 24 lines were read above, one vote each in flight
    check_invariants(path, store)
    finish_later(Store(path), 2e9)
    check_the_end(path, store)


def test_no_step_on_the_way_of_a_vote_walks_through_all_leases_or_votes(tmp_path: Path) -> None:
    path = tmp_path / "study.db"
    store = blank_study(path, gold_every=2)
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *others: Any) -> None:
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        for _ in range(2):
            who = arrive(store)
            while judge(store, who) is not None:
                pass
            store.leave(who)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    connection = sqlite3.connect(path)
    walks = {(statement, step[3]) for statement in set(statements)
             for step in connection.execute(f"EXPLAIN QUERY PLAN {statement}",
                                            [1] * statement.count("?"))
             if step[3].startswith("SCAN") and "slot_wanted" not in step[3]}
    connection.close()
    assert len(set(statements)) > 15
    assert walks == set()
