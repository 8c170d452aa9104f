"""Lease annotators a slot to judge and the next one in advance, for a limited time.

The order in which a study is worked through is drawn when it is made (`rank`). An annotator gets
one of the first items of that order that still want a vote, are new to this annotator and show
another picture than the one just seen. So items that were begun are finished before others are
begun, wherever the study stops most of them are whole, and no two annotators see the same sequence.

A slot is leased to one annotator until the lease ends: by a vote, by leaving, or by time. Expired
leases are ended at the next request. Two processes cannot take one slot: SQLite has one writer,
and PostgreSQL skips slots that another transaction claims. A request waits for a transaction that
ends expired leases: their slots are open only when it is committed, so that a request that does not
wait may find none, and its annotator would be finished.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from motifocal.study.protocol import Protocol
from motifocal.study.schedule import GoldPlan
from motifocal.study.store.database import add
from motifocal.study.store.gold_slots import choose_gold
from motifocal.study.store.tables import IS_OPEN, ITEM, LEASE, LEASED, OPEN, PAIR, SLOT, VOTE

WINDOW = 64  # slots that the next one is drawn from, of a dozen items or more


class LeaseRow(NamedTuple):
    """A leased slot, with all that is needed to show it."""

    lease_id: int
    token: str
    expires_at: float
    shown_at: float | None
    slot_id: int
    item_id: int
    shown_left: str
    picture: str
    video_a: str
    video_b: str
    gold: str | None
    prompt: str


@dataclass(frozen=True)
class AssignmentRequest:
    """A request of one annotator for work: `annotator` is the row's id, `now` in seconds."""

    connection: Connection
    protocol: Protocol
    plan: GoldPlan
    annotator: int
    now: float


class Assignment(NamedTuple):
    """What an annotator judges now as comparison `number`, and what comes after it."""

    current: LeaseRow
    following: LeaseRow | None
    number: int


_SHOWN = (SLOT.c.id, SLOT.c.item_id, SLOT.c.shown_left, ITEM.c.picture, ITEM.c.video_a,
          ITEM.c.video_b, ITEM.c.gold, PAIR.c.prompt)  # fmt: skip
_WHOLE = SLOT.join(ITEM, SLOT.c.item_id == ITEM.c.id).join(PAIR, ITEM.c.pair_id == PAIR.c.id)
_ME: ColumnElement[int] = bindparam("me")
_RUNNING = (
    select(LEASE.c.id, LEASE.c.token, LEASE.c.expires_at, LEASE.c.shown_at, *_SHOWN)
    .select_from(_WHOLE.join(LEASE, LEASE.c.slot_id == SLOT.c.id))
    .where(LEASE.c.annotator_id == _ME, LEASE.c.ended_at.is_(None))
    .order_by(LEASE.c.id)
)
_ANSWERED = (
    select(func.count(), func.count(ITEM.c.rank))  # gold has no rank
    .select_from(VOTE.join(ITEM, VOTE.c.item_id == ITEM.c.id)).where(VOTE.c.annotator_id == _ME)
)
_LAST_SHOWN = (
    select(LEASE.c.id, LEASE.c.item_id, ITEM.c.picture, VOTE.c.id.label("vote"))
    .select_from(LEASE.join(ITEM, LEASE.c.item_id == ITEM.c.id)
                 .outerjoin(VOTE, VOTE.c.lease_id == LEASE.c.id))
    .where(LEASE.c.annotator_id == _ME, LEASE.c.shown_at.is_not(None))
    .order_by(LEASE.c.id.desc())
    .limit(1)
)  # fmt: skip
_SEEN = exists().where(LEASE.c.annotator_id == _ME, LEASE.c.item_id == SLOT.c.item_id,
                       LEASE.c.shown_at.is_not(None))  # fmt: skip
_CANDIDATES = (
    select(SLOT.c.id, SLOT.c.item_id)
    .select_from(SLOT.join(ITEM, SLOT.c.item_id == ITEM.c.id))
    .where(IS_OPEN, SLOT.c.only_for.is_(None), ITEM.c.picture != bindparam("avoid"),
           ~_SEEN)
    .order_by(SLOT.c.rank, SLOT.c.number)
    .limit(WINDOW)
)  # fmt: skip
_CLAIM_SLOT = (
    select(*_SHOWN)
    .select_from(_WHOLE)
    .where(SLOT.c.id == bindparam("slot"), IS_OPEN)
    .with_for_update(of=SLOT, skip_locked=True)
)
_CLAIM_SLOT_OF_ITEM = (
    select(*_SHOWN)
    .select_from(_WHOLE)
    .where(SLOT.c.item_id == bindparam("item"), IS_OPEN,
           or_(SLOT.c.only_for.is_(None), SLOT.c.only_for == _ME))
    .order_by(SLOT.c.number)
    .limit(1)
    .with_for_update(of=SLOT, skip_locked=True)
)  # fmt: skip
_EXPIRED = (  # in no order: SQLite would walk through all leases for one
    select(LEASE.c.id, LEASE.c.slot_id)
    .where(LEASE.c.ended_at.is_(None), LEASE.c.expires_at <= bindparam("now"))
    .with_for_update()
)
_OWN_LEASES = (
    select(LEASE.c.id, LEASE.c.slot_id)
    .where(LEASE.c.ended_at.is_(None), LEASE.c.annotator_id == _ME)
    .order_by(LEASE.c.id)
    .with_for_update()
)
SET_STATE = update(SLOT).where(SLOT.c.id == bindparam("slot")).values(state=bindparam("to"))
END = update(LEASE).where(LEASE.c.id == bindparam("lease")).values(ended_at=bindparam("now"))
_SHOW = (
    update(LEASE)
    .where(LEASE.c.id == bindparam("lease"))
    .values(shown_at=bindparam("shown"), expires_at=bindparam("until"))
)


