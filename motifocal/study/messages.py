"""Define what the store of a study takes and gives: tasks out, answers in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Source = Literal["link", "prolific", "connect", "sona", "mturk"]
State = Literal["joined", "consented", "ready", "finished", "screened_out"]
Choice = Literal["left", "right", "tie"]
Why = Literal[
    "unknown", "not ready", "not yours", "expired", "answered", "too early", "malformed"
]
SOURCES: tuple[Source, ...] = ("link", "prolific", "connect", "sona", "mturk")


class Refused(ValueError):  # noqa: N818
    """A refusal of what an annotator asked for; `reason` says why in a word or two.

    "unknown": no such annotator or slot. "not ready": consent or check is missing, or failed.
    "not yours": another annotator's slot. "expired": the slot was given back. "answered": the slot
    has another answer already. "too early": no time to have watched. "malformed": the answer is
    none that the protocol allows.
    """

    def __init__(self, reason: Why, message: str) -> None:
        super().__init__(message)
        self.reason: Why = reason


@dataclass(frozen=True)
class Side:
    """One half of the screen: a media token that says nothing of the model."""

    video: str


@dataclass(frozen=True)
class Task:
    """A comparison for an annotator to judge now.

    `slot` is the random name of the lease, `number` is 1 for the annotator's first comparison, `of`
    how many there will be at most, `upcoming` the media of the next one, which is leased ahead.
    """

    slot: str
    picture: str
    prompt: str
    left: Side
    right: Side
    number: int
    of: int
    upcoming: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """An annotator's answer. Milliseconds count since the comparison was shown; `loops` of the
    videos, `hidden_milliseconds` while the page was out of view."""

    choice: Choice
    reasons: tuple[str, ...]
    milliseconds: int
    loops: int
    hidden_milliseconds: int


@dataclass(frozen=True)
class Annotator:
    """`id` is random, `tries` counts wrong tries of the comprehension check, `answered` votes."""

    id: str
    state: State
    source: str
    tries: int
    answered: int


@dataclass(frozen=True)
class Media:
    """A picture or video as it is sent."""

    content_type: str
    data: bytes


@dataclass(frozen=True)
class ComparisonProgress:
    """How many of the wanted votes one comparison has; votes that were replaced do not count."""

    model_a: str
    model_b: str
    done: int
    wanted: int


@dataclass(frozen=True)
class Progress:
    """The state of a study.

    done, wanted: real votes. leased: comparisons that are leased now. votes_per_hour: real votes
    over the last hour, or since the first one where that is later; None before it. seconds_left: at
    that pace. annotators: state -> how many. gold_answered, gold_right: of the kinds that count.
    failed_gold: annotators who fail the protocol's rule. left_share: of real choices, ties aside.
    median_seconds: of real votes. None where there is nothing to count yet.
    """

    comparisons: tuple[ComparisonProgress, ...]
    done: int
    wanted: int
    leased: int
    votes_per_hour: float | None
    seconds_left: float | None
    annotators: Mapping[str, int]
    gold_answered: int
    gold_right: int
    failed_gold: int
    left_share: float | None
    median_seconds: float | None
