"""The store counts what is there, and tells who fails the gold items."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_study import answer, arrive, attentive, blank_study

from motifocal.cli.study.reopen import reopen
from motifocal.study.stats.agreement import gold_failures
from motifocal.study.store.store import Store


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
