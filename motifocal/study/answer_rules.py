"""Check answers and random names, wherever they come from."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from motifocal.study.messages import Answer, Refused
from motifocal.study.protocol import Protocol
from motifocal.study.votes import TIE

MOST_MILLISECONDS = 24 * 3_600_000  # the page counts to a day; no lease is longer
MOST_LOOPS = 1_000_000
#: The random names that the store gives have 22 or 43 characters.
TOKEN = r"^[A-Za-z0-9_-]{1,64}$"
_TOKEN = re.compile(TOKEN)

Token = Annotated[str, StringConstraints(pattern=TOKEN)]
Milliseconds = Annotated[int, Field(ge=0, le=MOST_MILLISECONDS)]


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
