"""Settings of motion heatmaps: one frozen, checked dataclass, also read from JSON."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motifocal.motion.flow import DIS_PRESETS, ESTIMATORS
from motifocal.motion.raft import RaftOptions

EVIDENCE = ("regions", "pixels")
VECTORS = "vectors"  # the source that is no estimator: what the decoder of a video file has
SOURCES = (*ESTIMATORS, VECTORS)
NOISE = 2.5  # grey levels: where frames differ by less, nothing moves

# The length in pixels that counts as 1, from the magnitude (F-1, H, W) of a clip's whole flow.
UNITS: dict[str, Callable[[NDArray[np.float32], HeatmapSettings], float]] = {
    "pixels": lambda magnitude, settings: 1.0,
    # The longer side, so that motion through the whole frame is 1 in landscape and in portrait.
    "fraction": lambda magnitude, settings: float(max(magnitude.shape[1:])),
    "maximum": lambda magnitude, settings: float(magnitude.max()),
    # Like the maximum, but one wrong vector does not set the unit of the whole clip.
    "percentile": lambda magnitude, settings: float(np.percentile(magnitude, settings.percentile)),
}


@dataclass(frozen=True)
class HeatmapSettings:
    """Where flow comes from, and how it becomes a heatmap.

    unit: a key of ``UNITS``; the paper is silent.
    slope, threshold: of sigma; the paper's values.
    floor: pixels a frame; slower motion counts as none, whatever the unit. Estimators are only so
        exact, which does not depend on the size of the frame; 0 switches it off.
    percentile: of the clip's magnitudes, for the unit "percentile".
    noise: grey levels; where frames differ by less, nothing moves (``evidence.motion_evidence``;
        only ``clip_heatmap`` sees the frames). 0 switches it off.
    evidence: a key of ``EVIDENCE``, how frames are compared. "regions" judges regions of similar
        colour by the edges around them (``regions.moving_regions``); "pixels" judges pixels
        (``change.motion_evidence``).
    sharp: of "pixels": keep to the outline; without it some 4 pixels around it count as moving.
    change: grey levels; where colours change by more that the flow does not explain (appearance
        change without motion) counts as moving too (``change.colour_change``). Not in the paper;
        0: off.
    source: one of ``SOURCES``. The paper's is RAFT. "vectors" are the motion vectors of a video
        file (``vectors.read_vector_motion``), which frames alone do not have.
    preset: of DIS, a key of ``flow.DIS_PRESETS``.
    flow_size: pixels; flow is estimated on frames whose shorter side is at most this long. All else
        sees the frames as they are. 0 is full size. Together with the default preset 0.005 of IoU
        is lost at 320 pixels (docs/heatmap.md).
    camera: take the camera's own motion out of the flow (``camera``). Not in the paper.
    raft_iterations, raft_precision, raft_weights: see ``raft.RaftOptions``.
    """

    unit: str = "maximum"
    slope: float = 100.0
    threshold: float = 0.05
    floor: float = 0.15
    percentile: float = 99.0
    noise: float = NOISE
    evidence: str = "regions"
    sharp: bool = True
    change: float = 0.0
    source: str = "dis"
    preset: str = "fast"
    flow_size: int = 240
    camera: bool = False
    raft_iterations: int = 12
    raft_precision: str = "float32"
    raft_weights: str | None = None

    def __post_init__(self) -> None:
        names = {"unit": list(UNITS), "source": SOURCES, "preset": list(DIS_PRESETS),
                 "evidence": EVIDENCE}  # fmt: skip
        for name, known in names.items():
            given = getattr(self, name)
            if given not in known:
                raise ValueError(f"{name} should be one of {sorted(known)}, got {given!r}")
        for name in ("slope", "threshold"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} should be positive, got {getattr(self, name)}")
        for name in ("floor", "noise", "change", "flow_size"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} should be at least 0, got {getattr(self, name)}")
        if not 0 <= self.percentile <= 100:
            raise ValueError(f"percentile should be in [0, 100], got {self.percentile}")
        self.raft()

    @property
    def sees_colour(self) -> bool:
        """Whether frames are compared in colour; else their luma will do."""
        return bool(self.change or (self.noise and self.evidence == "regions"))

    def raft(self, device: str | None = None) -> RaftOptions:
        """Return the options of RAFT; the device decides nothing, so it is no setting."""
        return RaftOptions(self.raft_iterations, self.raft_precision, self.raft_weights, device)


DEFAULT_SETTINGS = HeatmapSettings()
#: The default before regions were: what docs/proof.md was measured with.
PIXEL_SETTINGS = HeatmapSettings(evidence="pixels", preset="medium")
# What maps were made with before the setting was there.
_BEFORE: dict[str, Any] = {
    "evidence": "pixels", "sharp": False, "change": 0.0, "source": "dis", "preset": "medium",
    "flow_size": 0, "camera": False, "raft_iterations": 12, "raft_precision": "float32",
    "raft_weights": None,
}  # fmt: skip
# A field's annotation -> the types that JSON has for it.
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,), "float": (int, float), "int": (int,), "bool": (bool,),
    "str | None": (str, type(None)),
}  # fmt: skip


def settings_from(values: object) -> HeatmapSettings:
    """Rebuild settings from what ``dataclasses.asdict`` gave at any time, maybe through JSON.

    Fields that were not there yet get the values that maps were made with then, whatever the
    defaults are by now. Raises ValueError for anything else, for fields that there are not, and
    for values of another type.
    """
    types = {field.name: str(field.type) for field in fields(HeatmapSettings)}
    if not isinstance(values, dict) or not set(values) <= set(types):
        raise ValueError(f"settings should have the keys {list(types)}, got {values}")
    for name, value in values.items():
        # In Python a truth is a whole number.
        if not isinstance(value, _TYPES[types[name]]) or isinstance(value, bool) != (
            types[name] == "bool"
        ):
            raise ValueError(f"{name} should be {types[name]}, got {value!r}")
    return HeatmapSettings(**{**_BEFORE, **values})
