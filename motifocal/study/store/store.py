"""Open a study's database, and offer the operations on it; everything else is refused.

A store may be used by many threads and processes at once. Times are seconds since 1970; `now` is
for tests.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, select
from sqlalchemy.exc import IntegrityError

from motifocal.files.json_text import parse_json
from motifocal.study import messages
from motifocal.study.messages import Annotator, Answer, Media, Progress, Refused, Task, is_token
from motifocal.study.protocol import Protocol
from motifocal.study.schedule import GoldPlan
from motifocal.study.store import annotators, answers, leases, progress, records
from motifocal.study.store.database import Database, parse_url, translate_errors, url_for_display
from motifocal.study.store.tables import BLOB, ITEM, MEDIA, STUDY, VERSION
from motifocal.study.votes import MODEL_A, Vote

_MEDIA = (
    select(BLOB.c.content_type, BLOB.c.data)
    .join(MEDIA, MEDIA.c.blob_id == BLOB.c.id)
    .where(MEDIA.c.token == bindparam("token"))
)


class Store:
    """One study. `url` is a file or postgresql://...

    `protocol` are its rules, `material` says what it was made from (models, benchmark, format of
    the videos, versions). Raises ValueError where there is no study, or one that was tampered with.
    """

    def __init__(self, url: str | Path) -> None:
        place = parse_url(url)
        if place.get_backend_name() == "sqlite" and not Path(str(place.database)).is_file():
            raise ValueError(f"there is no study at {url_for_display(place)}")
        self._database = Database(place)
        with translate_errors(place):
            self._open()

    def _open(self) -> None:
        where = url_for_display(self._database.url)
        if not self._database.has_table(STUDY.name):
            raise ValueError(f"{where} should hold a study, got none")
        with self._database.read() as connection:
            row = connection.execute(select(STUDY)).one()
            items = select(func.count()).select_from(ITEM).where(ITEM.c.gold.is_(None))
            self._items: int = connection.execute(items).scalar_one()
        if row.version != VERSION:
            raise ValueError(f"{where} should hold a study of version {VERSION}, got {row.version}")
        self.protocol = Protocol.model_validate_json(row.protocol)
        self._digest = self.protocol.digest()
        if self._digest != row.protocol_sha256:
            raise ValueError(f"{where}: the protocol should have the hash it was given at the "
                             f"start, {row.protocol_sha256}, got {self._digest}")
        self._database.write_ahead()
        self.material: dict[str, Any] = parse_json(row.material)
        self._salt: str = row.salt

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def join(self, source: str, external: str | None, now: float | None = None) -> Annotator:
        """Return a new annotator, or the one with the id `external` of the service `source`.

        Sources: link, prolific, connect, sona, mturk. Raises Refused("malformed").
        """
        annotators.check_external(source, external)
        for last in (False, True):
            try:
                return self._database.write(lambda connection: annotators.enter(
                    connection, self.protocol, self._salt, source, external, _time(now)))
            except IntegrityError:  # the same person came in by another process just now
                if last:
                    raise
        raise AssertionError("unreachable")

    def annotator(self, id: str) -> Annotator | None:
        """Return the annotator of this random id, or None."""
        if not is_token(id):
            return None
        with self._database.read() as connection:
            row = annotators.find(connection, id)
            return None if row is None else annotators.annotator_of(connection, row)

    def consent(self, id: str, now: float | None = None) -> None:
        """Store the annotator's consent. Raise Refused("unknown")."""
        _check_id(id)
        self._database.write(
            lambda connection: annotators.agree(connection, self.protocol, id, _time(now)))

    def answer_check(self, id: str, answers: Sequence[int], now: float | None = None) -> bool:
        """Return whether these are the right answers (counted from 0). A second wrong try screens
        out.

        Raises Refused: "unknown", or "not ready" before the consent.
        """
        _check_id(id)
        return self._database.write(lambda connection: annotators.try_check(
            connection, self.protocol, id, answers, _time(now)))

    def task(self, id: str, now: float | None = None) -> Task | None:
        """Return what to judge now: what was already on the screen, else something new.

        None: nothing is left for this annotator, who is then "finished". One who comes back later
        goes on where a slot has become free and the cap is not reached. Raises Refused: "unknown",
        or "not ready" before consent and check or after failing it.
        """
        _check_id(id)
        plan = GoldPlan(id, self.protocol.gold_every)
        assignment = self._database.write(
            lambda connection: self._serve(connection, plan, _time(now)), quick=True)
        return None if assignment is None else self._task(assignment, plan)

    def _serve(
        self, connection: Connection, plan: GoldPlan, now: float
    ) -> leases.Assignment | None:
        row = annotators.lock_annotator(connection, plan.token)
        if row.state not in ("ready", "finished"):
            raise Refused("not ready", f"the annotator should be ready, is {row.state}")
        request = leases.AssignmentRequest(connection, self.protocol, plan, row.id, now)
        assignment = leases.assign(request)
        state = "finished" if assignment is None else "ready"
        if state != row.state:
            ended = now if assignment is None else None
            annotators.change(connection, row, state=state, finished_at=ended)
        return assignment

    def _task(self, assignment: leases.Assignment, plan: GoldPlan) -> Task:
        current, following = assignment.current, assignment.following
        left, right = _on_screen(current)
        upcoming = () if following is None else (following.picture, *_on_screen(following))
        length = plan.length(min(self.protocol.cap, self._items))
        return Task(current.token, current.picture, current.prompt, left, right, assignment.number,
                    max(length, assignment.number), upcoming)

    def leave(self, id: str, now: float | None = None) -> None:
        """End the annotator's leases. Raise Refused("unknown")."""
        _check_id(id)
        self._database.write(lambda connection: leases.give_back(
            connection, annotators.lock_annotator(connection, id).id, _time(now)), quick=True)

    def vote(self, id: str, slot: str, answer: Answer, now: float | None = None) -> None:
        """Store an answer; it is on disk when this returns.

        The very same answer for the same slot is accepted again. Raises Refused: see `Refused`.
        """
        _check_id(id)
        messages.check_answer(self.protocol, answer)
        self._database.write(lambda connection: answers.store_vote(
            connection, self.protocol, id, slot, answer, _time(now)))

    def media(self, token: str) -> Media | None:
        """Return the image or video of this random name."""
        if not is_token(token):
            return None
        with self._database.read() as connection:
            row = connection.execute(_MEDIA, {"token": token}).first()
        return None if row is None else Media(row.content_type, row.data)

    def progress(self, now: float | None = None) -> Progress:
        """Return the state of the study in numbers."""
        with self._database.read() as connection:
            return progress.progress(connection, self.protocol, _time(now))

    def votes(self) -> Iterator[Vote]:
        """Yield all votes in the order in which they came, gold included, workers hashed."""
        with self._database.read() as connection:
            yield from records.votes(connection, self._salt, self._digest)

    def failed_gold(self) -> set[str]:
        """Return the workers, hashed as in `votes`, who fail the protocol's rule for gold items."""
        with self._database.read() as connection:
            failed = progress.failed_gold(connection, self.protocol)
            return records.workers(connection, self._salt, failed)

    def votes_to_replace(self) -> int:
        """Return how many slots `reopen_failed` would add."""
        with self._database.read() as connection:
            failed = progress.failed_gold(connection, self.protocol)
            return len(records.to_replace(connection, failed))

    def reopen_failed(self) -> int:
        """Reopen the votes of annotators who failed the gold items, for other annotators.

        Their votes stay. The same model is shown on the left again, so that the sides of the other
        votes stay balanced. Returns how many slots were added; those that were replaced before are
        not again.
        """
        return self._database.write(lambda connection: records.reopen(
            connection, progress.failed_gold(connection, self.protocol)))


def _time(now: float | None) -> float:
    return time.time() if now is None else now


def _check_id(id: str) -> None:
    if not is_token(id):
        raise Refused("unknown", "there is no such annotator")


def _on_screen(lease: leases.LeaseRow) -> tuple[str, str]:
    """Return the videos' tokens, left and right."""
    videos = lease.video_a, lease.video_b
    return videos if lease.shown_left == MODEL_A else videos[::-1]
