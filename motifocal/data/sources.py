"""The drawn world or a folder of captioned videos becomes indexed clips for preparation.

Letters: F frames, H W pixels.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from motifocal.data.captions import CaptionedVideo, Rejected
from motifocal.data.selection import dynamic_stride
from motifocal.data.shards import CaptionedClip
from motifocal.files import write_text
from motifocal.scenes.render import render
from motifocal.scenes.stage import SCENARIOS, Split, make_stage
from motifocal.scenes.variant import STANDARD, SceneVariant
from motifocal.video import VideoError, count_frames, read_video, resize_crop


@dataclass(frozen=True)
class SceneClips:
    """Clip k of the drawn world: scenarios in turn, a stage of its own each, any sentence of it.

    Half of the captions are the benchmark's wording, the others a paraphrase.
    """

    count: int
    split: Split
    size: int
    frames: int
    seed: int
    variant: SceneVariant = STANDARD

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> CaptionedClip:
        names = sorted(SCENARIOS)
        rng = np.random.default_rng([self.seed, index])
        stage_seed = int(rng.integers(2**31))
        stage = make_stage(names[index % len(names)], self.split, stage_seed, self.variant)
        action = stage.actions[rng.integers(len(stage.actions))]
        clip = render(stage, action, size=self.size, frames=self.frames)
        words = (action.sentence, str(rng.choice(action.paraphrases or (action.sentence,))))
        return CaptionedClip(clip.frames, words[int(rng.integers(2))], clip.fps)


@dataclass(frozen=True)
class VideoFolderClips:
    """Clip k is a window of video k modulo the number of videos: the paper's dynamic frame stride.

    Start and stride are functions of (seed, k), so `windows` above 1 gives each video several
    windows. `lengths` are the videos' frame counts, from `scan_videos`. Frames are scaled to cover
    H x W and cropped; the frame rate is the video's divided by the stride.
    """

    videos: tuple[CaptionedVideo, ...]
    lengths: tuple[int, ...]
    frames: int
    height: int
    width: int
    max_stride: int
    windows: int
    seed: int

    def __post_init__(self) -> None:
        if len(self.videos) != len(self.lengths):
            raise ValueError(f"lengths should be {len(self.videos)}, got {len(self.lengths)}")
        if self.lengths and min(self.lengths) < self.frames:
            held = min(self.lengths)
            raise ValueError(f"videos should have {self.frames} frames or more, got one of {held}")

    def __len__(self) -> int:
        return len(self.videos) * self.windows

    def __getitem__(self, index: int) -> CaptionedClip:
        place = index % len(self.videos)
        video, length = self.videos[place], self.lengths[place]
        rng = np.random.default_rng([self.seed, index])
        start, stride = dynamic_stride(length, self.frames, self.max_stride, rng)
        clip = read_video(video.path, num_frames=self.frames, start=start, stride=stride)
        frames = resize_crop(clip.frames, self.height, self.width)
        return CaptionedClip(frames, video.caption, clip.fps)


@dataclass(frozen=True)
class Scanned:
    """What decoding a video to its end found: its frames, or why it cannot be used."""

    name: str
    size: int
    modified: int
    frames: int | None
    reason: str | None


def scan_videos(
    videos: Iterable[CaptionedVideo], notes: Path, workers: int
) -> Iterator[tuple[CaptionedVideo, Scanned]]:
    """Decode every video once to find its length or its damage, in the order given.

    `notes` is a JSONL file in which findings are kept: a later call reads there what it need not
    decode again (same name, size and time of change).
    """
    known = _read_notes(notes)

    def scan(video: CaptionedVideo) -> tuple[CaptionedVideo, Scanned]:
        state = video.path.stat()
        before = known.get(video.name)
        if before and (before.size, before.modified) == (state.st_size, state.st_mtime_ns):
            return video, before
        frames, reason = None, None
        try:
            frames = count_frames(video.path)
        except VideoError as error:
            reason = str(error).removeprefix(f"{video.path}: ")
        return video, Scanned(video.name, state.st_size, state.st_mtime_ns, frames, reason)

    # Threads: FFmpeg lets go of the interpreter lock while it decodes.
    with ThreadPoolExecutor(max(1, workers)) as pool, notes.open("a", encoding="utf-8") as file:
        for video, found in pool.map(scan, videos):
            if known.get(video.name) != found:
                file.write(json.dumps(asdict(found)) + "\n")
                file.flush()
            yield video, found


def usable(
    scanned: Iterable[tuple[CaptionedVideo, Scanned]], frames: int
) -> tuple[tuple[CaptionedVideo, ...], tuple[int, ...], tuple[Rejected, ...]]:
    """The videos with at least `frames` frames, their lengths, and the others with reasons."""
    videos, lengths, rejected = [], [], []
    for video, found in scanned:
        if found.frames is None:
            rejected.append(Rejected(video.name, str(found.reason)))
        elif found.frames < frames:
            rejected.append(Rejected(video.name, f"holds {found.frames} of {frames} frames"))
        else:
            videos.append(video)
            lengths.append(found.frames)
    return tuple(videos), tuple(lengths), tuple(rejected)


def _read_notes(notes: Path) -> dict[str, Scanned]:
    """Earlier findings by name; half a last line, left by a kill, is dropped from the file."""
    if not notes.exists():
        return {}
    whole = notes.read_text(encoding="utf-8").rpartition("\n")[0]
    lines = whole.split("\n") if whole else []
    write_text(notes, "".join(line + "\n" for line in lines))
    return {found.name: found for found in (Scanned(**json.loads(line)) for line in lines)}
