"""Choose a gold item for an annotator, and make a slot for it."""

from __future__ import annotations

import random

from sqlalchemy import ColumnElement, Connection, bindparam, exists, insert, select

from motifocal.study.protocol import Protocol
from motifocal.study.schedule import GoldPlan, other_side
from motifocal.study.store.database import add
from motifocal.study.store.tables import ITEM, LEASE, OPEN, SLOT, VOTE
from motifocal.study.votes import MODEL_A, MODEL_B, REPEAT, TIE

REPEAT_AFTER = 3  # comparisons at least lie between a pair and its repeat

_ME: ColumnElement[int] = bindparam("me")
_NEW = ~exists().where(LEASE.c.annotator_id == _ME, LEASE.c.item_id == ITEM.c.id,
                       LEASE.c.shown_at.is_not(None))  # fmt: skip
_DAMAGED = (
    select(ITEM.c.id)
    .where(ITEM.c.gold == bindparam("kind"), ITEM.c.picture != bindparam("avoid"), _NEW)
    .order_by(ITEM.c.id)
)
_LATEST = (
    select(VOTE.c.id)
    .where(VOTE.c.annotator_id == _ME)
    .order_by(VOTE.c.id.desc())
    .limit(1)
    .offset(REPEAT_AFTER - 1)
    .scalar_subquery()
)
_REPEATS = (
    select(ITEM.c.id, SLOT.c.shown_left)
    .select_from(VOTE.join(ITEM, ITEM.c.repeat_of == VOTE.c.item_id)
                 .join(SLOT, SLOT.c.id == VOTE.c.slot_id))
    .where(VOTE.c.annotator_id == _ME, VOTE.c.winner != TIE, VOTE.c.id < _LATEST,
           ITEM.c.picture != bindparam("avoid"), _NEW)
    .order_by(ITEM.c.id)
)  # fmt: skip
_OWN = select(SLOT.c.id).where(SLOT.c.item_id == bindparam("item"), SLOT.c.number == _ME)
_INSERT = insert(SLOT)


def choose_gold(
    connection: Connection, protocol: Protocol, plan: GoldPlan, me: int, number: int, avoid: str
) -> int | None:
    """Return the slot of a gold item for the annotator `me`, or None where there is none to show.

    The kinds come in turn, in an order of this annotator's own; a kind of which nothing is left,
    or only the image `avoid`, is passed over.
    """
    kinds = list(protocol.gold_kinds)
    random.Random(f"{plan.token} kinds").shuffle(kinds)
    first = (number - 1) // plan.every
    rng = plan.drawing(number)
    for turn in range(len(kinds)):
        kind = kinds[(first + turn) % len(kinds)]
        values = {"me": me, "kind": kind, "avoid": avoid}
        if kind == REPEAT:
            candidates = [(item, other_side(left))
                          for item, left in connection.execute(_REPEATS, values)]
        else:
            candidates = [(item, rng.choice((MODEL_A, MODEL_B)))
                          for (item,) in connection.execute(_DAMAGED, values)]
        if candidates:
            return _own_slot(connection, me, *rng.choice(candidates))
    return None


def _own_slot(connection: Connection, me: int, item: int, shown_left: str) -> int:
    """Return the annotator's own slot of a gold item, or make it."""
    slot = connection.execute(_OWN, {"item": item, "me": me}).scalar()
    if slot is None:
        slot = add(connection, _INSERT, item_id=item, number=me, shown_left=shown_left,
                   state=OPEN, only_for=me)
    return int(slot)
