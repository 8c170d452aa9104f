"""Examine a folder's entries, and store each finding on disk as soon as it is made.

`findings.jsonl` has one line for each clip that was looked at: a key, which changes when the file
or the settings do, and the finding. A second run looks at nothing twice; a kill loses the clips
that were just being looked at.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import tee
from pathlib import Path

from motifocal.data.workers.items import WHOLE, Done, Part, Workers, files_of_parts
from motifocal.files.atomic import remove_temporaries
from motifocal.files.folder_state import file_stamp
from motifocal.files.json_lines import LineWriter
from motifocal.files.remote import RemoteError, RemotePath, fetched, states_of
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
class Unfetched:
    """Why the clip, or its thumbnail, did not get from or into a bucket: the next run tries again.
    """

    words: str


Answer = Finding | Unwritable | Unfetched


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
    own, remote = output / part.file(FINDINGS), isinstance(output, RemotePath)
    known = KnownFindings()
    for findings in (*output.glob(files_of_parts(FINDINGS)), output / FINDINGS):
        known.add(findings, mend=part == WHOLE or findings == own)
    thumbs = {path.name for path in (output / THUMBS).iterdir()} if remote else None
    waiting = array("Q")  # places: of a million clips, all that is kept of each
    for clip in _to_inspect(entries, settings, range(len(entries)), part):
        finding = clip.finding or known.get(clip.key)
        if finding is not None and (not finding.thumb or (
            (output / clip.thumb).exists() if thumbs is None else Path(clip.thumb).name in thumbs
        )):  # fmt: skip
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
    with LineWriter.open(own) as writer:
        for done in workers.run(call, waiting.jobs(), waiting.given):
            clip = waiting.lent.pop(done.job)
            finding = _kept(writer, clip, done)
            yield InspectedClip(clip.place, clip.key, clip.bytes, finding)
    yield from waiting.gone


def _call(work: Work, settings: InspectSettings, job: Job) -> Answer:
    """Run in the worker. An OSError here is of writing: what cannot be read is in the finding."""
    try:
        with fetched(job.path) as path:
            return work(replace(job, path=path), settings)
    except RemoteError as error:
        of_clip = error.filename == str(job.path)
        return Unfetched(str(error.strerror if of_clip else error))
    except OSError as error:
        return Unwritable(error.errno, str(error))


def _kept(writer: LineWriter, clip: InspectedClip, done: Done[Job, Answer]) -> Finding:
    """Return the finding, written down unless the clip has to be looked at again."""
    if done.result is None:
        return Finding(problem=("decoder-failed", str(done.reason)))
    if isinstance(done.result, Unfetched):
        return Finding(problem=("unreadable", done.result.words))
    if isinstance(done.result, Unwritable):
        error = OSError(done.result.words)
        error.errno = done.result.errno
        raise error
    if done.result.problem and not opens(done.job.path):
        return done.result
    writer.add({"key": clip.key, "finding": vars(done.result)})
    return done.result


def opens(path: Path) -> bool:
    """Tell whether the system lets it be read; what it refuses, it may allow later."""
    try:
        if isinstance(path, RemotePath):
            return path.exists()
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
    ours, ahead = tee(place for place in places
                      if entries[place].path is not None and part.holds(entries[place].name))
    states = states_of(path for place in ahead if (path := entries[place].path) is not None)
    for place, state in zip(ours, states, strict=True):
        if isinstance(state, OSError):  # other programs work here too
            gone = (str(state.strerror) if isinstance(state, RemoteError) else
                    f"it was there when the folder was listed ({state.strerror})")
            yield InspectedClip(place, "", 0, Finding(problem=("missing", gone)))
            continue
        state_now = [digest, *file_stamp(state), entries[place].name]
        key = hashlib.sha256(json.dumps(state_now).encode()).hexdigest()
        yield InspectedClip(place, key, state.st_size, None)
