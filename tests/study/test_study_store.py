"""The store takes in people and votes, refuses everything else, and forgets nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import IntegrityError
from tiny_study import answer, arrive, blank_study, judge, read_table

from motifocal.study.messages import MOST_LOOPS, MOST_MILLISECONDS, Answer, Refused
from motifocal.study.protocol import CheckQuestion
from motifocal.study.store.tables import PERSON, SLOT, VOTE

CHECK = (CheckQuestion(question="Which first?", answers=("the reasons", "the choice"), right=1),)


def reason_of(refused: pytest.ExceptionInfo[Refused]) -> str:
    return refused.value.reason


def test_an_annotator_is_ready_after_consent(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db")
    annotator = store.join("link", None)
    assert (annotator.state, annotator.tries, annotator.answered) == ("joined", 0, 0)
    with pytest.raises(Refused, match="should be ready, is joined") as refused:
        store.task(annotator.id)
    assert reason_of(refused) == "not ready"
    store.consent(annotator.id)
    store.consent(annotator.id)
    judge(store, annotator.id)
    found = store.annotator(annotator.id)
    assert found is not None
    assert (found.state, found.source, found.answered) == ("ready", "link", 1)


def test_the_check_comes_between_consent_and_the_first_task(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", check=CHECK)
    who = store.join("link", None).id
    with pytest.raises(Refused, match="consent comes before") as refused:
        store.answer_check(who, [1])
    assert reason_of(refused) == "not ready"
    store.consent(who)
    with pytest.raises(Refused, match="is consented"):
        store.task(who)
    assert not store.answer_check(who, [0])
    assert store.answer_check(who, [1])
    assert store.answer_check(who, [0])  # it is passed already
    assert judge(store, who) is not None


@pytest.mark.parametrize("wrong", [[0], [], [1, 1], [-1], [10**30]])
def test_the_second_wrong_try_screens_out(wrong: list[int], tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", check=CHECK)
    who = store.join("prolific", "person").id
    store.consent(who)
    assert not store.answer_check(who, wrong)
    assert not store.answer_check(who, wrong)
    assert not store.answer_check(who, [1])
    found = store.join("prolific", "person")
    assert (found.id, found.state, found.tries) == (who, "screened_out", 2)
    with pytest.raises(Refused) as refused:
        store.task(who)
    assert reason_of(refused) == "not ready"


def test_the_same_person_of_a_service_is_the_same_annotator(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db")
    first = store.join("prolific", "5f3")
    assert store.join("prolific", "5f3") == first
    assert store.join("connect", "5f3").id != first.id
    assert store.join("link", None).id != store.join("link", None).id
    for source, external in [("link", ""), ("link", "x" * 201), ("link", "a\0b"), ("else", "x")]:
        with pytest.raises(Refused) as refused:
            store.join(source, external)
        assert reason_of(refused) == "malformed"


@pytest.mark.parametrize("keep", [False, True])
def test_the_number_of_a_person_is_kept_only_if_the_protocol_says_so(
    keep: bool, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"
    with blank_study(path, keep_ids=keep) as store:
        who = store.join("prolific", "person-4711").id
        store.consent(who)
        judge(store, who)
        written = "".join(str(vote) for vote in store.votes())
    assert (b"person-4711" in path.read_bytes()) == keep
    assert "person-4711" not in written
    assert who not in written
    rows = read_table(path, select(PERSON.c.external, PERSON.c.external_hash))
    assert [row[0] for row in rows] == ["person-4711" if keep else None]
    assert len(rows[0][1]) == 64


def test_a_vote_is_stored_as_it_was_given(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", gold_every=0)
    who = arrive(store)
    task = store.task(who)
    assert task is not None
    given = Answer("right", ("overall_quality", "object_motion"), 12345, 6, 78)
    store.vote(who, task.slot, given)
    (vote,) = store.votes()
    assert vote.winner == ("model_b" if vote.left == "model_a" else "model_a")
    assert vote.reasons == ("object_motion", "overall_quality")
    assert (vote.milliseconds, vote.loops, vote.gold) == (12345, 6, None)
    assert vote.prompt == task.prompt
    assert vote.protocol == store.protocol.digest()
    shown = {"model_a": b"video of Ours", "model_b": b"video of Theirs 1"}
    left, right = (store.media(video) for video in (task.left, task.right))
    assert left is not None
    assert right is not None
    assert left.data == shown[vote.left]
    assert {left.data, right.data} == set(shown.values())


def test_the_same_answer_again_is_taken_and_another_is_refused(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db")
    who = arrive(store)
    task = store.task(who, 0)
    assert task is not None
    given = answer("left", "object_motion", "text_alignment")
    store.vote(who, task.slot, given, 1)
    store.vote(who, task.slot, given, 2)
    store.vote(who, task.slot, answer("left", "text_alignment", "object_motion"), 10_000)
    for other in (answer("right", "object_motion", "text_alignment"), answer("left"),
                  answer("left", "object_motion", "text_alignment", milliseconds=4001)):
        with pytest.raises(Refused) as refused:
            store.vote(who, task.slot, other, 3)
        assert reason_of(refused) == "answered"
    assert sum(1 for _ in store.votes()) == 1


@pytest.mark.parametrize("bad", [
    Answer("up", ("object_motion",), 1, 1, 0),  # type: ignore[arg-type]
    Answer("tie", (), 1, 1, 0),
    Answer("left", (), 1, 1, 0),
    Answer("left", ("object_motion", "object_motion"), 1, 1, 0),
    Answer("left", ("beauty",), 1, 1, 0),
    Answer("left", ["object_motion"], 1, 1, 0),  # type: ignore[arg-type]
    Answer("left", ("object_motion",), -1, 1, 0),
    Answer("left", ("object_motion",), MOST_MILLISECONDS + 1, 1, 0),
    Answer("left", ("object_motion",), 10**400, 1, 0),
    Answer("left", ("object_motion",), 1.5, 1, 0),  # type: ignore[arg-type]
    Answer("left", ("object_motion",), True, 1, 0),
    Answer("left", ("object_motion",), 1, -1, 0),
    Answer("left", ("object_motion",), 1, MOST_LOOPS + 1, 0),
    Answer("left", ("object_motion",), 1, 1, -1),
], ids=repr)  # fmt: skip
def test_an_answer_that_the_protocol_does_not_allow_is_refused(bad: Answer, tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db")
    who = arrive(store)
    task = store.task(who)
    assert task is not None
    with pytest.raises(Refused) as refused:
        store.vote(who, task.slot, bad)
    assert reason_of(refused) == "malformed"
    assert len(str(refused.value)) < 400
    assert list(store.votes()) == []


def test_ties_are_taken_where_the_protocol_has_them_and_have_no_reasons(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", ties=True, gold_every=0)
    who = arrive(store)
    task = store.task(who)
    assert task is not None
    with pytest.raises(Refused, match="none for a tie") as refused:
        store.vote(who, task.slot, Answer("tie", ("object_motion",), 1, 1, 0))
    assert reason_of(refused) == "malformed"
    store.vote(who, task.slot, answer("tie"))
    assert [vote.winner for vote in store.votes()] == ["tie"]


@pytest.mark.parametrize("name", ["", "nobody", "a\0b", "../../x", "é" * 10, "x" * 10_000, None, 5])
def test_names_that_were_never_given_are_refused(name: Any, tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db")
    who = arrive(store)
    assert store.annotator(name) is None
    assert store.media(name) is None
    for deed in (lambda: store.task(name), lambda: store.consent(name), lambda: store.leave(name),
                 lambda: store.answer_check(name, []), lambda: store.vote(who, name, answer()),
                 lambda: store.vote(name, "x", answer())):
        with pytest.raises(Refused) as refused:
            deed()
        assert reason_of(refused) == "unknown"


def test_a_vote_for_anothers_slot_is_refused(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db")
    first, second = arrive(store), arrive(store)
    task = store.task(first)
    assert task is not None
    with pytest.raises(Refused) as refused:
        store.vote(second, task.slot, answer())
    assert reason_of(refused) == "not yours"
    store.vote(first, task.slot, answer())
    with pytest.raises(Refused) as refused:
        store.vote(second, task.slot, answer())
    assert reason_of(refused) == "not yours"


def test_a_vote_before_one_loop_could_have_been_seen_is_too_early(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", least_seconds=2)
    who = arrive(store)
    task = store.task(who, 100)
    assert task is not None
    with pytest.raises(Refused) as refused:
        store.vote(who, task.slot, answer(), 101.9)
    assert reason_of(refused) == "too early"
    store.vote(who, task.slot, answer(), 102)


def test_what_was_left_or_expired_takes_no_vote(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", lease_seconds=10)
    who = arrive(store)
    task = store.task(who, 0)
    assert task is not None
    with pytest.raises(Refused) as refused:
        store.vote(who, task.slot, answer(), 10)
    assert reason_of(refused) == "expired"
    task = store.task(who, 20)
    assert task is not None
    store.leave(who, 21)
    with pytest.raises(Refused) as refused:
        store.vote(who, task.slot, answer(), 22)
    assert reason_of(refused) == "expired"


@pytest.mark.parametrize("statement", [
    "UPDATE vote SET winner = 'model_a'", "DELETE FROM vote", "UPDATE study SET protocol = ''",
    "DELETE FROM study", "INSERT OR REPLACE INTO vote SELECT * FROM vote",
])  # fmt: skip
def test_votes_and_the_protocol_are_only_ever_inserted(statement: str, tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = blank_study(path)
    judge(store, arrive(store))
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA recursive_triggers = ON")
    with pytest.raises(sqlite3.IntegrityError, match="only ever inserted"):
        connection.execute(statement)
    connection.close()


def test_the_database_itself_refuses_a_vote_too_many(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = blank_study(path, votes=2, gold_every=0)
    for _ in range(2):
        judge(store, arrive(store))
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        connection.execute(text("PRAGMA foreign_keys = ON"))
        first, second = (dict(row._mapping) for row in connection.execute(select(VOTE)))
    forged = [first | {"id": None}, first | {"id": None, "lease_id": 99, "slot_id": 99},
              first | {"id": None, "slot_id": second["slot_id"]},
              second | {"id": None, "annotator_id": first["annotator_id"]}]
    for vote in forged:
        with engine.connect() as connection:
            connection.execute(text("PRAGMA foreign_keys = ON"))
            with pytest.raises(IntegrityError):
                connection.execute(VOTE.insert(), vote)
    with engine.connect() as connection:
        slot = dict(next(iter(connection.execute(select(SLOT))))._mapping)
        with pytest.raises(IntegrityError):
            connection.execute(SLOT.insert(), slot | {"id": None})
    engine.dispose()
