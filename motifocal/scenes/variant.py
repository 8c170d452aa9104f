"""The kind of scenes that are drawn: their background and their difficulty."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

Background = Literal["still", "calm", "lively", "mixed"]
Difficulty = Literal["standard", "hard"]

#: What the clips of a mixed set show in turn: half of them are still.
MIXED: tuple[Background, ...] = ("still", "calm", "still", "lively")


@dataclass(frozen=True)
class SceneVariant:
    """The kind of scenes; the default is what all published scores are of.

    `background`: "still" changes nothing but what the prompt moves; "calm" and "lively" add the
    temporal residue of real clips in two strengths (see `residue.py`); "mixed" is of whole sets of
    clips, each of which has one of the others. `difficulty`: "hard" draws smaller movers on
    photographic backgrounds. Raises ValueError for anything else.
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

    def of_clip(self, index: int, scenarios: int) -> SceneVariant:
        """Return what clip `index` of a set shows whose scenarios come in turn.

        Of a mixed set every scenario has each background in turn, and they differ within a turn.
        """
        if self.background != "mixed":
            return self
        turn, scenario = divmod(index, scenarios)
        return replace(self, background=MIXED[(turn + scenario) % len(MIXED)])

    def of_pairs(self) -> SceneVariant:
        """Return what pairs show that a model trained on such clips is tried on.

        Of a mixed set these are the lively ones, the hardest that it holds.
        """
        return replace(self, background="lively") if self.background == "mixed" else self


STANDARD = SceneVariant()
