"""Examine a folder's entries, and keep each finding on disk as soon as it is made.

`findings.jsonl` has one line for each clip that was looked at: a key, which changes when the file
or the settings do, and the finding. A second run looks at nothing twice; a kill loses the clips
that were just being looked at.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

from motifocal.data.workers.items import WHOLE, Done, Part, Workers, files_of_parts
from motifocal.files import disk
from motifocal.files.atomic import remove_temporaries
from motifocal.files.folder_state import file_stamp
from motifocal.inspection.entries import Entry
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.inspection.findings import KnownFindings

FINDINGS, THUMBS = "findings.jsonl", "thumbs"

Work = Callable[[Job, InspectSettings], Finding]


@dataclass(frozen=True)
class Unwritable:
    """Why a worker could not write its thumbnail, which is no fault of the clip: an OSError."""

    errno: int | None
    words: str


@dataclass(frozen=True)
class InspectedClip:
    """A clip to be looked at, or one that was: its entry's place, key, size and finding."""

    place: int
    key: str
    bytes: int
    finding: Finding | None

    @property
    def thumb(self) -> str:
        """Where its thumbnail is, below the output folder."""
        return f"{THUMBS}/{self.key[:16]}.webp"


def inspect_entries(
    entries: Sequence[Entry], settings: InspectSettings, output: Path, *, workers: Workers,
    seconds: float, work: Work = examine, part: Part = WHOLE,
) -> Iterator[InspectedClip]:
    """Yield the entries that have a file with their findings: first those known, then new ones.

    Args:
        output: a folder, made if it is not there; one run at a time, or one of each part.
        workers: what looks at clips; to survive every one, processes or a cluster.
        seconds: given to one clip, and to each megabyte of it one more; when they are over it is
            given up. Such a clip, and one that took its process down, is looked at again by the
            next run.
        work: what looks at a clip.
        part: looks only at the clips of this part, and writes a file of findings of its own; the
            whole knows the findings of all parts.

    Raises OSError where nothing can be written to the output folder, as when the disk is full. What
    was found until then is kept there.
    """
    (output / THUMBS).mkdir(parents=True, exist_ok=True)
    own = output / part.file(FINDINGS)
    known = KnownFindings()
    for findings in (*output.glob(files_of_parts(FINDINGS)), output / FINDINGS):
        known.add(findings, mend=part == WHOLE or findings == own)
    waiting = array("Q")  # places: of a million clips, all that is kept of each
    for clip in _to_inspect(entries, settings, range(len(entries)), part):
        finding = clip.finding or known.get(clip.key)
        if finding is not None and (not finding.thumb or (output / clip.thumb).exists()):
            yield InspectedClip(clip.place, clip.key, clip.bytes, finding)
        else:
            waiting.append(clip.place)
    yield from _newly_inspected(_Waiting(entries, settings, output, waiting, seconds), own, workers,
                                work)
    if part == WHOLE:  # parts may be writing
        remove_temporaries(output / THUMBS)


@dataclass
class _Waiting:
    """The clips to be looked at, as jobs that are made when they are needed."""

    entries: Sequence[Entry]
    settings: InspectSettings
    output: Path
    places: Sequence[int]
    seconds: float
    lent: dict[Job, InspectedClip] = field(default_factory=dict)
    gone: list[InspectedClip] = field(default_factory=list)  # since they were listed

    def jobs(self) -> Iterator[Job]:
        for clip in _to_inspect(self.entries, self.settings, self.places):
            path = self.entries[clip.place].path
            if clip.finding is not None or path is None:
                self.gone.append(clip)
                continue
            job = Job(path, self.output / clip.thumb)
            self.lent[job] = clip
            yield job

    def given(self, job: Job) -> float:
        return self.seconds + self.lent[job].bytes / 1e6


def _newly_inspected(
    waiting: _Waiting, own: Path, workers: Workers, work: Work
) -> Iterator[InspectedClip]:
    """Have clips looked at; yield each as it is done and written down."""
    if not waiting.places:
        return
    call = partial(_call, work, waiting.settings)
    with own.open("a", encoding="utf-8") as file:
        for done in workers.run(call, waiting.jobs(), waiting.given):
            clip = waiting.lent.pop(done.job)
            finding = _kept(file, clip, done)
            yield InspectedClip(clip.place, clip.key, clip.bytes, finding)
    yield from waiting.gone


def _call(work: Work, settings: InspectSettings, job: Job) -> Finding | Unwritable:
    """Run in the worker. An OSError here is of writing: what cannot be read is in the finding."""
    try:
        return work(job, settings)
    except OSError as error:
        return Unwritable(error.errno, str(error))


def _kept(file: TextIO, clip: InspectedClip, done: Done[Job, Finding | Unwritable]) -> Finding:
    """Return the finding, written down unless the clip has to be looked at again."""
    if done.result is None:
        return Finding(problem=("decoder-failed", str(done.reason)))
    if isinstance(done.result, Unwritable):
        error = OSError(done.result.words)
        error.errno = done.result.errno
        raise error
    if done.result.problem and not opens(done.job.path):
        return done.result
    with disk.writing(Path(file.name)):
        file.write(json.dumps({"key": clip.key, "finding": vars(done.result)}) + "\n")
        file.flush()
    return done.result


def opens(path: Path) -> bool:
    """Tell whether the system lets it be read; what it refuses, it may allow later."""
    try:
        with path.open("rb"):
            return True
    except OSError:
        return False


def _to_inspect(
    entries: Sequence[Entry], settings: InspectSettings, places: Iterable[int], part: Part = WHOLE
) -> Iterator[InspectedClip]:
    """Yield the clips of the part as they are on the disk now; those that are gone have a finding.
    """
    digest = settings.digest()
    for place in places:
        entry = entries[place]
        if entry.path is not None and part.holds(entry.name):
            try:
                state = entry.path.stat()
            except OSError as error:  # other programs work here too
                gone = f"it was there when the folder was listed ({error.strerror})"
                yield InspectedClip(place, "", 0, Finding(problem=("missing", gone)))
                continue
            state_now = [digest, *file_stamp(state), entry.name]
            key = hashlib.sha256(json.dumps(state_now).encode()).hexdigest()
            yield InspectedClip(place, key, state.st_size, None)
