"""A study on a disk that is full: nothing is lost, and the log says which disk and what to do."""

from __future__ import annotations

import errno
import logging
import resource
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from study_client import VOTE, client_of, consented
from tiny_study import answer, arrive, blank_study, tiny_results

from motifocal.cli import main
from motifocal.files import disk
from motifocal.files.atomic import replacing
from motifocal.study.store.database import StorageError, parse_url, storage_error_of
from motifocal.study.store.store import Store
from motifocal.study.web.secrets import make_secret, read_keys
from motifocal.study.web.server_log import LOG, OncePerInterval


@contextmanager
def without_room(pages: int) -> Iterator[None]:
    """SQLite files that may not have more than so many pages: for SQLite, a full disk."""
    def limit(connection: Any, _: Any) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    event.listen(Engine, "connect", limit)
    try:
        yield
    finally:
        event.remove(Engine, "connect", limit)


def fill(path: Path) -> None:
    """Let people join until the file is full."""
    with Store(path) as store:
        for number in range(1000):
            try:
                store.join("prolific", f"first {number}")
            except StorageError:
                return
    raise AssertionError("the file should be full by now")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A study whose file cannot grow."""
    path = tmp_path / "study.db"
    blank_study(path).close()
    with without_room(path.stat().st_size // 4096):
        fill(path)
        yield path


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the server logs, as if it had logged nothing before."""
    monkeypatch.setattr(LOG, "filters", [OncePerInterval()])
    caplog.set_level(logging.WARNING)
    return caplog


def test_a_full_disk_is_named_in_the_log_and_asks_annotators_for_patience(
    full: Path, log: pytest.LogCaptureFixture
) -> None:
    with Store(full) as store, client_of(store) as client:
        answers = []
        for number in range(40):
            client.cookies.clear()
            client.get(f"/?PROLIFIC_PID=later{number}")
            answers.append(client.post("/consent", data={"agree": "yes"}))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert refused
    assert {answer.status_code for answer in refused} == {503}
    assert "cannot store anything at the moment" in refused[-1].text
    assert str(full) not in refused[-1].text
    lines = [record.getMessage() for record in log.records if record.name == LOG.name]
    assert len(lines) == 1
    for word in (f"{full} cannot be written, the disk is full", "free at", "make room there"):
        assert word in lines[0]


def test_what_was_acknowledged_before_the_disk_was_full_is_there_and_the_study_goes_on(
    tmp_path: Path
) -> None:
    path = tmp_path / "study.db"
    blank_study(path, pictures=40, votes=5, gold_every=0).close()
    acknowledged: list[str] = []
    lock = threading.Lock()

    def annotate(store: Store) -> None:
        try:
            while True:
                who = arrive(store)
                while (task := store.task(who)) is not None:
                    store.vote(who, task.slot, answer())
                    with lock:
                        acknowledged.append(task.slot)
        except StorageError as error:
            assert "the disk is full" in str(error)  # noqa: PT017

    with without_room(path.stat().st_size // 4096 + 20), Store(path) as store:
        threads = [threading.Thread(target=annotate, args=(store,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stored = len(list(store.votes()))
    assert len(acknowledged) > 20
    assert stored >= len(acknowledged)
    with Store(path) as store:  # there is room again
        assert store.progress().done == stored
        who = arrive(store)
        task = store.task(who)
        assert task is not None
        store.vote(who, task.slot, answer())
        assert store.progress().done == stored + 1


def test_a_study_that_does_not_fit_is_refused_in_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_results(tmp_path / "a")
    tiny_results(tmp_path / "b", "Theirs", turned=True)
    words = ["create", "--a", "a", "--b", "b", "--gold", "none", "-o", "study.db"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["motifocal", "study", *words])
    with without_room(5), pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    last = capsys.readouterr().err.splitlines()[-1]
    said = f"motifocal: {tmp_path / 'study.db'} cannot be written, the disk is full"
    assert last.startswith(said)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize(("cause", "busy", "words"), [
    ("database is locked", True, "another program holds it"),
    ("disk I/O error", False, "is there a quota"),
    ("attempt to write a readonly database", False, "may it be written"),
    ("unable to open database file", False, "is its folder there"),
    ("something new", False, "cannot be used: something new"),
])  # fmt: skip
def test_every_cause_has_words(tmp_path: Path, cause: str, busy: bool, words: str) -> None:
    said = storage_error_of(sqlite3.OperationalError(cause), parse_url(tmp_path / "study.db"))
    assert said.busy is busy
    assert words in str(said)
    assert str(tmp_path) in str(said)


def test_a_database_that_somebody_holds_is_busy(
    tmp_path: Path, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motifocal.study.store.database.BUSY_SECONDS", 0.1)
    blank_study(tmp_path / "study.db").close()
    other = create_engine(parse_url(tmp_path / "study.db"))
    with Store(tmp_path / "study.db") as store, client_of(store) as client:
        consented(client)
        slot = client.get("/task").json()["task"]["slot"]
        with other.connect() as holding:
            holding.exec_driver_sql("BEGIN IMMEDIATE")
            busy = client.post("/vote", json={**VOTE, "slot": slot})
            holding.exec_driver_sql("ROLLBACK")
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "2")
        assert client.post("/vote", json={**VOTE, "slot": slot}).status_code == 200
    other.dispose()
    assert [record.levelname for record in log.records if record.name == LOG.name] == ["WARNING"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_file_on_a_full_disk_is_named(tmp_path: Path, code: int) -> None:
    with pytest.raises(OSError, match="disk is full") as caught, replacing(tmp_path / "x.json"):
        raise OSError(code, "No space left on device")
    assert caught.value.errno == code
    assert f"{tmp_path / 'x.json'} cannot be written" in str(caught.value)
    assert f"free at {tmp_path}): make room there" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_secret_that_finds_no_room_leaves_no_empty_file(tmp_path: Path) -> None:
    file = tmp_path / "study.secret"
    before, _ = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))  # bytes: less than a secret has
    try:
        with pytest.raises(OSError, match="File too large"):
            make_secret(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, limits[1]))
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())
    assert make_secret(file)
    read_keys(file)


def test_other_errors_stay_what_they_are_and_room_is_told_of_folders_to_come(
    tmp_path: Path
) -> None:
    with pytest.raises(PermissionError), replacing(tmp_path / "x.json"):
        raise PermissionError(errno.EACCES, "no")
    assert disk.room_at(tmp_path / "a" / "b").endswith(f"are free at {tmp_path}")
