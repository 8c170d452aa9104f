"""Store an answer as a vote, durably and only once, or refuse it with the reason."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select

from motifocal.study.messages import Answer, Refused, is_token
from motifocal.study.protocol import Protocol
from motifocal.study.schedule import other_side
from motifocal.study.store.leases import END, SET_STATE
from motifocal.study.store.tables import ANNOTATOR, LEASE, SLOT, VOTE, VOTED
from motifocal.study.votes import TIE

_LEASE = (
    select(LEASE.c.id, LEASE.c.slot_id, LEASE.c.item_id, LEASE.c.annotator_id, LEASE.c.shown_at,
           LEASE.c.expires_at, LEASE.c.ended_at, SLOT.c.shown_left,
           ANNOTATOR.c.token.label("holder"), ANNOTATOR.c.state)
    .select_from(LEASE.join(SLOT, LEASE.c.slot_id == SLOT.c.id)
                 .join(ANNOTATOR, LEASE.c.annotator_id == ANNOTATOR.c.id))
    .where(LEASE.c.token == bindparam("token"))
    .with_for_update(of=LEASE)
)  # fmt: skip
_STORED = (
    select(VOTE.c.winner, VOTE.c.reasons, VOTE.c.milliseconds, VOTE.c.loops,
           VOTE.c.hidden_milliseconds)
    .where(VOTE.c.lease_id == bindparam("lease"))
)  # fmt: skip
_INSERT = insert(VOTE)


def store_vote(
    connection: Connection, protocol: Protocol, who: str, slot: str, answer: Answer, now: float
) -> None:
    """Insert the vote of annotator `who` for the lease `slot`, and end the lease.

    `check_answer` has let the answer pass. The very same answer again is taken for a lost
    acknowledgement. Raises Refused.
    """
    lease = connection.execute(_LEASE, {"token": slot}).first() if is_token(slot) else None
    if lease is None:
        raise Refused("unknown", "there is no such slot")
    if lease.holder != who:
        raise Refused("not yours", "this slot is another annotator's")
    values = _values(lease, protocol, answer)
    if lease.ended_at is not None:
        stored = connection.execute(_STORED, {"lease": lease.id}).first()
        if stored is None:
            raise Refused("expired", "the slot was given back")
        if dict(stored._mapping) != {name: values[name] for name in stored._mapping}:
            raise Refused("answered", "the slot has another answer already")
        return
    _check_time(lease, protocol, now)
    connection.execute(_INSERT, {**values, "voted_at": now})
    connection.execute(END, {"lease": lease.id, "now": now})
    connection.execute(SET_STATE, {"slot": lease.slot_id, "to": VOTED})


def _check_time(lease: Any, protocol: Protocol, now: float) -> None:
    if lease.state != "ready":
        raise Refused("not ready", f"the annotator should be ready, is {lease.state}")
    if lease.expires_at <= now:
        raise Refused("expired", "the time for this slot is over")
    if lease.shown_at is None or now < lease.shown_at + (protocol.least_seconds or 0):
        raise Refused("too early", "the videos should be watched first")


def _values(lease: Any, protocol: Protocol, answer: Answer) -> dict[str, Any]:
    left = lease.shown_left
    winner = {"left": left, "right": other_side(left), TIE: TIE}[answer.choice]
    # In the protocol's order, whatever the order of the clicks.
    reasons = [key for key in protocol.reason_keys if key in answer.reasons]
    return {
        "lease_id": lease.id, "slot_id": lease.slot_id, "item_id": lease.item_id,
        "annotator_id": lease.annotator_id, "winner": winner, "reasons": json.dumps(reasons),
        "milliseconds": answer.milliseconds, "loops": answer.loops,
        "hidden_milliseconds": answer.hidden_milliseconds,
    }  # fmt: skip
