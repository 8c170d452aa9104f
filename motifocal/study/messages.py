"""Define and check the inputs and outputs of a study's store: tasks out, answers in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from motifocal.study.protocol import Protocol
from motifocal.study.votes import TIE

Source = Literal["link", "prolific", "connect", "sona", "mturk"]
State = Literal["joined", "consented", "ready", "finished", "screened_out"]
Choice = Literal["left", "right", "tie"]
Why = Literal[
    "unknown", "not ready", "not yours", "expired", "answered", "too early", "malformed"
]
MOST_MILLISECONDS = 24 * 3_600_000  # the page counts to a day; no lease is longer
MOST_LOOPS = 1_000_000
#: The random names that the store gives have 22 or 43 characters.
TOKEN = r"^[A-Za-z0-9_-]{1,64}$"
_TOKEN = re.compile(TOKEN)

Token = Annotated[str, StringConstraints(pattern=TOKEN)]
Milliseconds = Annotated[int, Field(ge=0, le=MOST_MILLISECONDS)]
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
class Task:
    """A comparison for an annotator to judge now.

    `slot` is the random name of the lease, `picture`, `left` and `right` those of an image and two
    videos; `number` is 1 for the annotator's first comparison, `of` how many there will be at most,
    `upcoming` the media of the next one, which is leased ahead.
    """

    slot: str
    picture: str
    prompt: str
    left: str
    right: str
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
    """An image or video as it is sent."""

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


class AnswerBody(BaseModel):
    """An answer as JSON, with exactly these fields and types.

    What a study's own protocol allows of it, `check_answer` knows.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    choice: Literal["left", "right", "tie"]
    reasons: Annotated[tuple[Annotated[str, StringConstraints(max_length=64)], ...],
                       Field(max_length=16)]  # fmt: skip
    milliseconds: Milliseconds
    loops: Annotated[int, Field(ge=1, le=MOST_LOOPS)]
    hidden_milliseconds: Milliseconds

    def answer(self) -> Answer:
        return Answer(self.choice, self.reasons, self.milliseconds, self.loops,
                      self.hidden_milliseconds)


def is_token(text: object) -> bool:
    """Return whether this could be one of the store's random names; others are never looked up."""
    return isinstance(text, str) and _TOKEN.fullmatch(text) is not None


def check_answer(protocol: Protocol, answer: Answer) -> None:
    """Raise Refused("malformed") unless the protocol allows this answer."""
    def refuse(words: str) -> Refused:
        return Refused("malformed", words)

    choices = ("left", "right", "tie") if protocol.ties else ("left", "right")
    if answer.choice not in choices:
        raise refuse(f"choice should be one of {', '.join(choices)}, got {answer.choice!r:.50}")
    keys = protocol.reason_keys
    if not isinstance(answer.reasons, tuple) or any(key not in keys for key in answer.reasons):
        raise refuse(f"reasons should be among {', '.join(keys)}, got {answer.reasons!r:.200}")
    if len(set(answer.reasons)) < len(answer.reasons):
        raise refuse(f"a reason should be given once, got {', '.join(answer.reasons)}")
    if (answer.choice == TIE) == bool(answer.reasons):
        expected = "none for a tie" if answer.choice == TIE else "at least one"
        raise refuse(f"reasons should be {expected}, got {', '.join(answer.reasons) or 'none'}")
    for name, least, most in (("milliseconds", 0, MOST_MILLISECONDS), ("loops", 1, MOST_LOOPS),
                              ("hidden_milliseconds", 0, MOST_MILLISECONDS)):
        value = getattr(answer, name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise refuse(f"{name} should be {least} to {most}, got {value!r:.50}")
