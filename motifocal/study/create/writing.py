"""Write a layout and its media to a database, atomically."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, insert, inspect
from sqlalchemy.pool import NullPool

from motifocal.files.atomic import replacing
from motifocal.study.create.encoding import IMAGE_TYPE, VIDEO_TYPE, Encoded, Layout, Version
from motifocal.study.store import tables
from motifocal.study.store.database import (
    Database,
    add,
    storage_errors,
    translate_errors,
    url_for_display,
)
from motifocal.study.votes import REPEAT

Tokens = Callable[[], str]


def check_free(place: URL) -> None:
    """Raise ValueError where creating a study would touch something that exists."""
    if place.get_backend_name() == "sqlite":
        path = Path(str(place.database))
        # SQLite would take the log of a lost database for that of the new one.
        for end in ("", "-wal", "-shm", "-journal"):
            existing = path.with_name(path.name + end)
            if os.path.lexists(existing):
                raise ValueError(f"{existing} exists already: move it away, or choose another name")
        return
    with translate_errors(place), Database(place) as database:
        if database.has_table(tables.STUDY.name):
            raise _already_there(place)


def _already_there(place: URL) -> ValueError:
    return ValueError(f"{url_for_display(place)} holds a study already: choose another database")


def write_study(
    place: URL, layout: Layout, videos: Iterable[Encoded], images: Iterable[tuple[str, bytes]],
    tokens: Tokens = secrets.token_urlsafe,
) -> None:  # fmt: skip
    """Write all tables, in one transaction or into a file that gets its name at the end.

    `videos` and `images` (image id, PNG) are stored as they come; `tokens` gives the names under
    which annotators get them.
    """
    with _new(place) as connection:
        tables.TABLES.create_all(connection)
        names, blob = _Names(tokens), insert(tables.BLOB)
        for encoded in videos:
            for version, data in encoded.videos.items():
                names.videos[encoded.group, version] = add(
                    connection, blob, content_type=VIDEO_TYPE, data=data)
        for image_id, data in images:
            names.images[image_id] = names.new(
                add(connection, blob, content_type=IMAGE_TYPE, data=data))
        _write_items(connection, layout, names)
        connection.execute(insert(tables.STUDY), {
            "id": 1, "version": tables.VERSION, "created_at": time.time(),
            "protocol": layout.protocol.to_json(), "protocol_sha256": layout.protocol.digest(),
            "material": json.dumps(layout.material, ensure_ascii=False),
            "salt": secrets.token_hex(32),
        })  # fmt: skip


@contextmanager
def _new(place: URL) -> Iterator[Connection]:
    """Open a transaction that creates a study from nothing."""
    if place.get_backend_name() == "postgresql":
        with (translate_errors(place), Database(place) as database,
              database.create_transaction() as connection):
            if inspect(connection).has_table(tables.STUDY.name):
                raise _already_there(place)
            yield connection
        return
    with storage_errors(place), replacing(Path(str(place.database)), durable=True) as temporary:
        temporary.touch(mode=0o600)  # codes and, if kept, people's ids are private
        engine = create_engine(URL.create("sqlite", database=str(temporary)), poolclass=NullPool)
        with engine.connect() as connection:
            # The file is not visible yet, and what is not finished is thrown away.
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "foreign_keys = ON"):
                connection.exec_driver_sql(f"PRAGMA {pragma}")
            yield connection
            connection.commit()
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        engine.dispose()
        check_free(place)


class _Names:
    """The media that are stored, with a new random name for every use of one."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.videos: dict[tuple[int, Version], int] = {}  # -> the blob's id
        self.images: dict[str, str] = {}  # -> its one name: that it is the same may be seen
        self.rows: list[dict[str, Any]] = []

    def new(self, blob: int) -> str:
        """Return a name for a blob."""
        token = self._tokens()
        self.rows.append({"token": token, "blob_id": blob})
        return token

    def shown(self, layout: Layout, group: int, a: Version, b: Version) -> dict[str, Any]:
        """Return the columns of an item that say what it shows: two videos of a group."""
        return {"picture": self.images[layout.groups[group].pair.image_id],
                "video_a": self.new(self.videos[group, a]),
                "video_b": self.new(self.videos[group, b]), "seed": layout.groups[group].seed}


def _write_items(connection: Connection, layout: Layout, names: _Names) -> None:
    pairs = _write_pairs(connection, layout)
    ours, *others = layout.models
    comparisons = [add(connection, insert(tables.COMPARISON), model_a=ours, model_b=theirs)
                   for theirs in others]

    def real(baseline: int, group: int) -> dict[str, Any]:
        return {"comparison_id": comparisons[baseline - 1], "pair_id": pairs[group],
                "model_a": ours, "model_b": layout.models[baseline],
                **names.shown(layout, group, ("", 0), ("", baseline))}

    real_items = [{**real(item.baseline, item.group), "rank": rank}
                  for rank, item in enumerate(layout.items)]
    repeats = []
    if layout.protocol.gold_every and REPEAT in layout.protocol.gold_kinds:
        repeats = [{**real(item.baseline, item.group), "gold": REPEAT} for item in layout.items]
    damaged = [
        {"pair_id": pairs[gold.group], "gold": gold.kind,
         "model_a": layout.models[gold.model], "model_b": gold.kind,
         **names.shown(layout, gold.group, ("", gold.model), (gold.kind, index))}
        for index, gold in enumerate(layout.gold)
    ]  # fmt: skip
    connection.execute(insert(tables.MEDIA), names.rows)
    items = _write_rows(connection, tables.ITEM, real_items)
    _write_rows(connection, tables.ITEM, [{**repeat, "repeat_of": item}
                                   for item, repeat in zip(items, repeats, strict=False)])
    _write_rows(connection, tables.ITEM, damaged)
    slots = [
        {"item_id": items[rank], "number": number, "shown_left": left, "state": tables.OPEN,
         "rank": rank}
        for rank, item in enumerate(layout.items)
        for number, left in enumerate(item.left)
    ]
    connection.execute(insert(tables.SLOT), slots)


def _write_pairs(connection: Connection, layout: Layout) -> list[int]:
    """Write the pairs; return the row of every group's, which the seeds of a pair share."""
    pairs = {group.pair.stem: group.pair for group in layout.groups}
    rows = [{"stem": pair.stem, "image_id": pair.image_id, "prompt": pair.prompt,
             "scenario": pair.scenario} for pair in pairs.values()]
    ids = dict(zip(pairs, _write_rows(connection, tables.PAIR, rows), strict=True))
    return [ids[group.pair.stem] for group in layout.groups]


def _write_rows(connection: Connection, table: Any, rows: Sequence[dict[str, Any]]) -> list[int]:
    """Write rows and return their ids, in their order."""
    if not rows:
        return []
    statement = insert(table).returning(table.c.id, sort_by_parameter_order=True)
    return list(connection.execute(statement, rows).scalars())
