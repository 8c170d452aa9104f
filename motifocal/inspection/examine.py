"""Examine one clip: measure everything that depends on its file alone, and draw a thumbnail.

F frames, H W pixels. Frames are `(F, H, W, 3)` uint8 RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from motifocal.data.clip_files import selection_heatmap
from motifocal.data.resizing import resized
from motifocal.data.selection import Selection, Timeline, format_indices
from motifocal.data.trainer_rules import TRAINERS, Request, trained_on
from motifocal.files.atomic import sha256_of
from motifocal.inspection.checks.bars import find_bars
from motifocal.inspection.checks.cuts import find_cuts
from motifocal.inspection.checks.detail import enlargement
from motifocal.inspection.checks.duplicates import fingerprint
from motifocal.inspection.checks.repeats import find_repeats, measure_repeats
from motifocal.inspection.checks.speeds import changes, cuts_within, measure_motion
from motifocal.inspection.decode_pass import DecodedClip, decode_clip, read_again, scaled
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.inspection.thumbs import spread, sprite
from motifocal.media.arrays import Frames, Image
from motifocal.media.codec import stored_display
from motifocal.media.picture import VideoError, write_image
from motifocal.media.sheet import evenly_spaced
from motifocal.motion.heatmap import Heatmap, moving_fraction

#: Samples of a clip whose heat is measured, spread over them all, and the frames of each: a video
#: of an hour may make thousands, and a sample may be all of it.
MOST_MEASURED, MOST_HEAT_FRAMES = 4, 256
#: Frames in which bars are looked for: 8 ms each, and a bar is in all of them.
MOST_BARRED = 16
#: Samples that are put into words: the first ones.
MOST_NAMED = 24


@dataclass(frozen=True)
class Job:
    """A clip to look at, and where its thumbnail goes."""

    path: Path
    thumb: Path


def examine(job: Job, settings: InspectSettings) -> Finding:
    """Decode the clip once, measure it, write the thumbnail.

    Only where samples lie beyond what memory holds, in long clips, those are decoded again.
    """
    size, asked = settings.heat_size, (settings.trainer, settings.request)
    try:
        clip = decode_clip(job.path, lambda pixels: scaled(pixels, size, min) if size else pixels)
        samples = trained_on(asked[0], clip.timeline, clip.height, clip.width, asked[1])
        longest = None if samples else _longest_sample(asked[0], clip.timeline, clip.height,
                                                       clip.width, asked[1])
        measured = [longest] if longest else samples
        shares, shown = _measure(job.path, clip, measured, settings)
        content, display = sha256_of(job.path), stored_display(job.path)
    except VideoError as error:
        return Finding(problem=("unreadable", str(error).removeprefix(f"{job.path}: ")))
    except OSError as error:
        return Finding(problem=("unreadable", error.strerror or type(error).__name__))
    thumbnail = _thumbnail(clip, shown)
    write_image(job.thumb, thumbnail)
    cuts = find_cuts(clip.tiny)
    look = fingerprint(clip.tiny)
    return Finding(
        **_of_times(clip, cuts),
        **_of_motion(clip, cuts),
        **_of_samples(samples),
        **_of_frames(clip, cuts, measured),
        **_of_image(clip, measured),
        fitting=len(measured[0].indices) if measured and not samples else None,
        turned=display.turned and not TRAINERS[settings.trainer].upright,
        aspect="" if display.aspect == 1 else display.aspect_ratio,
        transfer=display.transfer,
        interlaced=display.interlaced,
        transparent=display.transparent,
        moving_fraction=round(float(np.mean(shares)), 4) if shares else None,
        most_moving=round(max(shares), 4) if shares else None,
        content=content,
        look=None if look is None else look.to_text(),
        thumb=True,
        thumb_width=thumbnail.shape[1] // 4,
        thumb_height=thumbnail.shape[0] // 2,
    )


def _longest_sample(
    trainer: str, timeline: Timeline, height: int, width: int, request: Request
) -> Selection | None:
    """Return the longest sample that a clip makes with fewer frames than were asked for.

    Its frames are 1 + a multiple of ``request.later``, 1 at least, so that an autoencoder takes
    them. None where not even one frame makes a sample.
    """
    least = min(frames for frames, _, _ in request.buckets)
    for count in range((least - 2) // request.later, -1, -1):
        frames = 1 + count * request.later
        shorter = tuple((frames, tall, wide) for _, tall, wide in request.buckets)
        samples = trained_on(trainer, timeline, height, width, replace(request, buckets=shorter))
        if samples:
            return samples[0]
    return None


# Parts of a finding, by the names of its fields.


def _of_times(clip: DecodedClip, cuts: Sequence[int]) -> dict[str, Any]:
    line = clip.timeline
    return {
        "fps": float(f"{line.fps:.6g}"),  # never rounded to none: two frames may be hours apart
        "drift": round(clip.drift, 3),
        "frames": len(line.starts),
        "seconds": round(line.end, 3),
        "watched": len(clip.tiny),
        "cuts": tuple(cuts),
    }


def _of_motion(clip: DecodedClip, cuts: Sequence[int]) -> dict[str, Any]:
    motion = measure_motion(clip.pairs, cuts)
    if motion is None:
        return {}
    return {
        "motion": round(motion.own, 2),
        "camera": round(motion.camera, 2),
        **{name: round(getattr(motion, name), 3)
           for name in ("flow_mean", "flow_p95", "own_mean", "own_p95")},
        "still": motion.still and not changes(clip.tiny, cuts),
        "camera_only": motion.camera_only,
    }


def _of_samples(samples: Sequence[Selection]) -> dict[str, Any]:
    lengths = [len(sample.indices) for sample in samples]
    return {
        "samples": _sample_names(samples),
        "sample_count": len(samples),
        "trained_frames": sum(lengths),
        "shortest": min(lengths, default=0),
    }


def _of_frames(
    clip: DecodedClip, cuts: Sequence[int], shown: Sequence[Selection]
) -> dict[str, Any]:
    """Return cuts within samples, and frames that repeat."""
    line, steps = clip.timeline, find_repeats(clip.tiny, cuts)
    indices = [sample.indices for sample in shown]
    repeats = measure_repeats(steps, indices, line.starts)
    return {
        "trained_cuts": tuple(sorted({c for taken in indices for c in cuts_within(cuts, taken)})),
        "by_rate": round(repeats.by_rate, 4),
        "stored_repeats": round(repeats.stored, 4),
        "new_rate": float(f"{line.fps * steps.share_new:.3g}"),
        "freeze": repeats.freeze,
    }


def _of_image(clip: DecodedClip, shown: Sequence[Selection]) -> dict[str, Any]:
    """Return size, bars and blur, and how the first sample is placed in the image."""
    kept, enlarged = (1.0, 1.0), None
    if shown:
        tall, wide = shown[0].height / clip.height, shown[0].width / clip.width
        enlarged = max(tall, wide)
        if shown[0].resize != "stretch":
            kept = tall / enlarged, wide / enlarged
    bars = find_bars(_spread(clip))
    return {
        "width": clip.width,
        "height": clip.height,
        "bars": round(bars.share_of(*kept), 4),
        "bar_sides": tuple(round(side, 4) for side in astuple(bars)) if bars else (),
        "blur": enlargement(clip.losses),
        "enlarged": None if enlarged is None else round(enlarged, 3),
        "kept": round(min(kept), 3) if shown else None,
    }


def _measure(
    path: Path, clip: DecodedClip, samples: Sequence[Selection], settings: InspectSettings
) -> tuple[list[float], list[tuple[Image, Heatmap]]]:
    """Return the moving fractions of some samples' maps, and frames and maps for the thumbnail."""
    places = evenly_spaced(len(samples), MOST_MEASURED)
    chosen = [samples[place] for place in places] if samples else []
    lengths = [min(len(sample.indices), MOST_HEAT_FRAMES) for sample in chosen]
    for_thumbnail = set(spread(sum(lengths))) if chosen else set()
    shares: list[float] = []
    shown: list[tuple[Image, Heatmap]] = []
    before = 0
    for sample, length in zip(chosen, lengths, strict=True):
        frames = _frames(path, clip, sample, length, settings.heat_size)
        _, height, width, _ = frames.shape
        shown_part = replace(sample, indices=sample.indices[:length], height=height, width=width)
        maps = selection_heatmap(path, shown_part, settings.heatmap, frames, workers=1)
        here = [place - before for place in sorted(for_thumbnail) if 0 <= place - before < length]
        shares += [moving_fraction(map_[None]) for map_ in maps]
        shown += [(frames[place], maps[place]) for place in here]
        before += length
    return shares, shown


