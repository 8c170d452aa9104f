"""Yield synthetic scenes or a folder of captioned videos as indexed clips for preparation.

Letters: F frames, H W pixels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from motifocal.data.captions import CaptionedVideo, Rejected
from motifocal.data.clip_masks import ClipMask
from motifocal.data.preparing.captioned_clip import CaptionedClip
from motifocal.data.stretches import Draw, dynamic_stride
from motifocal.data.workers.items import WHOLE, Part, Workers, files_of_parts, in_order
from motifocal.files.atomic import sha256_of
from motifocal.files.disk import NO_ROOM
from motifocal.files.folder_state import file_stamp
from motifocal.files.json_lines import LineWriter, read_lines
from motifocal.files.remote import RemoteError, fetched
from motifocal.media.arrays import Frames, Image
from motifocal.media.picture import one_line
from motifocal.media.video import (
    DEFAULT_FPS,
    VideoError,
    count_frames,
    read_video,
    resize_crop,
    stored,
)
from motifocal.scenes.export import recipe
from motifocal.scenes.render import render
from motifocal.scenes.stage import Split
from motifocal.scenes.variant import STANDARD, SceneVariant

SceneMasks = Literal["none", "objects", "moving"]


@dataclass(frozen=True)
class SceneClips:
    """Clip k of the synthetic scenes, camera at rest (see `scenes.export.recipe`).

    `masks` gives clips an exact mask in place of a heatmap from optical flow: of all "objects", as
    a segmenter would find them (the paper's ablation), or of what is "moving". `static` clips do
    not do what their caption says: the image stays as it is, and a network that learns from them
    learns to copy it.
    """

    count: int
    split: Split
    size: int
    frames: int
    seed: int
    variant: SceneVariant = STANDARD
    masks: SceneMasks = "none"
    static: bool = False

    def __len__(self) -> int:
        return self.count

    def reader(self, index: int) -> Callable[[], CaptionedClip]:
        """Return what draws the clip."""
        return partial(self.__getitem__, index)

    def __getitem__(self, index: int) -> CaptionedClip:
        made = recipe(index, self.split, self.seed, variant=self.variant)
        clip = render(made.stage, None if self.static else made.action, size=self.size,
                      frames=self.frames)
        masks = {"none": None, "objects": clip.objects, "moving": clip.mask}
        return CaptionedClip(clip.frames, made.text, clip.fps, masks[self.masks])

    def source_digest(self, index: int) -> str:
        """Hash the settings and the index (sha256), of which the clip is a function."""
        return hashlib.sha256(f"{self} {index}".encode()).hexdigest()


@dataclass(frozen=True)
class VideoFolderClips:
    """Clip k is of video k modulo the number of videos: the paper's dynamic frame stride.

    Start and stride are functions of (seed, k), so `windows` above 1 gives each video several
    windows. With `draw` clips are stretches to draw from: of the frames that its longest stride
    takes, or with `windows` "all" the whole video. `lengths` and `digests` are the videos' frame
    counts and sha256, from `scan_videos`. Frames are scaled to cover H x W and cropped; the frame
    rate is the video's divided by the stride. `masks`, one a video where there are any, take the
    place of heatmaps from flow.
    """

    videos: tuple[CaptionedVideo, ...]
    lengths: tuple[int, ...]
    digests: tuple[str, ...]
    frames: int
    height: int
    width: int
    max_stride: int
    windows: int | Literal["all"]
    seed: int
    masks: tuple[ClipMask, ...] = ()
    draw: Draw | None = None

    def __post_init__(self) -> None:
        for name in ("lengths", "digests", *(["masks"] if self.masks else [])):
            if len(getattr(self, name)) != len(self.videos):
                count = len(getattr(self, name))
                raise ValueError(f"{name} should be {len(self.videos)}, got {count}")
        if self.lengths and min(self.lengths) < self.frames:
            least = min(self.lengths)
            raise ValueError(f"videos should have {self.frames} frames or more, got one of {least}")

    def __len__(self) -> int:
        return len(self.videos) * (1 if self.windows == "all" else self.windows)

    def __getitem__(self, index: int) -> CaptionedClip:
        return self.reader(index)()

    def reader(self, index: int) -> Callable[[], CaptionedClip]:
        """Return what reads the clip from its video."""
        place = index % len(self.videos)
        length = self.lengths[place]
        return _Window(self.videos[place], length, self._frames_of(index, length), self.frames,
                       (self.height, self.width), self.draw is not None,
                       self.masks[place] if self.masks else None)

    def _frames_of(self, index: int, length: int) -> range:
        """Draw which frames of its video, of this length, make up a clip or a stretch."""
        generator = np.random.default_rng([self.seed, index])
        if self.draw is None:
            start, stride = dynamic_stride(length, self.frames, self.max_stride, generator)
            return range(start, start + self.frames * stride, stride)
        count = length if self.windows == "all" else min(length, self.draw.longest)
        start = int(generator.integers(0, length - count, endpoint=True))
        return range(start, start + count)

    def source_digest(self, index: int) -> str:
        """Return the sha256 of the video's file, and of its mask: the rest follows from settings.
        """
        place = index % len(self.videos)
        if not self.masks:
            return self.digests[place]
        both = self.digests[place] + self.masks[place].sha256
        return hashlib.sha256(both.encode()).hexdigest()


@dataclass(frozen=True)
class _Window:
    """Reads frames of a video as a clip, or as a stretch that clips are drawn from."""

    video: CaptionedVideo
    length: int
    taken: range
    frames: int
    size: tuple[int, int]
    stretch: bool
    mask: ClipMask | None

    def __call__(self) -> CaptionedClip:
        taken = self.taken
        with fetched(self.video.path) as path:
            clip = read_video(path, num_frames=self.frames, start=taken.start, stride=taken.step)
            frames = (_scaled(path, taken, *self.size) if self.stretch
                      else resize_crop(clip.frames, *self.size))
        mask = self.mask.heatmap(self.length, self.size, taken) if self.mask else None
        return CaptionedClip(frames, self.video.caption, clip.fps, mask, (self.video.path, taken))


def _scaled(path: Path, frames: range, height: int, width: int) -> Frames:
    """Read consecutive frames, scaled one by one: a long video at its own size may not fit."""
    scaled: list[Image] = []
    with stored(path, DEFAULT_FPS) as source:
        for shot in islice(source.shots, frames.start, frames.stop):
            scaled.append(resize_crop(shot.pixels(), height, width))
    if len(scaled) < len(frames):
        raise VideoError(f"{path}: too short, it has no frame {frames.start + len(scaled)}")
    return np.stack(scaled)


@dataclass(frozen=True)
class Scanned:
    """What decoding a video to its end found: its frames, or why it cannot be used.

    `size`, `modified` and `changed` (nanoseconds) tell that the file is still the one that was
    read: the last one, which no program can set, also where another file has been put in its
    place with its size and date.
    """

    name: str
    size: int
    modified: int
    changed: int
    sha256: str
    frames: int | None
    reason: str | None


class Usable(NamedTuple):
    """Videos that are long enough, their frame counts and sha256, and the others with reasons."""

    videos: tuple[CaptionedVideo, ...]
    lengths: tuple[int, ...]
    digests: tuple[str, ...]
    rejected: tuple[Rejected, ...]


def scan_videos(
    videos: Sequence[CaptionedVideo], notes: Path, workers: Workers, part: Part = WHOLE
) -> Iterator[tuple[CaptionedVideo, Scanned]]:
    """Decode every video once to find its length or its damage, in the order given.

    `notes` is a JSONL file in which findings are kept: a later call decodes only files whose bytes
    have changed. A part of a run adds to a file of its own, and reads those of all parts.
    """
    known: dict[str, Scanned] = {}
    for path in (notes, *notes.parent.glob(files_of_parts(notes.name))):
        for name, note in _read_notes(path).items():
            if name not in known or note.changed > known[name].changed:
                known[name] = note
    jobs = (_Scan(video, known.get(video.name)) for video in videos)
    with LineWriter.open(notes.with_name(part.file(notes.name))) as writer:
        for done in in_order(workers, _scan, jobs):
            video, finding = done.job.video, done.result
            if finding is None:  # tried again by the next run
                finding = Scanned(video.name, 0, 0, 0, "", None, done.reason)
            if done.job.before != finding:
                writer.add(asdict(finding))
            yield video, finding


@dataclass(frozen=True)
class _Scan:
    video: CaptionedVideo
    before: Scanned | None


def _scan(job: _Scan) -> Scanned:
    return _scanned(job.video, job.before)


def _scanned(video: CaptionedVideo, before: Scanned | None) -> Scanned:
    """Return what is known of a video, or what decoding it finds now."""
    try:
        stamp = file_stamp(video.path.stat())
        if before and (before.size, before.modified, before.changed) == stamp:
            return before
        with fetched(video.path) as path:
            digest = sha256_of(path)
            if before and before.sha256 == digest:
                return Scanned(video.name, *stamp, digest, before.frames, before.reason)
            return Scanned(video.name, *stamp, digest, *_counted(path))
    except OSError as error:  # gone or not allowed: asked again by the next run
        if error.errno in NO_ROOM or (isinstance(error, RemoteError) and not error.is_final):
            raise  # shards without this clip would be others than those with it
        return Scanned(video.name, 0, 0, 0, "", None, one_line(error))


def _counted(path: Path) -> tuple[int | None, str | None]:
    """Count the frames of a video, or say why it cannot be used."""
    try:
        return count_frames(path), None
    except VideoError as error:
        return None, str(error).removeprefix(f"{path}: ")


def usable(scanned: Iterable[tuple[CaptionedVideo, Scanned]], frames: int) -> Usable:
    """Part the videos with at least `frames` frames from the others."""
    good, rejected = [], []
    for video, finding in scanned:
        if finding.frames is None:
            rejected.append(Rejected(video.name, str(finding.reason)))
        elif finding.frames < frames:
            rejected.append(Rejected(video.name, f"holds {finding.frames} of {frames} frames"))
        else:
            good.append((video, finding.frames, finding.sha256))
    videos, lengths, digests = zip(*good, strict=True) if good else ((), (), ())
    return Usable(videos, lengths, digests, tuple(rejected))


def _read_notes(notes: Path) -> dict[str, Scanned]:
    """Read earlier findings by name; damaged lines are passed over: a kill leaves half a one."""
    lines = read_lines(notes) if notes.exists() else ()
    findings = (finding for finding in map(_read_note, lines) if finding is not None)
    return {finding.name: finding for finding in findings}


def _read_note(line: dict[str, Any]) -> Scanned | None:
    """Make a finding, or None where the line is none, such as one of an earlier version."""
    try:
        note = Scanned(**line)
    except TypeError:
        return None
    return note if isinstance(note.changed, int) else None
