"""Store the output of a finished run, and print it again if nothing has changed since.

So a run over a million clips that is started again ends within seconds: it reads no table, no
findings and no report, but asks for the size and times of each file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from motifocal.files.atomic import write_text
from motifocal.files.folder_state import folder_state
from motifocal.files.json_text import read_json_object
from motifocal.files.remote import RemotePath
from motifocal.inspection.entries import Entry
from motifocal.inspection.run import FINDINGS, THUMBS, InspectedClip, opens

FINISHED = "finished.json"


@dataclass(frozen=True)
class Finished:
    """What a run printed, as text with ANSI codes, and the levels of the faults that it found."""

    text: str
    levels: tuple[str, ...]


def run_state(
    clips: Path, output: Path, deciding: Mapping[str, Any], models: Sequence[Path] = ()
) -> str | None:
    """Hash all that decides what a run says: the files of the clips, of models, the options.

    None where that cannot be told by looking at one folder, or without listing a bucket.
    """
    if isinstance(clips, RemotePath) or isinstance(output, RemotePath):
        return None
    if clips.suffix.lower() == ".toml":  # names folders elsewhere
        return None
    if clips.is_file() and _is_hidden(clips.name):
        return None
    states = [folder_state(clips if clips.is_dir() else clips.parent, without=output)]
    states += [folder_state(model) for model in models]
    if None in states:
        return None
    text = json.dumps([states, str(clips.absolute()), deciding], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def can_be_said_again(entries: Sequence[Entry], inspected: Mapping[int, InspectedClip]) -> bool:
    """Tell whether all that was found stays true while the folder's state does.

    It need not where a clip took its process down or the system does not let it be read, as either
    is looked at again; nor where a table names what lies in a hidden folder, which the state leaves
    out.
    """
    if any(_is_hidden(entry.name) for entry in entries):
        return False
    for place, clip in inspected.items():
        problem, path = clip.finding and clip.finding.problem, entries[place].path
        if problem and (problem[0] == "decoder-failed" or path is None or not opens(path)):
            return False
    return True


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def write_finished(
    output: Path, state: str | None, finished: Finished, written: Sequence[Path]
) -> None:
    """Keep what a run said, unless its state cannot be told; `written` are its files."""
    if state is None:
        (output / FINISHED).unlink(missing_ok=True)
        return
    kept = {"state": state, "said": asdict(finished), "files": _files(output, written)}
    write_text(output / FINISHED, json.dumps(kept, indent=1) + "\n")


def read_finished(output: Path, state: str | None, written: Sequence[Path]) -> Finished | None:
    """Return what a run of this state said, if all that it wrote is still there as it was."""
    path = output / FINISHED
    if state is None or not path.exists():
        return None
    try:
        kept = read_json_object(path)
        if kept["state"] != state or kept["files"] != _files(output, written):
            return None
        return Finished(kept["said"]["text"], tuple(kept["said"]["levels"]))
    except (ValueError, KeyError, TypeError, OSError):  # damaged: the run is done again
        return None


def _files(output: Path, written: Sequence[Path]) -> list[list[Any]]:
    """List names, sizes and times; the folder of thumbnails has the time of its last change."""
    states = [(path, path.stat()) for path in
              (*written, output / FINDINGS, output / THUMBS) if path.exists()]
    return [[path.name, state.st_size, state.st_mtime_ns] for path, state in states]
