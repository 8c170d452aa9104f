"""The store takes in people and votes, refuses everything else, and forgets nothing."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import IntegrityError
from tiny_study import answer, arrive, attentive, blank_study, finish, judge

from motifocal.cli.study.export import export
from motifocal.cli.study.reopen import reopen
from motifocal.cli.study.validate import validate
from motifocal.study.messages import MOST_LOOPS, MOST_MILLISECONDS, Answer, Refused
from motifocal.study.protocol import CheckQuestion, Protocol, read_protocol
from motifocal.study.stats.agreement import gold_failures
from motifocal.study.store.database import parse_url, url_for_display
from motifocal.study.store.store import Store
from motifocal.study.store.tables import ITEM, PERSON, SLOT, STUDY, TABLES, VOTE
from motifocal.study.votes import read_votes
from motifocal.study.votes import validate as problems

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


def read_table(path: Path, statement: Any) -> list[tuple[Any, ...]]:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(statement)]
    engine.dispose()
    return found


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


def test_progress_counts_what_is_there(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", baselines=2, votes=2, cap=5, gold_every=0)
    empty = store.progress(0)
    assert [(each.model_a, each.model_b, each.done, each.wanted) for each in empty.comparisons] == [
        ("Ours", "Theirs 1", 0, 16), ("Ours", "Theirs 2", 0, 16)]
    assert (empty.votes_per_hour, empty.seconds_left, empty.left_share) == (None, None, None)
    assert (empty.median_seconds, empty.annotators, empty.leased) == (None, {}, 0)
    who = arrive(store)
    store.join("link", None)
    for number, choice in enumerate(["left", "left", "right", "left"]):
        task = store.task(who, 1000 + 100 * number)
        assert task is not None
        store.vote(who, task.slot, answer(choice, milliseconds=1000 * number),
                   1000 + 100 * number + 50)
    progress = store.progress(1450)
    assert (progress.done, progress.wanted, progress.leased) == (4, 32, 1)
    assert progress.annotators == {"ready": 1, "joined": 1}
    assert progress.left_share == 0.75
    assert progress.median_seconds == 1.5
    assert progress.votes_per_hour == pytest.approx(4 / 400 * 3600)
    assert progress.seconds_left == pytest.approx(28 * 100)
    later = store.progress(1150 + 3600)
    assert later.votes_per_hour == 2
    assert later.leased == 0


def careless_study(path: Path) -> Store:
    """A study whose first annotator always chooses the worse video, all others the better one."""
    store = blank_study(path, pictures=8, votes=3, cap=12, gold_every=2, gold=6, gold_least=4,
                        gold_share=0.9)
    for number in range(3):
        who = arrive(store)
        while (task := store.task(who)) is not None:
            best = attentive(store, task)
            worst = answer("left" if best.choice == "right" else "right")
            store.vote(who, task.slot, best if number else worst)
    return store


def test_who_fails_the_gold_items_is_known_by_the_rule_of_the_protocol(tmp_path: Path) -> None:
    store = careless_study(tmp_path / "s.db")
    votes = list(store.votes())
    counted = [vote for vote in votes if vote.gold in (None, *store.protocol.gold_counted)]
    expected = {worker for worker, gold in gold_failures(counted).items()
                if gold.seen >= 4 and (gold.seen - gold.failed) / gold.seen < 0.9}
    assert store.failed_gold() == expected
    assert expected == {votes[0].worker}
    progress = store.progress()
    tallied = gold_failures(counted).values()
    assert progress.failed_gold == len(expected)
    assert progress.gold_answered == sum(gold.seen for gold in tallied)
    assert progress.gold_right == sum(gold.seen - gold.failed for gold in tallied)


def test_repeats_count_as_gold_only_where_the_protocol_says_so(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=20, cap=30, gold_every=2, gold=0,
                        gold_kinds=("repeat",), gold_counted=("repeat",))
    for choice in ("left", "same"):
        who = arrive(store)
        while (task := store.task(who)) is not None:
            left = store.media(task.left)
            assert left is not None
            ours_left = left.data == b"video of Ours"
            store.vote(who, task.slot, answer("left" if ours_left or choice == "left" else "right"))
    failures = gold_failures(list(store.votes()))
    always_left, consistent = failures.values()
    assert always_left.failed == always_left.seen > 10
    assert consistent.failed == 0
    assert store.failed_gold() == {next(iter(failures))}


def test_votes_of_those_who_fail_can_be_asked_for_again(tmp_path: Path) -> None:
    store = careless_study(tmp_path / "s.db")
    failed = store.failed_gold()
    before = [vote for vote in store.votes() if vote.gold is None]
    spoilt = [vote for vote in before if vote.worker in failed]
    done = store.progress().done
    words = (f"{len(failed)} annotators fail the gold items; {len(spoilt)} of their votes "
             f"{{}} asked of others; the study has {{}} of 48 votes\n")
    dry = CliRunner().invoke(reopen, [str(tmp_path / "s.db"), "--dry-run"])
    assert dry.stdout == words.format("would be", done)
    assert store.progress().done == done
    ran = CliRunner().invoke(reopen, [str(tmp_path / "s.db")])
    assert ran.stdout == words.format("are", done - len(spoilt))
    assert store.reopen_failed() == 0 < len(spoilt)
    progress = store.progress()
    assert progress.done == done - len(spoilt)
    assert progress.wanted == 48
    while store.progress().done < store.progress().wanted:
        who = arrive(store)
        while (task := store.task(who)) is not None:
            store.vote(who, task.slot, attentive(store, task))
    assert store.failed_gold() == failed
    votes = [vote for vote in store.votes() if vote.gold is None]
    assert votes[: len(before)] == before
    kept = defaultdict(list)
    for vote in votes:
        if vote.worker not in failed:
            kept[vote.unit].append(vote.left)
    assert {len(lefts) for lefts in kept.values()} == {3}
    assert {lefts.count("model_a") for lefts in kept.values()} == {1, 2}


def test_the_gold_rule_treats_its_bounds_as_written() -> None:
    protocol = Protocol(gold_least=4, gold_share=0.55)
    assert not protocol.fails_gold(3, 0)
    assert protocol.fails_gold(4, 2)
    assert not protocol.fails_gold(20, 11)  # 0.55 * 20 is a little more than 11 in floats
    assert protocol.fails_gold(20, 10)


def test_the_hash_of_a_protocol_changes_with_every_field() -> None:
    base = Protocol()
    other = {"title": "x", "votes": 3, "ties": True, "cap": 3, "gold_every": 5, "question": "What?",
             "consent_md": "x", "gold_share": 0.5, "keep_ids": True, "completion_code": "X"}
    digests = {Protocol(**{name: value}).digest() for name, value in other.items()}
    assert len(digests | {base.digest()}) == len(other) + 1
    assert read_protocol(json.loads(base.to_json())) == base
    assert Protocol(votes=3).wording_digest() == base.wording_digest()
    assert Protocol(consent_md="x").wording_digest() != base.wording_digest()


@pytest.mark.parametrize(("values", "words"), [
    ({"votes": 0}, "votes: Input should be greater than or equal to 1"),
    ({"colour": 1}, "colour: Extra inputs are not permitted"),
    ({"gold_every": 1}, "gold_every should be 0, or at least 2"),
    ({"gold_every": 5, "gold_kinds": [], "gold_counted": []}, "with some gold_kinds"),
    ({"gold_kinds": ["still"]}, "gold_counted should be among still"),
    ({"gold_kinds": ["still", "still"]}, "name each kind once"),
    ({"reasons": [{"key": "text_alignment", "label": "x"}, {"key": "object_motion", "label": "y"}]},
     "in this order"),
    ({"least_seconds": 600}, "least_seconds should be below"),
    ({"completion_urls": {"prolific": "javascript:alert(1)"}}, "should be an https:// address"),
    ({"completion_code": "<b>"}, "completion_code: String should match"),
    ({"check": [{"question": "x", "answers": ["a", "b"], "right": 2}]}, "right should be 0 to 1"),
])  # fmt: skip
def test_a_protocol_that_makes_no_sense_is_refused_in_one_line(
    values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match="the protocol is not valid") as refused:
        read_protocol(values)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_a_study_is_opened(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no study at"):
        Store(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text.db").write_text("this is a text and no database at all, not at all")
    with pytest.raises(ValueError, match="cannot be used: file is not a database"):
        Store(tmp_path / "text.db")
    sqlite3.connect(tmp_path / "empty.db").close()
    (tmp_path / "empty.db").touch()
    with pytest.raises(ValueError, match="should hold a study, got none"):
        Store(tmp_path / "empty.db")


def test_a_protocol_that_was_changed_later_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    blank_study(path).close()
    connection = sqlite3.connect(path)
    connection.execute("DROP TRIGGER study_no_update")
    connection.execute("UPDATE study SET protocol = replace(protocol, ?, ?)",
                       ('"votes":3', '"votes":4'))
    connection.commit()
    connection.close()
    with pytest.raises(ValueError, match="should have the hash it was given at the start"):
        Store(path)


def test_places_of_databases_are_told_apart(tmp_path: Path) -> None:
    assert url_for_display(parse_url(tmp_path / "a b?.db")) == str(tmp_path / "a b?.db")
    assert parse_url(f"sqlite:///{tmp_path}/x.db") == parse_url(tmp_path / "x.db")
    url = parse_url("postgresql://me:secret@host/study")
    assert url.drivername == "postgresql+psycopg"
    assert "secret" not in url_for_display(url)
    for wrong in ("mysql://host/x", "sqlite://", "sqlite:///:memory:", "://", "sqlite:///x?a=1"):
        with pytest.raises(ValueError, match="the database should be"):
            parse_url(wrong)


def test_one_file_is_the_whole_study_once_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with blank_study(path) as store:
        finish(store)
        votes = list(store.votes())
    assert [file.name for file in tmp_path.iterdir()] == ["s.db"]
    copy = tmp_path / "copy.db"
    copy.write_bytes(path.read_bytes())
    with Store(copy) as store:
        assert list(store.votes()) == votes


def test_export_writes_valid_votes_and_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with blank_study(path) as store:
        finish(store)
        votes = list(store.votes())
        protocol = store.protocol
    assert problems(votes) == []
    output = tmp_path / "votes.jsonl"
    done = CliRunner().invoke(export, [str(path), "-o", str(output), "--protocol",
                                       str(tmp_path / "protocol.json")], catch_exceptions=False)
    assert done.exit_code == 0
    assert read_votes(output) == votes
    rules = (tmp_path / "protocol.json").read_text(encoding="utf-8")
    assert read_protocol(json.loads(rules)) == protocol
    assert str(output) in done.stdout
    assert CliRunner().invoke(validate, [str(output)]).exit_code == 0
    lines = output.read_text().splitlines()
    output.write_text("\n".join([lines[0], *lines]))
    bad = CliRunner().invoke(validate, [str(output)])
    assert bad.exit_code == 1
    assert "vote 2: a worker should judge" in bad.stdout


def test_all_media_have_names_that_say_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    blank_study(path, baselines=3).close()
    shown = read_table(path, select(ITEM.c.video_a, ITEM.c.video_b, ITEM.c.picture))
    videos = [token for row in shown for token in row[:2]]
    assert len(set(videos)) == len(videos)
    assert all(len(token) >= 32 for token in videos)
    names = [row[0] for row in read_table(path, select(STUDY.c.salt))]
    assert len(names[0]) == 64


def test_every_table_is_described_in_the_schema(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    blank_study(path).close()
    held = {name for (name,) in read_table(path, text(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"))}
    assert held == set(TABLES.tables)