def assign(request: AssignmentRequest) -> Assignment | None:
    """Return what the annotator has to judge: what is on the screen already, or something new.

    A comparison that was shown and never answered comes first, as long as no other annotator has it
    since; it is not shown again otherwise. None: nothing is left for this annotator.
    """
    give_back_expired(request.connection, request.now)
    me = {"me": request.annotator}
    rows: Sequence[Any] = request.connection.execute(_RUNNING, me).all()
    running = [LeaseRow(*row) for row in rows]
    answered, real = request.connection.execute(_ANSWERED, me).one()
    last = request.connection.execute(_LAST_SHOWN, me).first()
    interrupted = last is not None and last.vote is None
    if running and interrupted and last is not None and running[0].lease_id != last.id:
        # What was leased ahead comes too soon.
        give_back(request.connection, request.annotator, request.now)
        running = []
    current = running[0] if running else None
    if current is None and interrupted and last is not None:
        current = _lease(request, _CLAIM_SLOT_OF_ITEM, item=last.item_id, me=request.annotator)
    if current is None:
        current = _lease_next(request, answered + 1, real, "" if last is None else last.picture)
    if current is None:
        return None
    _show(request, current)
    real += current.gold is None
    following = (running[1] if running[1:]
                 else _lease_next(request, answered + 2, real, current.picture))
    return Assignment(current, following, answered + 1)


def give_back_expired(connection: Connection, now: float) -> None:
    """End all leases whose time is over; their slots are open again."""
    _end(connection, connection.execute(_EXPIRED, {"now": now}).all(), now)


def give_back(connection: Connection, annotator: int, now: float) -> None:
    """End one annotator's leases; their slots are open again."""
    _end(connection, connection.execute(_OWN_LEASES, {"me": annotator}).all(), now)


def _end(connection: Connection, leases: Sequence[Any], now: float) -> None:
    if leases:
        connection.execute(END, [{"lease": lease, "now": now} for lease, _ in leases])
        connection.execute(SET_STATE, [{"slot": slot, "to": OPEN} for _, slot in leases])


def _show(request: AssignmentRequest, lease: LeaseRow) -> None:
    """Note when the slot was first shown, and prolong the lease while the annotator is there."""
    whole = request.protocol.lease_seconds
    if lease.shown_at is None or lease.expires_at < request.now + whole / 2:
        shown_at = request.now if lease.shown_at is None else lease.shown_at
        request.connection.execute(_SHOW, {"lease": lease.lease_id, "shown": shown_at,
                                           "until": request.now + whole})


def _lease_next(request: AssignmentRequest, number: int, real: int, avoid: str) -> LeaseRow | None:
    """Lease a slot for comparison `number`, after `real` real ones and the picture `avoid`."""
    if real >= request.protocol.cap:
        return None
    rng = request.plan.drawing(number)
    if request.plan.due(number):
        slot = choose_gold(request.connection, request.protocol, request.plan, request.annotator,
                           number, avoid)
        if slot is not None:
            return _lease(request, _CLAIM_SLOT, slot=slot)
    candidates = request.connection.execute(
        _CANDIDATES, {"me": request.annotator, "avoid": avoid}).all()
    slots: dict[int, list[int]] = {}
    for slot, item in candidates:
        slots.setdefault(item, []).append(slot)
    items = list(slots)
    rng.shuffle(items)
    claims = (_lease(request, _CLAIM_SLOT, slot=slot) for item in items for slot in slots[item])
    return next(filter(None, claims), None)


def _lease(request: AssignmentRequest, claim: Any, **values: int) -> LeaseRow | None:
    """Lease the slot that the statement `claim` finds, unless another process has it by now."""
    row = request.connection.execute(claim, values).first()
    if row is None:
        return None
    slot, item = row[0], row[1]
    token = secrets.token_urlsafe(16)
    until = request.now + request.protocol.lease_seconds
    request.connection.execute(SET_STATE, {"slot": slot, "to": LEASED})
    lease = add(request.connection, _INSERT, token=token, slot_id=slot, item_id=item,
                annotator_id=request.annotator, leased_at=request.now, expires_at=until)
    return LeaseRow(lease, token, until, None, *row)


_INSERT = insert(LEASE)
