"""The same store on PostgreSQL, whose server the test starts and throws away."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from http_annotators import LEASE as LONG
from http_annotators import Server, hold
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import DBAPIError
from study_checks import acknowledged, check_invariants, check_the_end, finish_later, rows, start
from tiny_study import answer, arrive, blank_study, finish, judge

from motifocal.study.messages import Refused
from motifocal.study.store.database import parse_url
from motifocal.study.store.leases import give_back_expired
from motifocal.study.store.store import Store
from motifocal.study.store.tables import LEASE, VOTE

SERVER_USER = "postgres"  # the Debian package makes it; a server never runs as root


def server_programs() -> Path:
    """The folder of initdb and pg_ctl, or the test is skipped with a word."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    if importlib.util.find_spec("psycopg") is None:
        pytest.skip("psycopg is not installed (the extra postgresql)")
    return found[-1].parent


def as_server(*command: str | Path) -> None:
    """Run a command as somebody who may run a server."""
    user = SERVER_USER if os.geteuid() == 0 else None
    subprocess.run(command, check=True, user=user, cwd="/", stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The folder of the socket of a server that listens on nothing else."""
    programs = server_programs()
    folder = Path(tempfile.mkdtemp(prefix="motifocal-pg-"))  # short: a socket's path has 107 bytes
    if os.geteuid() == 0:
        owner = pwd.getpwnam(SERVER_USER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    data = folder / "data"
    try:
        as_server(programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N")
        as_server(programs / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o",
                  f"-k {folder} -c listen_addresses=''", "start")
        try:
            yield folder
        finally:
            as_server(programs / "pg_ctl", "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def place(server: Path, request: pytest.FixtureRequest) -> str:
    """The URL of a new, empty database."""
    name = f"study_{abs(hash(request.node.name))}"
    engine = create_engine(parse_url(f"postgresql://postgres@/postgres?host={server}"),
                           isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return f"postgresql://postgres@/{name}?host={server}"


def test_a_study_on_postgresql_ends_with_exactly_the_votes_it_wants(place: str) -> None:
    with blank_study(place, ties=True, gold_every=3) as store:
        who = arrive(store, "5f3", "prolific")
        assert store.join("prolific", "5f3").id == who
        task = store.task(who, 0)
        assert task is not None
        media = store.media(task.picture)
        assert media is not None
        assert (media.content_type, media.data) == ("image/png", b"picture")
        assert store.task(who, 0) == task
        with pytest.raises(Refused, match="another annotator's"):
            store.vote(arrive(store), task.slot, answer(), 1)
        store.vote(who, task.slot, answer("tie"), 1)
        store.vote(who, task.slot, answer("tie"), 2)
        with pytest.raises(Refused, match="another answer"):
            store.vote(who, task.slot, answer("left"), 2)
        assert judge(store, who, now=100) is not None
        finish(store)
        check_the_end(place, store)
        progress = store.progress()
        assert progress.gold_answered > 0
        assert store.failed_gold() is not None


def test_a_database_that_holds_a_study_is_left_alone(place: str) -> None:
    with blank_study(place) as store:
        judge(store, arrive(store))
    with pytest.raises(ValueError, match="holds a study already"):
        blank_study(place)
    with Store(place) as store:
        assert sum(1 for _ in store.votes()) == 1


def test_an_empty_database_and_a_missing_server_are_told_apart(place: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="should hold a study, got none"):
        Store(place)
    with pytest.raises(ValueError, match="cannot be used"):
        Store(f"postgresql://postgres@/none?host={tmp_path}")


@pytest.mark.parametrize("statement", [
    "UPDATE vote SET winner = 'model_a'", "DELETE FROM vote", "TRUNCATE vote", "DELETE FROM study",
])  # fmt: skip
def test_votes_and_the_protocol_are_only_ever_inserted(statement: str, place: str) -> None:
    with blank_study(place) as store:
        judge(store, arrive(store))
    engine = create_engine(parse_url(place))
    with (
        engine.connect() as connection,
        pytest.raises(DBAPIError, match="only ever inserted"),
    ):
        connection.execute(text(statement))
    engine.dispose()


def test_who_comes_while_another_process_ends_expired_leases_gets_their_slots(place: str) -> None:
    with blank_study(place, pictures=1, sentences=1, votes=1, gold_every=0) as store:
        assert store.task(arrive(store), 0) is not None
        late = arrive(store)
        assert store.task(late, 1) is None, "the only slot is leased"
        engine = create_engine(parse_url(place))
        with ThreadPoolExecutor(1) as pool:
            with engine.begin() as other:
                give_back_expired(other, 1e9)
                asked = pool.submit(store.task, late, 1e9)
                while not (asked.done() or rows(place, _WAITS_FOR_A_LOCK)):
                    time.sleep(0.01)
            assert asked.result() is not None
        engine.dispose()


_WAITS_FOR_A_LOCK = text("SELECT pid FROM pg_stat_activity "
                         "WHERE wait_event_type = 'Lock' AND datname = current_database()")


@pytest.mark.slow
def test_four_processes_at_once_do_no_vote_too_many(place: str) -> None:
    with blank_study(place, pictures=6, sentences=2, votes=5, cap=8, gold_every=5) as store:
        processes = [start(place, 3) for _ in range(4)]
        told = acknowledged(processes)
        assert [process.returncode for process in processes] == [0] * 4
        assert len(told) == len(set(told)) == sum(1 for _ in store.votes())
        check_invariants(place, store)
        finish(store)
        check_the_end(place, store)


@pytest.mark.slow
def test_killed_processes_lose_no_acknowledged_vote(place: str) -> None:
    with blank_study(place, pictures=20, sentences=3, votes=5, cap=50) as store:
        processes = [start(place, 50) for _ in range(4)]
        for process in processes[:2]:
            assert process.stdout is not None
            for _ in range(12):
                process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        for process in processes[2:]:
            process.send_signal(signal.SIGTERM)
        told = acknowledged(processes)
        stored = set(rows(place, select(LEASE.c.token, VOTE.c.milliseconds).join(
            VOTE, VOTE.c.lease_id == LEASE.c.id)))
        assert {(slot, 4000 + number) for _, slot, number in told} <= stored
        check_invariants(place, store)
        finish_later(store, 2e9)
        check_the_end(place, store)


@pytest.mark.slow
def test_thirty_annotators_over_http_at_four_processes_that_are_killed(
    place: str, tmp_path: Path
) -> None:
    blank_study(place, pictures=13, sentences=2, baselines=3, votes=5, cap=40, gold_every=6,
                lease_seconds=LONG).close()  # fmt: skip
    told = hold(Server(place, tmp_path / "secret", workers=4))
    with Store(place) as store:
        check_invariants(place, store)
        votes = list(store.votes())
        per_pair = Counter(vote.unit for vote in votes if vote.gold is None)
    assert len(per_pair) == 13 * 2 * 3
    assert set(per_pair.values()) == {5}, "every pair has exactly N judgements"
    slots = [slot for slot, _, _ in told.votes]
    assert len(slots) == len(set(slots)), "no vote is acknowledged twice"
    assert len(slots) <= len(votes) <= len(slots) + 2, "all acknowledged votes are there"
