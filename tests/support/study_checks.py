"""What has to be true of a study's database, and other processes that vote in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from sqlalchemy import create_engine, func, select
from tiny_study import arrive, judge

from motifocal.study.store.database import parse_url
from motifocal.study.store.store import Store
from motifocal.study.store.tables import ITEM, LEASE, SLOT, VOTE

TESTS = Path(__file__).parent


def rows(place: str | Path, statement: object) -> list[tuple[object, ...]]:
    """What the database holds, seen from outside."""
    engine = create_engine(parse_url(place))
    with engine.connect() as connection:
        found = [tuple(row) for row in connection.execute(statement)]  # type: ignore[call-overload]
    engine.dispose()
    return found


def check_invariants(place: str | Path, store: Store) -> None:
    """What has to hold at any moment."""
    slots = rows(place, select(SLOT.c.id, SLOT.c.item_id, SLOT.c.state, SLOT.c.only_for))
    leased = [slot for (slot,) in rows(place, select(LEASE.c.slot_id).where(
        LEASE.c.ended_at.is_(None)))]
    voted = [slot for (slot,) in rows(place, select(VOTE.c.slot_id))]
    assert len(set(leased)) == len(leased)
    assert len(set(voted)) == len(voted)
    assert not set(leased) & set(voted)
    for slot, _, state, _ in slots:
        expected = "leased" if slot in leased else "voted" if slot in voted else "open"
        assert state == expected
    per_item = Counter(item for _, item, _, only_for in slots if only_for is None)
    assert set(per_item.values()) == {store.protocol.votes}
    judged = rows(place, select(VOTE.c.annotator_id, VOTE.c.item_id, ITEM.c.gold)
                  .join(ITEM, VOTE.c.item_id == ITEM.c.id))
    assert len({(who, item) for who, item, _ in judged}) == len(judged)
    real = Counter(who for who, _, gold in judged if gold is None)
    assert max(real.values(), default=0) <= store.protocol.cap
    check_sequences(place)


def check_sequences(place: str | Path) -> None:
    """Nobody sees an item again that was passed on, nor a picture twice in a row."""
    shown = rows(place, select(LEASE.c.annotator_id, LEASE.c.item_id, ITEM.c.picture)
                 .join(ITEM, LEASE.c.item_id == ITEM.c.id)
                 .where(LEASE.c.shown_at.is_not(None)).order_by(LEASE.c.id))
    sequences: dict[object, list[tuple[object, object]]] = defaultdict(list)
    for who, item, picture in shown:
        if not sequences[who] or sequences[who][-1][0] != item:  # else it was shown on
            sequences[who].append((item, picture))
    for sequence in sequences.values():
        items = [item for item, _ in sequence]
        pictures = [picture for _, picture in sequence]
        assert len(set(items)) == len(items)
        assert all(one != other for one, other in pairwise(pictures))


def check_the_end(place: str | Path, store: Store) -> None:
    """Exactly as many votes as wanted, the sides as they were meant to be."""
    check_invariants(place, store)
    votes = [vote for vote in store.votes() if vote.gold is None]
    items = Counter(vote.unit for vote in votes)
    assert len(items) == rows(place, select(func.count()).where(ITEM.c.gold.is_(None)))[0][0]
    assert set(items.values()) == {store.protocol.votes}
    left = Counter(vote.unit for vote in votes if vote.left == "model_a")
    for unit in items:
        assert abs(2 * left[unit] - store.protocol.votes) == store.protocol.votes % 2


def finish_later(store: Store, now: float) -> None:
    """New annotators do what is left, after all leases are over."""
    for _ in range(200):
        who = arrive(store)
        while judge(store, who, now=now) is not None:
            now += 1
        progress = store.progress(now)
        if progress.done == progress.wanted:
            return
    raise AssertionError("the study should be finished by now")


# An annotator after the other; every acknowledged vote is printed at once.
ANNOTATORS = """
import sys
from tiny_study import answer, arrive
from motifocal.study.store import Store
store = Store(sys.argv[1])
for number in range(int(sys.argv[2])):
    who = arrive(store)
    while (task := store.task(who)) is not None:
        given = answer(("left", "right")[task.number % 2], milliseconds=4000 + task.number)
        store.vote(who, task.slot, given)
        print(who, task.slot, task.number, flush=True)
"""


def start(place: str | Path, annotators: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ANNOTATORS, str(place), str(annotators)], stdout=subprocess.PIPE,
        text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])})


def acknowledged(processes: Sequence[subprocess.Popen[str]]) -> list[tuple[str, str, int]]:
    """What the processes print from here to their end, as (annotator, slot, number)."""
    lines = []
    for process in processes:
        with process:  # closes the pipe and waits
            assert process.stdout is not None
            # Not communicate(): it passes over what readline() has read ahead.
            # A line without an end was cut short by the kill: nothing was acknowledged by it.
            lines += process.stdout.read().rpartition("\n")[0].splitlines()
    return [(who, slot, int(number)) for who, slot, number in map(str.split, lines)]
