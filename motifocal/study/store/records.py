"""Read votes for publication with hashed workers; reopen those of annotators who failed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import Connection, bindparam, exists, func, insert, select

from motifocal.files.json_text import parse_json
from motifocal.study.store.tables import ANNOTATOR, ITEM, OPEN, PAIR, SLOT, VOTE
from motifocal.study.votes import Vote, hash_worker

_VOTES = (
    select(VOTE.c.id, ITEM.c.model_a, ITEM.c.model_b, VOTE.c.winner, PAIR.c.stem, PAIR.c.image_id,
           SLOT.c.shown_left, PAIR.c.scenario, PAIR.c.prompt, ITEM.c.seed, VOTE.c.reasons,
           VOTE.c.milliseconds, VOTE.c.loops, ITEM.c.gold, ANNOTATOR.c.token)
    .select_from(VOTE.join(SLOT, VOTE.c.slot_id == SLOT.c.id)
                 .join(ITEM, VOTE.c.item_id == ITEM.c.id)
                 .join(PAIR, ITEM.c.pair_id == PAIR.c.id)
                 .join(ANNOTATOR, VOTE.c.annotator_id == ANNOTATOR.c.id))
    .order_by(VOTE.c.id)
)  # fmt: skip
_REPLACEMENT = SLOT.alias("replacement")
_TO_REPLACE = (
    select(SLOT.c.id, SLOT.c.item_id, SLOT.c.shown_left, SLOT.c.rank)
    .select_from(SLOT.join(VOTE, VOTE.c.slot_id == SLOT.c.id))
    .where(VOTE.c.annotator_id == bindparam("annotator"), SLOT.c.only_for.is_(None),
           ~exists().where(_REPLACEMENT.c.replaces == SLOT.c.id))
    .order_by(SLOT.c.id)
)  # fmt: skip
_LAST_NUMBER = select(func.max(SLOT.c.number)).where(SLOT.c.item_id == bindparam("item"))


def votes(connection: Connection, salt: str, protocol_digest: str) -> Iterator[Vote]:
    """Yield all votes in the order in which they came."""
    hashed: dict[str, str] = {}
    for row in connection.execute(_VOTES):
        if row.token not in hashed:
            hashed[row.token] = hash_worker(row.token, salt)
        yield Vote(
            model_a=row.model_a, model_b=row.model_b, winner=row.winner, pair=row.stem,
            image_id=row.image_id, left=row.shown_left, worker=hashed[row.token],
            scenario=row.scenario, prompt=row.prompt, seed=row.seed,
            reasons=tuple(parse_json(row.reasons)), milliseconds=row.milliseconds,
            loops=row.loops, gold=row.gold, protocol=protocol_digest,
        )  # fmt: skip


def workers(connection: Connection, salt: str, annotators: Collection[int]) -> set[str]:
    """Return the names under which these annotators' votes are published."""
    rows = connection.execute(select(ANNOTATOR.c.id, ANNOTATOR.c.token))
    return {hash_worker(token, salt) for id, token in rows if id in annotators}


def to_replace(connection: Connection, annotators: Collection[int]) -> list[Any]:
    """Return the slots of all real votes of these annotators that have no replacement yet."""
    return [row for annotator in sorted(annotators)
            for row in connection.execute(_TO_REPLACE, {"annotator": annotator})]


def reopen(connection: Connection, annotators: Collection[int]) -> int:
    """Add a slot for each of those; return how many."""
    rows = to_replace(connection, annotators)
    for row in rows:
        number = connection.execute(_LAST_NUMBER, {"item": row.item_id}).scalar_one() + 1
        connection.execute(insert(SLOT), {
            "item_id": row.item_id, "number": number, "shown_left": row.shown_left,
            "state": OPEN, "rank": row.rank, "replaces": row.id,
        })  # fmt: skip
    return len(rows)
