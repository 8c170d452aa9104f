"""Import votes that were given without a server, never more than the study asks for."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, case, insert, select, update

from motifocal.study.messages import Answer, check_answer
from motifocal.study.store import annotators, answers
from motifocal.study.store.database import add
from motifocal.study.store.store import Store
from motifocal.study.store.tables import IS_OPEN, ITEM, LEASE, OPEN, PAIR, SLOT, VOTE
from motifocal.study.votes import MODEL_A, MODEL_B

SOURCE = "static"
LEASE_SECONDS = 60.0

ImportResult = Literal["taken", "known", "surplus"]


@dataclass(frozen=True)
class Item:
    """An item to judge: an image, a prompt, `model_a`'s and `model_b`'s video, by their names.

    `gold` is the kind of a gold item; a repeat is one `of` the item with that id.
    """

    id: int
    image: str
    prompt: str
    videos: tuple[str, str]
    gold: str | None = None
    of: int | None = None


@dataclass(frozen=True)
class ShownItem:
    """An item as an annotator sees it: which of its two videos is on the left."""

    item: Item
    left: int

    @property
    def media(self) -> tuple[str, str]:
        """The names of the left and the right video."""
        return self.item.videos[self.left], self.item.videos[1 - self.left]


_ITEMS = (
    select(ITEM.c.id, ITEM.c.picture, PAIR.c.prompt, ITEM.c.video_a, ITEM.c.video_b, ITEM.c.gold,
           ITEM.c.repeat_of)
    .select_from(ITEM.join(PAIR, ITEM.c.pair_id == PAIR.c.id))
    .order_by(ITEM.c.id)
)  # fmt: skip
_VOTED = (
    select(LEASE.c.token)
    .select_from(LEASE.join(VOTE, VOTE.c.lease_id == LEASE.c.id))
    .where(VOTE.c.annotator_id == bindparam("me"), VOTE.c.item_id == bindparam("item"))
)
_FREE = (
    select(SLOT.c.id, SLOT.c.shown_left)
    .where(SLOT.c.item_id == bindparam("item"), IS_OPEN, SLOT.c.only_for.is_(None))
    .order_by(case((SLOT.c.shown_left == bindparam("side"), 0), else_=1), SLOT.c.number)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_SET_SIDE = update(SLOT).where(SLOT.c.id == bindparam("slot")).values(shown_left=bindparam("side"))


class OfflineImport(Store):
    """A study that also lists its items, and imports votes for them without leases.

    Such a vote fills a free slot of its item; one with the same model on the left, else any, which
    then is a slot with that side.
    """

    def items(self) -> tuple[Item, ...]:
        """Return all items, real and gold, in the order in which they were made."""
        with self._database.read() as connection:
            rows = connection.execute(_ITEMS).all()
        return tuple(Item(row.id, row.picture, row.prompt, (row.video_a, row.video_b), row.gold,
                          row.repeat_of) for row in rows)

    def import_answers(
        self, worker: str, answers: Sequence[tuple[ShownItem, Answer]], now: float | None = None
    ) -> Counter[ImportResult]:
        """Store one annotator's answers in their order, all or none; count the results of each
        kind.

        "known": this very answer is there already. "surplus": the item has all votes it wants, or
        they are being given right now. Raises Refused for an answer that the protocol does not
        allow, or that differs from one that is there.
        """
        moment = time.time() if now is None else now
        for _, answer in answers:
            check_answer(self.protocol, answer)

        def work(connection: Connection) -> Counter[ImportResult]:
            annotator = annotators.enter(connection, self.protocol, self._salt, SOURCE, worker,
                                         moment)
            row = annotators.lock_annotator(connection, annotator.id)
            if row.state == "joined":
                annotators.change(connection, row, consented_at=moment)
            annotators.change(connection, row, state="ready")
            results = Counter(self._take(connection, row, shown, answer, moment)
                              for shown, answer in answers)  # fmt: skip
            annotators.change(connection, row, state="finished", finished_at=moment)
            return results

        return self._database.write(work)

    def _take(
        self, connection: Connection, row: Any, shown: ShownItem, answer: Answer, now: float
    ) -> ImportResult:
        before = {"me": row.id, "item": shown.item.id}
        token = connection.execute(_VOTED, before).scalar()
        result: ImportResult = "taken" if token is None else "known"
        if token is None:
            slot = _slot(connection, row.id, shown)
            if slot is None:
                return "surplus"
            token = secrets.token_urlsafe(16)
            connection.execute(insert(LEASE), {
                "token": token, "slot_id": slot, "item_id": shown.item.id, "annotator_id": row.id,
                "leased_at": now, "shown_at": now - (self.protocol.least_seconds or 0),
                "expires_at": now + LEASE_SECONDS,
            })  # fmt: skip
        answers.store_vote(connection, self.protocol, row.token, token, answer, now)
        return result


def _slot(connection: Connection, me: int, shown: ShownItem) -> int | None:
    """Return a free slot for what was shown; each annotator has their own slot of a gold item."""
    item, side = shown.item.id, (MODEL_A, MODEL_B)[shown.left]
    if shown.item.gold is not None:
        return add(connection, insert(SLOT), item_id=item, number=me, shown_left=side, state=OPEN,
                   only_for=me)
    free = connection.execute(_FREE, {"item": item, "side": side}).first()
    if free is None:
        return None
    if free.shown_left != side:
        connection.execute(_SET_SIDE, {"slot": free.id, "side": side})
    return int(free.id)
