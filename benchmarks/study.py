"""Votes that a study takes on SQLite: nearly empty, and with 100 000 stored.

A vote is what it is for an annotator: ask for a comparison, which leases it and the next one, and
send the answer, which is on disk when that returns. Clients are threads, as in the server. One
client cannot be faster than the disk, whose flushes are timed beside it; votes that come at the
same moment share one. The studies have nine comparisons, five votes a pair and gold items.
"""

from __future__ import annotations

import os
import random
import statistics
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from measure import RATIO_HEADER, machine, markdown, parser, ratio_rows, read, take_turns
from sqlalchemy import create_engine, insert, select, update

from motifocal.bench.pairs import Pair
from motifocal.generate.model import Format
from motifocal.study.create.encoding import Encoded, Layout, RealItem
from motifocal.study.create.gold_videos import Damaged
from motifocal.study.create.matching import AS_THEY_ARE, Group
from motifocal.study.create.writing import write_study
from motifocal.study.messages import Answer
from motifocal.study.protocol import Protocol
from motifocal.study.schedule import sides
from motifocal.study.store.database import parse_url
from motifocal.study.store.store import Store
from motifocal.study.store.tables import ANNOTATOR, LEASE, SLOT, VOTE, VOTED
from motifocal.study.votes import GOLD

BASELINES, VOTES, CAP, GOLD_ITEMS = 9, 5, 40, 8
CLIENTS = (1, 8)
GIVEN = Answer("left", ("object_motion",), 9000, 4, 0)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, rounds=8)
    options.add_argument("--stored", type=int, nargs=2, default=(1_000, 100_000),
                         help="votes in the two studies; default: %(default)s")
    options.add_argument("--votes", type=int, default=240, help="in a round; default: %(default)s")
    values = read(options, arguments)
    if values.quick:
        values.stored, values.votes = (200, 1_000), 16
    ways = {}
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(max(CLIENTS)) as pool:
        for clients in CLIENTS:
            for stored in values.stored:
                study = Judged(Path(name) / f"{clients}-{stored}.db", stored,
                               values.votes * (values.rounds + 1))
                plural = "s" if clients > 1 else ""
                ways[f"{stored} votes stored, {clients} client{plural}"] = partial(
                    study.take, pool, clients, values.votes)
        flushes = f"{values.votes} flushes to disk alone"
        ways[flushes] = partial(flush, Path(name) / "flushed", values.votes)
        times = take_turns(ways, values.rounds)
    rows = [[*row, f"{values.votes / statistics.median(times[row[0]]):.3g}"]
            for row in ratio_rows(times, list(ways), next(iter(ways)))]
    print(machine(values.rounds), markdown((*RATIO_HEADER, "a second"), rows), sep="\n\n")


class Judged:
    """A study that holds votes, and annotators who are ready to give so many more."""

    def __init__(self, path: Path, stored: int, more: int) -> None:
        write_blank(path, stored + 2 * more)
        fill(path, stored)
        self.store = Store(path)
        self.ready = deque(self._annotator() for _ in range(2 * more // CAP + max(CLIENTS)))

    def _annotator(self) -> str:
        who = self.store.join("link", None).id
        self.store.consent(who)
        return who

    def take(self, pool: ThreadPoolExecutor, clients: int, votes: int) -> None:
        """So many votes, from so many annotators at a time."""
        list(pool.map(self._client, [votes // clients] * clients))

    def _client(self, votes: int) -> None:
        who = self.ready.popleft()
        while votes:
            task = self.store.task(who)
            if task is None:
                who = self.ready.popleft()
            else:
                self.store.vote(who, task.slot, GIVEN)
                votes -= 1
        self.ready.append(who)


def write_blank(path: Path, wanted: int) -> None:
    """A study of at least so many votes, whose videos are a few bytes."""
    rng = random.Random(0)
    pairs = -(-wanted // (BASELINES * VOTES))
    groups = tuple(Group(Pair("place", f"picture{pair // 4}", f"sentence {pair % 4}"), 0,
                         Path("none"), ()) for pair in range(pairs))
    items = [RealItem(baseline, pair, sides(VOTES, a_more=pair % 2 == 1, order=rng))
             for baseline in range(1, BASELINES + 1) for pair in range(pairs)]
    rng.shuffle(items)
    gold = tuple(Damaged(kind, rng.randrange(pairs), 0, 0, ())
                 for kind in GOLD[:3] for _ in range(GOLD_ITEMS))
    protocol = Protocol(votes=VOTES, cap=CAP, least_seconds=0)
    models = tuple(f"model {number}" for number in range(BASELINES + 1))
    layout = Layout(protocol, models, groups, (Format(16, 320, 320, 8),) * pairs, tuple(items),
                    gold, AS_THEY_ARE, 12, {})
    pictures = ((f"picture{number}", b"picture") for number in range(pairs // 4 + 1))
    write_study(parse_url(path), layout, blank_videos(layout), pictures)


def blank_videos(layout: Layout) -> Iterator[Encoded]:
    damaged: dict[int, list[tuple[str, int]]] = {}
    for index, gold in enumerate(layout.gold):
        damaged.setdefault(gold.group, []).append((gold.kind, index))
    models = [("", model) for model in range(len(layout.models))]
    for group in range(len(layout.groups)):
        yield Encoded(group, dict.fromkeys([*models, *damaged.get(group, [])], b"video"))


def fill(path: Path, stored: int) -> None:
    """Votes on the first items of the study's order, each annotator's up to the cap."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        slots = connection.execute(select(SLOT.c.id, SLOT.c.item_id)
                                   .order_by(SLOT.c.rank, SLOT.c.number).limit(stored)).all()
        annotators = stored // CAP + VOTES
        connection.execute(insert(ANNOTATOR), [
            {"id": who, "token": f"annotator{who}", "source": "link", "state": "finished",
             "tries": 0, "joined_at": 0.0} for who in range(1, annotators + 1)])
        rows: list[dict[str, Any]] = [
            {"id": number, "lease_id": number, "token": f"lease{number}", "slot_id": slot,
             "item_id": item, "winner": "model_a", "reasons": "[]", "milliseconds": 9000,
             "loops": 4, "hidden_milliseconds": 0, "leased_at": 0.0, "expires_at": 1.0,
             "shown_at": 0.0, "ended_at": 1.0, "voted_at": float(number),
             # Blocks of as many items as the cap: five annotators judge all items of one.
             "annotator_id": number // (CAP * VOTES) * VOTES + number % VOTES + 1}
            for number, (slot, item) in enumerate(slots)
        ]  # fmt: skip
        for table in (LEASE, VOTE):
            held = [{column.name: row[column.name] for column in table.c} for row in rows]
            connection.execute(insert(table), held)
        last = max(slot for slot, _ in slots)
        connection.execute(update(SLOT).where(SLOT.c.id <= last).values(state=VOTED))
    engine.dispose()


def flush(path: Path, times: int) -> None:
    """A page written and flushed, over and over: what the disk allows."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        for number in range(times):
            os.pwrite(descriptor, bytes([number % 256]) * 4096, 0)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
