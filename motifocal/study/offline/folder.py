"""Write a study as a static folder, and read the files of answers that are returned.

The folder works from a disk and from any static host. What is right in the comprehension check, and
which lists there are, can be read in it by who looks for it, so it is for people who are trusted.
"""

from __future__ import annotations

import json
import os
import random
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from motifocal.files.atomic import write_bytes, write_text
from motifocal.files.json_text import parse_strict_json
from motifocal.files.settings import check_own_folder, lock_settings
from motifocal.study.messages import Answer, AnswerBody, check_answer
from motifocal.study.offline.assignment import lists_of
from motifocal.study.offline.import_votes import ImportResult, OfflineImport, ShownItem
from motifocal.study.web.rendering import ASSET_FOLDER, ASSETS, templates

SCRIPTS = ("data.js", "in_step.js", "pair.js", "media.js", "alone.js", "compare.js")
COPIED, SETTINGS = (*SCRIPTS[1:], "style.css", "icon.svg"), "study.json"
WRITTEN = (*COPIED, "data.js", ".nojekyll", "index.html", SETTINGS)
ENDINGS = {"video/mp4": ".mp4", "image/png": ".png"}
LARGEST_FILE = 4_000_000  # bytes
LARGEST_NUMBER = 9_999_999


def write_folder(store: OfflineImport, folder: Path, *, seed: int) -> Iterator[int]:
    """Write the folder, image by image and video by video; yield how many are written.

    Media are written in random order and all files get one time, so that neither file times nor
    the order of a folder's entries tell which model, or which side of a gold item, a video is. No
    completion code is written: it could be read in the folder.

    Raises ValueError where the folder holds the page of another study or seed, or other files and
    no page, and where no lists can be made (see `lists_of`).
    """
    written_at = time.time()
    lists = lists_of(store.items(), store.protocol, seed)
    items = {shown.item for shown_items in lists for shown in shown_items}
    names = sorted({name for item in items for name in (item.image, *item.videos)})
    random.SystemRandom().shuffle(names)
    check_own_folder(folder, SETTINGS, "the page of a study")
    lock_settings(folder / SETTINGS, {"protocol": store.protocol.digest(), "seed": seed,
                                  "participants": len(lists)})
    (folder / "media").mkdir(exist_ok=True)
    files: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        files[name] = _write_media(store, name, folder / "media")
        yield number
    for name in COPIED:
        path = ASSETS[name][1] if name in ASSETS else ASSET_FOLDER / name
        write_text(folder / name, path.read_text(encoding="utf-8"))
    write_text(folder / "data.js", data_js(store, lists, files, seed))
    page = templates().get_template("static.html")
    write_text(folder / ".nojekyll", "")  # GitHub Pages would leave out names that begin with "_"
    write_text(folder / "index.html",
               page.render(protocol=store.protocol, scripts=SCRIPTS, served=False))
    for name in (*WRITTEN, *(f"media/{file}" for file in files.values()), "media", "."):
        os.utime(folder / name, (written_at, written_at))


def _write_media(store: OfflineImport, name: str, folder: Path) -> str:
    media = store.media(name)
    if media is None:
        raise ValueError(f"the study should hold all its images and videos, got no {name}")
    file = name + ENDINGS[media.content_type]
    write_bytes(folder / file, media.data)
    return file


def data_js(
    store: OfflineImport, lists: Sequence[Sequence[ShownItem]], files: dict[str, str], seed: int
) -> str:
    """Return the data of the page's script, as a script.

    An item is [image, prompt, video, other video], and twice its place in a list, plus 1 where
    the other video is on the left. Neither the order of items nor that of videos tells anything.
    """
    protocol = store.protocol
    known = {shown.item.id: shown.item for shown_items in lists for shown in shown_items}
    order = sorted(known.values(), key=lambda item: sorted(item.videos))
    place = {item.id: number for number, item in enumerate(order)}
    data = {
        "protocol": protocol.digest(),
        "seed": seed,
        "check": [question.right for question in protocol.check],
        "items": [[files[item.image], item.prompt, *(files[name] for name in sorted(item.videos))]
                  for item in order],
        "lists": [[2 * place[shown.item.id] + (shown.media[0] != min(shown.media))
                   for shown in shown_items] for shown_items in lists],
    }  # fmt: skip
    return f"const STUDY = {json.dumps(data, separators=(',', ':'))};\n"


class FileAnswer(AnswerBody):
    """One answer in a file: `place` counts the comparisons of the list from 0."""

    place: Annotated[int, Field(ge=0, le=LARGEST_NUMBER)]


class AnswerFile(BaseModel):
    """A participant's file; `worker` is random, `participant` the number of the list."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    format: Literal["motifocal-answers-1"]
    checksum: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}$")]
    protocol: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    seed: Annotated[int, Field(ge=0)]
    participant: Annotated[int, Field(ge=1, le=LARGEST_NUMBER)]
    worker: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
    answers: tuple[FileAnswer, ...]


def read_answers(path: Path) -> AnswerFile:
    """Read a file of answers and check it. Raise ValueError naming it, and OSError."""
    with path.open("rb") as opened:
        raw = opened.read(LARGEST_FILE + 1)
    if len(raw) > LARGEST_FILE:
        raise ValueError(f"{path} should have at most {LARGEST_FILE} bytes, got more")
    try:
        file = AnswerFile.model_validate_json(raw)
        content = parse_strict_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{path} should be a file of answers: {where}: {first['msg']}") from error
    except ValueError as error:
        raise ValueError(f"{path} should be a file of answers: {error}") from error
    del content["checksum"]
    if checksum(content) != file.checksum:
        raise ValueError(f"{path} should have the checksum {file.checksum}, got "
                         f"{checksum(content)}: it was damaged or changed")
    if [answer.place for answer in file.answers] != list(range(len(file.answers))):
        raise ValueError(f"{path} should have its answers in order, none missing and none twice")
    return file


def checksum(content: dict[str, Any]) -> str:
    """Return the CRC-32 of the canonical JSON, as the page makes it: it detects damage only."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{zlib.crc32(text.encode()):08x}"


class AnswerImport:
    """Import files of answers into one study."""

    def __init__(self, store: OfflineImport) -> None:
        self._store = store
        self._digest = store.protocol.digest()
        self._items = store.items()
        self._lists: dict[int, list[tuple[ShownItem, ...]]] = {}

    def take(self, file: AnswerFile, *, dry_run: bool = False) -> Counter[ImportResult]:
        """Store the answers of a file, all or none; count the results of each kind.

        Raises ValueError where they cannot be this study's, or differ from those that are there.
        With `dry_run` nothing is stored or looked for.
        """
        answers = self._answers_of(file)
        if dry_run:
            return Counter({"taken": len(answers)})
        return self._store.import_answers(file.worker, answers)

    def _answers_of(self, file: AnswerFile) -> list[tuple[ShownItem, Answer]]:
        """Return what was shown, with the answers."""
        if file.protocol != self._digest:
            raise ValueError(f"the answers should be for the study {self._digest[:12]}…, got "
                             f"{file.protocol[:12]}…")
        if file.seed not in self._lists:
            self._lists = {file.seed: lists_of(self._items, self._store.protocol, file.seed)}
        lists = self._lists[file.seed]
        shown_items = lists[(file.participant - 1) % len(lists)]
        if len(file.answers) > len(shown_items):
            raise ValueError(f"the answers should be at most {len(shown_items)}, got "
                             f"{len(file.answers)}")
        answers = [(item, given.answer())
                   for item, given in zip(shown_items, file.answers, strict=False)]
        for _, answer in answers:
            check_answer(self._store.protocol, answer)
        return answers
