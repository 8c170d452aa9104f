"""Register annotators: arrival, consent, comprehension check.

joined -> consented -> ready -> finished; without a comprehension check consent makes ready, and
two wrong tries end at screened_out.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from motifocal.study.messages import SOURCES, Annotator, Refused, State
from motifocal.study.protocol import CHECK_TRIES, Protocol
from motifocal.study.store.database import add
from motifocal.study.store.tables import ANNOTATOR, PERSON, VOTE

LONGEST_EXTERNAL = 200  # characters of a recruitment service's number

_ROW = select(ANNOTATOR).where(ANNOTATOR.c.token == bindparam("who"))
_ROW_LOCKED = _ROW.with_for_update(key_share=True)
_ANSWERED = select(func.count()).where(VOTE.c.annotator_id == bindparam("me"))
_KNOWN = (
    select(ANNOTATOR)
    .join(PERSON, PERSON.c.annotator_id == ANNOTATOR.c.id)
    .where(PERSON.c.source == bindparam("source"),
           PERSON.c.external_hash == bindparam("external_hash"))
)  # fmt: skip


def find(connection: Connection, who: str, *, lock: bool = False) -> Any:
    """Return the row of an annotator, or None; `lock` makes other writers wait."""
    return connection.execute(_ROW_LOCKED if lock else _ROW, {"who": who}).first()


def lock_annotator(connection: Connection, who: str) -> Any:
    """Return the row of an annotator, locked. Raise Refused("unknown")."""
    row = find(connection, who, lock=True)
    if row is None:
        raise Refused("unknown", "there is no such annotator")
    return row


def annotator_of(connection: Connection, row: Any) -> Annotator:
    """Return a row as an `Annotator`."""
    answered = connection.execute(_ANSWERED, {"me": row.id}).scalar_one()
    return Annotator(row.token, row.state, row.source, row.tries, answered)


def check_external(source: str, external: str | None) -> None:
    """Raise Refused("malformed") for an unknown source, or a number that no service gives."""
    if source not in SOURCES:
        raise Refused("malformed", f"source should be one of {', '.join(SOURCES)}, got {source!r}")
    if external is not None and not (
        0 < len(external) <= LONGEST_EXTERNAL and external.isprintable()
    ):
        raise Refused("malformed", f"the id should have 1 to {LONGEST_EXTERNAL} plain characters, "
                                   f"got {external!r:.50}")


def enter(
    connection: Connection, protocol: Protocol, salt: str, source: str, external: str | None,
    now: float,
) -> Annotator:  # fmt: skip
    """Return the annotator with this id of this service; a new one where there is none."""
    hashed = ""
    if external is not None:
        hashed = hmac.new(salt.encode(), f"{source} {external}".encode(),
                          hashlib.sha256).hexdigest()  # fmt: skip
        known = connection.execute(_KNOWN, {"source": source, "external_hash": hashed}).first()
        if known is not None:
            return annotator_of(connection, known)
    token = secrets.token_urlsafe(16)
    me = add(connection, insert(ANNOTATOR), token=token, source=source, state="joined", tries=0,
             joined_at=now)
    if external is not None:
        connection.execute(insert(PERSON), {
            "annotator_id": me, "source": source, "external_hash": hashed,
            "external": external if protocol.keep_ids else None,
        })  # fmt: skip
    return annotator_of(connection, lock_annotator(connection, token))


def agree(connection: Connection, protocol: Protocol, who: str, now: float) -> None:
    """Store the consent; a second time it changes nothing."""
    row = lock_annotator(connection, who)
    if row.state == "joined":
        state: State = "consented" if protocol.check else "ready"
        change(connection, row, state=state, consented_at=now)


def try_check(
    connection: Connection, protocol: Protocol, who: str, answers: Sequence[int], now: float
) -> bool:
    """Return whether the answers to the comprehension check are right; the second wrong try is the
    last."""
    row = lock_annotator(connection, who)
    if row.state in ("ready", "finished"):
        return True
    if row.state == "screened_out":
        return False
    if row.state != "consented":
        raise Refused("not ready", "consent comes before the check")
    if list(answers) == [question.right for question in protocol.check]:
        change(connection, row, state="ready")
        return True
    tries = row.tries + 1
    if tries >= CHECK_TRIES:
        change(connection, row, state="screened_out", tries=tries, finished_at=now)
    else:
        change(connection, row, tries=tries)
    return False


def change(connection: Connection, row: Any, **values: Any) -> None:
    """Set columns of an annotator's row."""
    connection.execute(update(ANNOTATOR).where(ANNOTATOR.c.id == row.id).values(values))
