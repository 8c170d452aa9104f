"""Count the progress of a running study for the researcher: how far, how fast, how reliable."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, case, exists, func, select

from motifocal.study.messages import ComparisonProgress, Progress
from motifocal.study.protocol import Protocol
from motifocal.study.store.tables import ANNOTATOR, COMPARISON, ITEM, LEASE, SLOT, VOTE, VOTED
from motifocal.study.votes import MODEL_A, REPEAT, TIE

HOUR = 3600.0

_REPLACEMENT = SLOT.alias("replacement")
_REPLACED = exists().where(_REPLACEMENT.c.replaces == SLOT.c.id)
_COMPARISONS = (
    select(COMPARISON.c.model_a, COMPARISON.c.model_b,
           func.count(case((SLOT.c.state == VOTED, 1))), func.count(SLOT.c.id))
    .select_from(SLOT.join(ITEM, SLOT.c.item_id == ITEM.c.id)
                 .join(COMPARISON, ITEM.c.comparison_id == COMPARISON.c.id))
    .where(SLOT.c.only_for.is_(None), ~_REPLACED)
    .group_by(COMPARISON.c.id, COMPARISON.c.model_a, COMPARISON.c.model_b)
    .order_by(COMPARISON.c.id)
)  # fmt: skip
_VOTES = VOTE.join(ITEM, VOTE.c.item_id == ITEM.c.id)
_EARLIER = VOTE.alias("earlier")
_RIGHT = case((ITEM.c.gold == REPEAT, _EARLIER.c.winner == VOTE.c.winner),
              else_=VOTE.c.winner == MODEL_A)  # fmt: skip


def progress(connection: Connection, protocol: Protocol, now: float) -> Progress:
    """Return all numbers, of one moment."""
    comparisons = tuple(ComparisonProgress(*row) for row in connection.execute(_COMPARISONS))
    done = sum(comparison.done for comparison in comparisons)
    expected = sum(comparison.wanted for comparison in comparisons)
    pace = _votes_per_hour(connection, now)
    gold = _gold_answers(connection, protocol)
    left, choices = connection.execute(
        select(func.count(case((VOTE.c.winner == SLOT.c.shown_left, 1))), func.count())
        .select_from(_VOTES.join(SLOT, VOTE.c.slot_id == SLOT.c.id))
        .where(ITEM.c.gold.is_(None), VOTE.c.winner != TIE)).one()
    runs = select(func.count()).select_from(LEASE).where(
        LEASE.c.ended_at.is_(None), LEASE.c.expires_at > now)
    states = select(ANNOTATOR.c.state, func.count()).group_by(ANNOTATOR.c.state)
    return Progress(
        comparisons=comparisons,
        done=done,
        wanted=expected,
        leased=connection.execute(runs).scalar_one(),
        votes_per_hour=pace,
        seconds_left=(expected - done) / pace * HOUR if pace else None,
        annotators={state: count for state, count in connection.execute(states)},
        gold_answered=sum(row.answered for row in gold),
        gold_right=sum(row.right for row in gold),
        failed_gold=sum(protocol.fails_gold(row.answered, row.right) for row in gold),
        left_share=left / choices if choices else None,
        median_seconds=_median_seconds(connection),
    )


def _gold_answers(connection: Connection, protocol: Protocol) -> list[Any]:
    """Return (annotator's row id, answered, right) of all who have answered a counted gold item.

    Of a damaged video the whole one is right, of a repeat the choice that the annotator made
    before; a tie never is.
    """
    joined = _VOTES.outerjoin(_EARLIER, and_(_EARLIER.c.item_id == ITEM.c.repeat_of,
                                             _EARLIER.c.annotator_id == VOTE.c.annotator_id))
    answers = (
        select(VOTE.c.annotator_id, func.count().label("answered"),
               func.count(case((_RIGHT, 1))).label("right"))
        .select_from(joined)
        .where(ITEM.c.gold.in_(protocol.gold_counted))
        .group_by(VOTE.c.annotator_id)
        .order_by(VOTE.c.annotator_id)
    )  # fmt: skip
    return list(connection.execute(answers))


def failed_gold(connection: Connection, protocol: Protocol) -> set[int]:
    """Return row ids of the annotators who fail the protocol's rule."""
    return {row.annotator_id for row in _gold_answers(connection, protocol)
            if protocol.fails_gold(row.answered, row.right)}


def _votes_per_hour(connection: Connection, now: float) -> float | None:
    """Return real votes over the last hour, or since the first one."""
    first = connection.execute(
        select(func.min(VOTE.c.voted_at)).where(VOTE.c.voted_at > now - HOUR)).scalar()
    if first is None:
        return None
    recent = connection.execute(
        select(func.count()).select_from(_VOTES)
        .where(VOTE.c.voted_at > now - HOUR, ITEM.c.gold.is_(None))).scalar_one()
    earlier = connection.execute(
        select(VOTE.c.id).where(VOTE.c.voted_at <= now - HOUR).limit(1)).first()
    seconds = HOUR if earlier is not None else max(now - first, 1.0)
    return float(recent / seconds * HOUR)


def _median_seconds(connection: Connection) -> float | None:
    real = select(VOTE.c.milliseconds).select_from(_VOTES).where(ITEM.c.gold.is_(None))
    count = connection.execute(select(func.count()).select_from(real.subquery())).scalar_one()
    if not count:
        return None
    middle = (real.order_by(VOTE.c.milliseconds).offset((count - 1) // 2).limit(2 - count % 2))
    values = connection.execute(middle).scalars().all()
    return float(sum(values) / len(values) / 1000)