def _frames(
    path: Path, clip: DecodedClip, sample: Selection, length: int, heat_size: int
) -> Frames:
    """Read the first `length` frames of a sample as trained on, but reduced to `heat_size`."""
    indices = sample.indices[:length]
    missing = sorted({index for index in indices if index not in clip.kept_frames})
    reduce = partial(_fitted, sample=sample, heat_size=heat_size)
    again = read_again(path, missing, reduce) if missing else {}
    fitted = {index: reduce(clip.kept_frames[index]) for index in {*indices} - {*missing}} | again
    return np.stack([fitted[index] for index in indices])


def _fitted(pixels: Image, sample: Selection, heat_size: int) -> Image:
    """Scale and crop a frame (H, W, 3), maybe reduced, to the sample's shape."""
    shrink = 1.0
    if heat_size:
        shrink = min(1.0, heat_size / min(sample.height, sample.width))
    height, width = (max(1, round(side * shrink)) for side in (sample.height, sample.width))
    fitted: Image = resized(pixels[None], height, width, sample.resize)[0]
    return fitted


def _spread(clip: DecodedClip) -> Frames:
    """Return some frames of the clip, larger than tiny where there are such: (N, H, W, 3)."""
    if not clip.pairs:
        return clip.tiny[spread(len(clip.tiny))]
    places = evenly_spaced(len(clip.pairs), MOST_BARRED)
    return np.stack([clip.pairs[place].frames[0] for place in places])


def _sample_names(samples: Sequence[Selection]) -> tuple[str, ...]:
    words = [format_indices(sample.indices) for sample in samples[:MOST_NAMED]]
    more = len(samples) - len(words)
    return (*words, f"and {more} more") if more else tuple(words)


def _thumbnail(clip: DecodedClip, pairs: Sequence[tuple[Image, Heatmap]]) -> Image:
    """Draw what is trained on; of a clip that is not, its frames without a heatmap."""
    if not pairs:
        frames = clip.tiny[spread(len(clip.tiny))]
        return sprite(frames, np.zeros(frames.shape[:3], np.float32))
    chosen = [pairs[place] for place in spread(len(pairs))]
    # Samples of several sizes: all are shown as the first one is.
    height, width = chosen[0][0].shape[:2]
    same = [(f, m) for f, m in chosen if f.shape[:2] == (height, width)]
    same += [same[-1]] * (len(chosen) - len(same))
    return sprite(np.stack([f for f, _ in same]), np.stack([m for _, m in same]))
