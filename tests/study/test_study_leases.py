"""Slots are leased so that every item gets its votes, sides in balance, whatever annotators do."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_checks import check_invariants, check_the_end, finish_later
from tiny_study import answer, arrive, blank_study, judge

from motifocal.study.messages import Refused
from motifocal.study.schedule import GoldPlan, sides


@given(votes=st.integers(1, 9), pairs=st.integers(1, 12), seed=st.integers(0, 2**32))
def test_sides_are_balanced_within_each_pair_and_over_two_pairs(
    votes: int, pairs: int, seed: int
) -> None:
    order = random.Random(seed)
    lefts = [sides(votes, a_more=pair % 2 == 1, order=order).count("model_a")
             for pair in range(pairs)]
    assert {abs(2 * left - votes) for left in lefts} == {votes % 2}
    for first, second in zip(lefts[::2], lefts[1::2], strict=False):
        assert first + second == votes


@given(token=st.text(max_size=20), every=st.integers(2, 30), blocks=st.integers(1, 20))
def test_one_comparison_in_each_block_is_gold_and_never_the_first(
    token: str, every: int, blocks: int
) -> None:
    plan = GoldPlan(token, every)
    due = [plan.due(number) for number in range(1, every * blocks + 1)]
    assert not due[0]
    for block in range(blocks):
        assert sum(due[block * every : (block + 1) * every]) == 1


@given(token=st.text(max_size=20), every=st.sampled_from([0, *range(2, 12)]),
       real=st.integers(0, 99))
def test_the_announced_length_is_where_the_last_real_comparison_is(
    token: str, every: int, real: int
) -> None:
    plan = GoldPlan(token, every)
    number, left = 0, real
    while left:
        number += 1
        left -= not plan.due(number)
    assert plan.length(real) == number


def test_gold_comes_at_places_that_differ_between_annotators() -> None:
    places = Counter(next(number for number in range(1, 9) if GoldPlan(str(who), 8).due(number))
                     for who in range(700))
    assert set(places) == set(range(2, 9))
    assert min(places.values()) > 60


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "votes", "gold_every"), [(1, 5, 4), (2, 2, 0), (3, 3, 2)])
def test_whatever_annotators_do_in_whatever_order_the_rules_hold(
    seed: int, votes: int, gold_every: int, tmp_path: Path
) -> None:
    path, rng, now = tmp_path / "study.db", random.Random(seed), 1000.0
    store = blank_study(path, votes=votes, gold_every=gold_every, cap=6, lease_seconds=100,
                        seed=seed)
    people: list[str] = []
    slots: list[tuple[str, str]] = []
    accepted = 0
    for step in range(220):
        deed = rng.choice(["join", "task", "vote", "vote", "vote", "leave", "wait", "steal"])
        now += rng.choice([0, 1, 30, 101]) if deed == "wait" else 0.1
        if deed == "join" or not people:
            people.append(arrive(store))
        who = rng.choice(people[-6:])
        if deed in ("task", "vote"):
            task = store.task(who, now)
            if task is not None:
                assert store.task(who, now) == task
                slots.append((who, task.slot))
                if deed == "vote":
                    store.vote(who, task.slot, answer(rng.choice(["left", "right"])), now)
                    accepted += 1
        elif deed == "leave":
            store.leave(who, now)
        elif deed == "steal" and slots:
            with pytest.raises(Refused) as refused:
                store.vote(who, rng.choice(slots)[1], answer(milliseconds=step + 5000), now + 1000)
            assert refused.value.reason in ("not yours", "expired", "answered", "not ready")
        if step % 20 == 0:
            check_invariants(path, store)
    assert sum(1 for _ in store.votes()) == accepted > 10
    finish_later(store, now + 1000)
    check_the_end(path, store)


def test_an_expired_lease_goes_to_somebody_else(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=1, sentences=1, votes=1, gold_every=0)
    first, second = arrive(store), arrive(store)
    task = store.task(first, 0)
    assert task is not None
    assert store.task(second, 599) is None
    again = store.task(second, 600)
    assert again is not None
    assert (again.picture, again.prompt) == (task.picture, task.prompt)
    assert again.slot != task.slot
    with pytest.raises(Refused) as refused:
        store.vote(first, task.slot, answer(), 601)
    assert refused.value.reason == "expired"
    store.vote(second, again.slot, answer(), 602)
    assert store.task(first, 603) is None


def test_a_late_annotator_gets_the_same_comparison_if_nobody_else_has_it(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db")
    who = arrive(store)
    task = store.task(who, 0)
    again = store.task(who, 5000)
    assert task is not None
    assert again is not None
    assert again.slot != task.slot
    assert (again.left, again.right, again.prompt, again.number) == (
        task.left, task.right, task.prompt, 1)
    store.vote(who, again.slot, answer(), 5001)


def test_looking_again_resumes_and_keeps_a_lease_alive(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db")
    who = arrive(store)
    task = store.task(who, 0)
    assert task is not None
    for now in range(100, 3000, 100):
        assert store.task(who, now) == task
    store.vote(who, task.slot, answer(), 3200)


def test_what_is_announced_as_upcoming_comes_next(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", gold_every=3)
    who = arrive(store)
    upcoming: tuple[str, ...] = ()
    while (task := judge(store, who)) is not None:
        shown = (task.picture, task.left, task.right)
        assert upcoming in ((), shown)
        upcoming = task.upcoming
    assert upcoming == ()


def test_leaving_gives_the_slots_back_at_once(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=2, sentences=1, votes=1, gold_every=0)
    first, second = arrive(store), arrive(store)
    assert store.task(first) is not None
    assert store.task(second) is None
    store.leave(first)
    assert judge(store, second) is not None
    assert judge(store, second) is not None
    assert store.task(first) is None
    with pytest.raises(Refused, match="no such annotator"):
        store.leave("nobody")


def test_items_that_were_begun_are_finished_before_others(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=60, sentences=2, votes=5, gold_every=0, cap=20)
    for _ in range(12):
        who = arrive(store)
        while judge(store, who) is not None:
            pass
    done = Counter(vote.unit for vote in store.votes())
    whole = sum(count == 5 for count in done.values())
    assert sum(done.values()) == 240
    assert len(done) < 70
    assert whole > 25


def test_two_annotators_do_not_see_the_same_sequence(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=30, sentences=2, gold_every=0, cap=10)
    sequences = []
    for _ in range(2):
        who = arrive(store)
        sequences.append([judge(store, who) for _ in range(10)])
    first, second = ([task and (task.picture, task.prompt) for task in each] for each in sequences)
    assert first != second


def test_the_cap_counts_real_judgements_and_the_length_is_told(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=20, cap=9, gold_every=4, gold=4)
    who = arrive(store)
    tasks = []
    while (task := judge(store, who)) is not None:
        tasks.append(task)
    assert [task.number for task in tasks] == list(range(1, len(tasks) + 1))
    assert {task.of for task in tasks} == {len(tasks)}
    kinds = [vote.gold for vote in store.votes()]
    assert kinds.count(None) == 9
    assert len(kinds) - kinds.count(None) in (2, 3)
    assert kinds[-1] is None


def test_a_repeat_shows_an_earlier_pair_left_right_exchanged(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=20, cap=30, gold_every=3,
                        gold_kinds=("repeat",), gold_counted=())
    who = arrive(store)
    videos: list[str] = []
    while (task := judge(store, who)) is not None:
        videos += [task.left, task.right]
    votes = list(store.votes())
    repeats = [(index, vote) for index, vote in enumerate(votes) if vote.gold == "repeat"]
    assert len(repeats) >= 8
    for index, vote in repeats:
        earlier = next(place for place, other in enumerate(votes)
                       if other.unit == vote.unit and other.gold is None)
        assert votes[earlier].left != vote.left
        assert index - earlier > 3
    assert len({vote.unit for _, vote in repeats}) == len(repeats)
    assert len(set(videos)) == len(videos)  # the names do not give a repeat away


def test_the_kinds_of_gold_come_in_turn(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=20, cap=40, gold_every=4, gold=6)
    for _ in range(3):
        who = arrive(store)
        while judge(store, who) is not None:
            pass
    by_worker = defaultdict(list)
    for vote in store.votes():
        if vote.gold is not None:
            by_worker[vote.worker].append(vote.gold)
    for kinds in by_worker.values():
        assert max(Counter(kinds).values()) - min(Counter(kinds).values()) <= 3
        assert len(set(kinds)) == 4


def test_somebody_who_found_nothing_left_goes_on_when_a_slot_comes_back(tmp_path: Path) -> None:
    store = blank_study(tmp_path / "s.db", pictures=2, sentences=1, votes=1, gold_every=0)
    first, second = arrive(store), arrive(store)
    assert store.task(first, 0) is not None
    assert store.task(second, 1) is None
    assert store.annotator(second).state == "finished"  # type: ignore[union-attr]
    assert judge(store, second, now=700) is not None
    assert store.annotator(second).state == "ready"  # type: ignore[union-attr]
