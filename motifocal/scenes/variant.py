"""What kind of scenes are drawn: how still the rest of the image is, how hard the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Background = Literal["still", "calm", "lively"]
Difficulty = Literal["standard", "hard"]


@dataclass(frozen=True)
class SceneVariant:
    """The kind of scenes; the default is what all published scores are of.

    `background`: "still" changes nothing but what the prompt moves; "calm" and "lively" add the
    temporal residue of real clips in two strengths (see `residue.py`). `difficulty`: "hard" draws
    smaller movers on photographic backgrounds. Raises ValueError for anything else.
    """

    background: Background = "still"
    difficulty: Difficulty = "standard"

    def __post_init__(self) -> None:
        for name, value, known in (
            ("background", self.background, get_args(Background)),
            ("difficulty", self.difficulty, get_args(Difficulty)),
        ):
            if value not in known:
                raise ValueError(f"{name} should be one of {list(known)}, got {value!r}")


STANDARD = SceneVariant()
