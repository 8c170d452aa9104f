"""The record of one clip's examination as stored on disk, and the settings that determine it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from motifocal.data.trainer_rules import Request
from motifocal.motion.heatmap import HeatmapSettings

#: Raised when a look finds other things than before, so that older findings are not believed.
VERSION = 6


@dataclass(frozen=True)
class InspectSettings:
    """What decides a finding.

    trainer, request: which frames are trained on (``data.trainers``).
    heatmap: how heat is measured on them.
    heat_size: pixels; frames whose shorter side is longer are reduced to it before heat is
        measured, 0: never. At 256 the moving fraction of 29 generated clips of 320x320 is off by
        0.02 in the middle and by 0.17 at worst, and measuring takes 0.4 of the time; of clips
        of 480x832, 0.1.
    """

    trainer: str
    request: Request
    heatmap: HeatmapSettings
    heat_size: int = 256

    def digest(self) -> str:
        """Hash the settings: the digest differs where any of them does."""
        text = json.dumps([VERSION, asdict(self)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Finding:
    """A clip in numbers; `problem` is (code, words) where it could not be looked at to its end.

    drift: frames by which counting at the mean rate is off at worst.
    watched: frames in which cuts were looked for.
    cuts, trained_cuts: first frames of new scenes, and those within a sample.
    samples, sample_count, trained_frames: some of the samples in words, how many there are, and
        how many frames they hold together.
    shortest: frames of the shortest sample.
    fitting: of a clip that is too short, the most frames that a sample of it can have; all that
        is said of samples but their number is then said of that one.
    by_rate, stored_repeats, freeze: as ``repeats.Repeats`` has them.
    new_rate: frames a second of the clip that do not repeat the one before.
    bars, bar_sides: the share of what is trained on that is bars, and the thickness of each in the
        clip, as ``bars.Bars`` has it.
    blur: the factor by which it was enlarged, as ``detail.enlargement`` tells.
    turned: whether the trainer sees the clip lying, as it does not read how to turn it.
    aspect: width to height of a pixel, as "4:3"; empty where it is square.
    transfer: "PQ" or "HLG" of an HDR clip, else empty.
    interlaced: whether frames are made of two fields.
    transparent: whether they have an alpha channel.
    enlarged, kept: factor by which the first sample scales the clip, and the share of the frame
        that is left of it then.
    flow_mean, flow_p95, own_mean, own_p95: as ``speeds.Motion`` has them.
    moving_fraction, most_moving: mean over the maps that were measured, and that of the map with
        most.
    content: the file's SHA-256. look: a ``duplicates.Fingerprint`` as text.
    """

    problem: tuple[str, str] | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    drift: float = 0.0
    frames: int | None = None
    seconds: float | None = None
    watched: int = 0
    cuts: tuple[int, ...] = ()
    trained_cuts: tuple[int, ...] = ()
    motion: float | None = None
    camera: float | None = None
    flow_mean: float | None = None
    flow_p95: float | None = None
    own_mean: float | None = None
    own_p95: float | None = None
    still: bool = False
    camera_only: bool = False
    samples: tuple[str, ...] = ()
    sample_count: int = 0
    trained_frames: int = 0
    shortest: int = 0
    fitting: int | None = None
    by_rate: float = 0.0
    stored_repeats: float = 0.0
    new_rate: float | None = None
    freeze: tuple[int, int] | None = None
    bars: float = 0.0
    bar_sides: tuple[float, ...] = ()
    blur: float | None = None
    turned: bool = False
    aspect: str = ""
    transfer: str = ""
    interlaced: bool = False
    transparent: bool = False
    enlarged: float | None = None
    kept: float | None = None
    moving_fraction: float | None = None
    most_moving: float | None = None
    content: str | None = None
    look: str | None = None
    thumb: bool = False
    thumb_width: int = 1
    thumb_height: int = 1


_KEYS = {field.name for field in fields(Finding)}


def is_of_another_version(values: object) -> bool:
    """Tell whether JSON holds a finding with other keys than those of this version."""
    return isinstance(values, dict) and "problem" in values and set(values) != _KEYS


def finding_from(values: Mapping[str, Any]) -> Finding:
    """Rebuild a finding from what ``dataclasses.asdict`` and JSON made of it.

    Raises ValueError for other keys than a finding's.
    """
    if set(values) != _KEYS:
        wrong = sorted(_KEYS ^ set(values))
        raise ValueError(f"a finding should have the keys of this version, got others: {wrong}")
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return Finding(**{**values, **lists})
