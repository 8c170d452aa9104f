"""The protocol of tiny studies, and the videos that a database of one holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, select
from study_checks import rows
from tiny_study import RULES

from motifocal.media.picture import Pixels
from motifocal.media.video import read_video
from motifocal.study.protocol import Protocol
from motifocal.study.store.tables import BLOB, ITEM, MEDIA

PROTOCOL = Protocol(**RULES)


def videos_of(path: Path, where: Any = None) -> list[tuple[Any, bytes, bytes]]:
    """(item, its first video, its second) of all items."""
    blobs = {token: data for token, data in rows(path, select(MEDIA.c.token, BLOB.c.data).join(
        BLOB, MEDIA.c.blob_id == BLOB.c.id))}
    engine = create_engine(f"sqlite:///{path}")
    statement = select(ITEM) if where is None else select(ITEM).where(where)
    with engine.connect() as connection:
        items = connection.execute(statement).all()
    engine.dispose()
    return [(item, blobs[item.video_a], blobs[item.video_b])  # type: ignore[misc]
            for item in items]


def decoded(data: bytes, folder: Path) -> Pixels:
    path = folder / "decoded.mp4"
    path.write_bytes(data)
    return read_video(path).frames
