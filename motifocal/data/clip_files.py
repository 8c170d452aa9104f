"""Hash clips, read the times of their frames, and measure the motion of selected frames.

A path says little: clips are renamed, moved and encoded anew. A weight belongs to the bytes of the
file that it was measured in, so these are hashed, once, and the hash is remembered beside the
weights with the file's size and time of change.
"""

from __future__ import annotations

import json
import threading
from itertools import pairwise
from pathlib import Path

from motifocal.data.resizing import cropped
from motifocal.data.selection import Selection, Timeline, frames_of
from motifocal.files.atomic import sha256_of, write_text
from motifocal.files.folder_state import file_stamp
from motifocal.files.json_text import parse_json
from motifocal.files.remote import absolute, fetched, to_path
from motifocal.media.arrays import Frames
from motifocal.media.picture import check_file
from motifocal.media.video import DEFAULT_FPS, VideoError, stored
from motifocal.motion.heatmap import Heatmap, clip_heatmap
from motifocal.motion.settings import VECTORS, HeatmapSettings
from motifocal.motion.vectors import read_vector_motion

HASHES = "hashes.json"


def timeline_of(path: str | Path) -> Timeline:
    """Read when each frame of a video file is shown; decodes it, but converts no pixels.

    Raises VideoError where the file is missing or damaged, holds no frame, or its times run back.
    """
    path = Path(path)
    check_file(path)
    with stored(path, DEFAULT_FPS) as source:
        times = [(shot.start, shot.end) for shot in source.shots]
    if not times:
        raise VideoError(f"{path}: holds no frame")
    ends = [time for time, _ in times] + [times[-1][1]]
    if any(after < before for before, after in pairwise(ends)):
        raise VideoError(f"{path}: the times of its frames run backwards")
    starts, end = tuple(float(start) for start, _ in times), float(times[-1][1])
    rate = None if source.rate is None else float(source.rate)
    seconds = None if source.seconds is None else float(source.seconds)
    return Timeline(starts, end, rate, float(source.grain), seconds)


def selection_heatmap(
    path: str | Path, selection: Selection, settings: HeatmapSettings, frames: Frames | None = None,
    *, workers: int | None = None, device: str | None = None,
) -> Heatmap:
    """Map the motion of a selection, (F, height, width): of its `frames`, or of its motion vectors.

    Frames are read where they are needed and not given. Raises VideoError where that fails.
    """
    if settings.source == VECTORS:
        crop = cropped(selection.height, selection.width, selection.resize)
        moved = read_vector_motion(path, indices=selection.indices, crop=crop,
                                   grey=not settings.sees_colour)  # fmt: skip
        return moved.heatmap(settings)
    if frames is None:
        frames = frames_of(path, selection)
    return clip_heatmap(frames, settings, workers=workers, device=device)


#: A clip's size, times of change (nanoseconds), and sha256.
HashRow = list[int | str]


def hash_row(clip: str | Path, known: HashRow | None = None) -> HashRow:
    """Hash a clip unless its size and times are those that are known; OSError if it is not there.
    """
    path = to_path(clip)
    stamp = [*file_stamp(path.stat())]
    if known is not None and known[:-1] == stamp:
        return known
    with fetched(path) as local:
        return [*stamp, sha256_of(local)]


class ClipHashes:
    """sha256 of clips, computed once for each size and time of change; several threads may ask.

    ``path`` is the JSON file to remember in: absolute path -> [size, times of change
    (nanoseconds), sha256].
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._known: dict[str, HashRow] = {}
        self._lock = threading.Lock()
        if self.path.exists():
            try:
                stored = parse_json(self.path.read_text(encoding="utf-8"))
            except ValueError:
                stored = None
            rows = stored.values() if isinstance(stored, dict) else [None]
            # 3: of an earlier version, which knew one time; such a clip is hashed again.
            if any(not isinstance(row, list) or len(row) not in (3, 4) for row in rows):
                raise ValueError(f"{self.path} should hold the hashes of clips; delete it")
            self._known = stored

    def of(self, clip: str | Path) -> str:
        """Return the clip's sha256; OSError where it cannot be read."""
        row = hash_row(clip, self.known(clip))
        self.learn(clip, row)
        return str(row[-1])

    def known(self, clip: str | Path) -> HashRow | None:
        """Return what was known of a clip, which may have changed since."""
        with self._lock:
            return self._known.get(str(absolute(clip)))

    def learn(self, clip: str | Path, row: HashRow) -> None:
        """Remember the row that `hash_row` gave."""
        with self._lock:
            self._known[str(absolute(clip))] = row

    def take_over(self, other: ClipHashes) -> None:
        """Remember what the other does, unless something is known here."""
        with self._lock:
            self._known = {**other._known, **self._known}

    def save(self) -> None:
        """Write what is known; the file appears whole."""
        with self._lock:
            text = json.dumps(self._known, indent=0, sort_keys=True)
        write_text(self.path, text + "\n")
