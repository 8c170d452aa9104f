"""Votes survive writing and reading, bad lines are refused, impossible votes are found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from motifocal.study.votes import (
    GOLD,
    LONGEST_LINE,
    REASONS,
    Vote,
    hash_worker,
    read_votes,
    validate,
    write_votes,
)

SALT = "a salt of sixteen letters"
VOTE = Vote(
    model_a="ours", model_b="theirs", winner="model_a", pair="fish1_it_swims", image_id="fish1",
    left="model_b", worker=hash_worker("ann", SALT), scenario="fish", prompt="it swims",
    reasons=("object_motion",), milliseconds=9000, loops=3, protocol="p",
)  # fmt: skip
REQUIRED = ("model_a", "model_b", "winner", "pair", "image_id", "left", "worker")


def line(**changes: Any) -> str:
    held = {name: getattr(VOTE, name) for name in (*REQUIRED, "reasons")}
    return json.dumps({**held, **changes})


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
votes_of_any_kind = st.builds(
    Vote,
    model_a=names, model_b=names, winner=st.sampled_from(["model_a", "model_b", "tie"]),
    pair=names, image_id=names, left=st.sampled_from(["model_a", "model_b"]), worker=names,
    scenario=names, prompt=names, seed=st.integers(-(2**63) + 1, 2**63 - 1),
    reasons=st.lists(st.sampled_from(REASONS)).map(tuple),
    milliseconds=st.none() | st.integers(0, 10**9), loops=st.none() | st.integers(0, 99),
    gold=st.none() | st.sampled_from(GOLD), protocol=names,
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(votes=st.lists(votes_of_any_kind, max_size=4))
def test_votes_are_read_as_they_were_written(votes: list[Vote], tmp_path: Path) -> None:
    write_votes(tmp_path / "votes.jsonl", votes)
    assert read_votes(tmp_path / "votes.jsonl") == votes


def test_a_line_has_the_names_of_the_public_arena_data(tmp_path: Path) -> None:
    write_votes(tmp_path / "votes.jsonl", [VOTE])
    held = json.loads((tmp_path / "votes.jsonl").read_text(encoding="utf-8"))
    assert (held["model_a"], held["model_b"], held["winner"]) == ("ours", "theirs", "model_a")
    assert held["reasons"] == ["object_motion"]
    assert held["gold"] is None


def test_a_file_with_only_what_is_needed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    short = {name: getattr(VOTE, name) for name in REQUIRED}
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(short).encode() + b"\r\n\n" + line().encode())
    first, second = read_votes(path)
    assert (first.milliseconds, first.gold, first.reasons) == (None, None, ())
    assert second.reasons == ("object_motion",)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('{"model_a": "ours"}', "missing 'model_b'"),
        (line(golden="still"), "unknown 'golden'"),
        (line(seed=True), "seed should be a whole number"),
        (line(milliseconds=1.5), "milliseconds should be a whole number"),
        (line(milliseconds=float("nan")), "milliseconds should be a whole number"),
        (line(seed=2**63), "seed should be a whole number"),
        (line(seed=None), "seed should be a whole number"),
        (line(reasons="object_motion"), "reasons should be a list"),
        (line(reasons=[1]), "reasons should be text"),
        (line(pair=3), "pair should be text"),
        (line(worker="\ud800"), "worker should be text"),
        (line()[:-1] + ', "winner": "model_b"}', "twice"),
        ("[" * 30_000 + "]" * 30_000, "JSON"),
        (line(prompt="x" * LONGEST_LINE), "at most"),
        (line(seed=1).replace('"seed": 1', '"seed": ' + "1" * 5000), "JSON"),
    ],
)  # fmt: skip
def test_a_bad_line_is_refused_by_its_number(bad: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text(f"{line()}\n{bad}\n", encoding="utf-8")
    with pytest.raises(ValueError, match="line 2") as caught:
        read_votes(path)
    assert said in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_bytes(b'{"model_a": "\xff"}')
    with pytest.raises(ValueError, match="line 1 should be one object of JSON"):
        read_votes(path)


def test_a_file_that_could_not_be_finished_leaves_the_old_one(tmp_path: Path) -> None:
    def broken() -> Iterator[Vote]:
        yield VOTE
        raise OSError("the disk is full")

    path = tmp_path / "votes.jsonl"
    write_votes(path, [VOTE, VOTE])
    with pytest.raises(OSError, match="full"):
        write_votes(path, broken())
    assert len(read_votes(path)) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["votes.jsonl"]


def test_good_votes_have_no_problems() -> None:
    other = replace(VOTE, worker=hash_worker("bob", SALT), winner="tie", reasons=())
    gold = replace(VOTE, gold="still", model_b="still", reasons=())
    repeat = replace(VOTE, gold="repeat")
    assert validate([VOTE, other, gold, repeat, replace(VOTE, seed=1)]) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_a": "theirs"}, "model_a and model_b should differ"),
        ({"pair": " "}, "pair should not be empty"),
        ({"winner": "ours"}, "winner should be one of model_a, model_b, tie, got 'ours'"),
        ({"left": "tie"}, "left should be one of model_a, model_b, got 'tie'"),
        ({"reasons": ()}, "at least one reason"),
        ({"reasons": ("beauty",)}, "got 'beauty'"),
        ({"reasons": ("object_motion", "object_motion")}, "given once"),
        ({"winner": "tie"}, "a tie should have no reasons"),
        ({"gold": "easy"}, "gold should be null or one of"),
        ({"worker": "5f2d0c1ab7e8"}, "salted hash"),
        ({"milliseconds": -1}, "milliseconds should be at least 0, got -1"),
        ({"image_id": "fish2"}, "image_id of 'fish1_it_swims' should be 'fish1' as in vote 1"),
        ({"protocol": "q"}, "one protocol, got 'p', 'q'"),
    ],
)  # fmt: skip
def test_what_cannot_be_true_is_found(changes: dict[str, Any], said: str) -> None:
    problems = validate([VOTE, replace(VOTE, **{"worker": hash_worker("bob", SALT), **changes})])
    assert len(problems) == 1
    assert said in problems[0]


def test_a_worker_who_votes_twice_is_found_whichever_model_is_named_first() -> None:
    turned = replace(VOTE, model_a="theirs", model_b="ours", winner="model_b")
    (problem,) = validate([VOTE, turned])
    assert "vote 2" in problem
    assert "see vote 1" in problem


def test_a_problem_never_repeats_a_workers_own_id() -> None:
    bare = replace(VOTE, worker="anna@example.org")
    problems = validate([bare, bare])
    assert len(problems) == 3
    assert not any("anna" in problem for problem in problems)


def test_workers_are_told_apart_but_not_found_again() -> None:
    assert hash_worker("ann", SALT) == hash_worker("ann", SALT)
    hashes = {hash_worker("ann", SALT), hash_worker("bob", SALT), hash_worker("ann", SALT[::-1])}
    assert len(hashes) == 3
    assert all(len(name) == 32 and "ann" not in name for name in hashes)
    with pytest.raises(ValueError, match="at least 16 characters, got 5"):
        hash_worker("ann", "short")
    with pytest.raises(ValueError, match="empty"):
        hash_worker("", SALT)
