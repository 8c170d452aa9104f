"""Define the protocol of a study: rules, numbers and wording, frozen, with a hash that names them.

The default texts, `texts/*.md`, follow the paper's protocol (after Emu Video's JUICE) in our own
words: first the better video overall, then why.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from motifocal.study.votes import GOLD, REASONS

LONGEST_TEXT = 50_000
LARGEST_CAP = 100_000
CHECK_TRIES = 2  # of the comprehension check; who fails the second is screened out

Line = Annotated[str, Field(min_length=1, max_length=500)]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Code = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9_-]*$")]
GoldKind = Literal["still", "shuffled", "other_sentence", "repeat"]

QUESTION = "Which video is the better animation of this image and prompt?"

#: Key, label and meaning of every reason, in the order of the paper's Figure 4.
REASON_TEXTS = (
    ("object_motion", "Object motion",
     "What should move does move, and it moves in a natural way."),
    ("text_alignment", "Text alignment",
     "What happens is what the prompt says."),
    ("image_alignment", "Image alignment",
     "The video keeps to the image: the same things, looking the same, in the same place."),
    ("overall_quality", "Overall quality",
     "The video is sharp and steady; nothing flickers, melts or breaks."),
)  # fmt: skip

TEXTS = Path(__file__).with_name("texts")
CONSENT, INSTRUCTIONS, THANKS = (
    (TEXTS / f"{name}.md").read_text(encoding="utf-8")
    for name in ("consent", "instructions", "thanks")
)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Reason(_Frozen):
    """A reason that can be given for a choice; `meaning` explains the label."""

    key: Literal["object_motion", "text_alignment", "image_alignment", "overall_quality"]
    label: Line
    meaning: Annotated[str, Field(max_length=500)] = ""


class CheckQuestion(_Frozen):
    """A question about the instructions; `right` counts the answers from 0."""

    question: Line
    answers: Annotated[tuple[Line, ...], Field(min_length=2, max_length=10)]
    right: Annotated[int, Field(ge=0)]

    @model_validator(mode="after")
    def _right_is_an_answer(self) -> CheckQuestion:
        if self.right >= len(self.answers):
            raise ValueError(f"right should be 0 to {len(self.answers) - 1}, got {self.right}")
        return self


class CompletionUrls(_Frozen):
    """The addresses to which recruitment services want participants sent at the end."""

    prolific: str | None = None
    connect: str | None = None
    sona: str | None = None

    @field_validator("*")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is not None:
            parts = urlsplit(address)
            if parts.scheme not in ("https", "http") or not parts.netloc or len(address) > 2000:
                raise ValueError(f"should be an https:// address, got {address!r}")
        return address


REASON_DEFAULTS = tuple(Reason(key=key, label=label, meaning=meaning)  # type: ignore[arg-type]
                        for key, label, meaning in REASON_TEXTS)


class Protocol(_Frozen):
    """The rules, the wording and the numbers of one study.

    votes: judgements of every item (a comparison, a pair and a seed). ties: may an annotator say
    "no difference"? The paper's did not.
    cap: the most real judgements of one annotator.
    gold_every: one comparison in so many has a known answer, at a place that cannot be foreseen;
        0 for none. gold_kinds: of which kinds. gold_counted: the kinds by which annotators are
        judged. An annotator fails who has answered at least `gold_least` of those and got less
        than the share `gold_share` of them right. Repeats do not count by default: between two
        equally good videos an annotator may change their mind.
    lease_seconds: how long a comparison waits for the answer before another annotator gets it.
    least_seconds: no vote counts that comes sooner after the comparison was handed out; None has
        `create_study` take one loop of the longest video.
    keep_ids: also store the recruitment services' raw numbers, in a table that no export reads.
    completion_code, screen_out_code: shown at the end; "" has `create_study` draw one.
    """

    title: Line = "Comparing short videos"
    votes: Annotated[int, Field(ge=1, le=99)] = 5
    ties: bool = False
    cap: Annotated[int, Field(ge=1, le=LARGEST_CAP)] = 40
    gold_every: Annotated[int, Field(ge=0, le=1000)] = 8
    gold_kinds: tuple[GoldKind, ...] = GOLD  # type: ignore[assignment]
    gold_counted: tuple[GoldKind, ...] = GOLD[:3]  # type: ignore[assignment]
    gold_least: Annotated[int, Field(ge=1)] = 4
    gold_share: Annotated[float, Field(ge=0, le=1)] = 0.6
    lease_seconds: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    least_seconds: Annotated[float, Field(ge=0, le=600)] | None = None
    question: Line = QUESTION
    reasons: Annotated[tuple[Reason, ...], Field(min_length=1)] = REASON_DEFAULTS
    consent_md: Text = CONSENT
    instructions_md: Text = INSTRUCTIONS
    thanks_md: Text = THANKS
    check: Annotated[tuple[CheckQuestion, ...], Field(max_length=20)] = ()
    completion_code: Code = ""
    screen_out_code: Code = ""
    completion_urls: CompletionUrls = CompletionUrls()
    keep_ids: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Protocol:
        keys = [reason.key for reason in self.reasons]
        if keys != [key for key in REASONS if key in keys]:
            raise ValueError(f"reasons should be some of {', '.join(REASONS)}, in this order, got "
                             f"{', '.join(keys)}")
        for name in ("gold_kinds", "gold_counted"):
            kinds = getattr(self, name)
            if len(set(kinds)) < len(kinds):
                raise ValueError(f"{name} should name each kind once, got {', '.join(kinds)}")
        if self.gold_every == 1 or (self.gold_every and not self.gold_kinds):
            raise ValueError("gold_every should be 0, or at least 2 with some gold_kinds, got "
                             f"{self.gold_every} with {', '.join(self.gold_kinds) or 'none'}")
        if not set(self.gold_counted) <= set(self.gold_kinds):
            raise ValueError(f"gold_counted should be among {', '.join(self.gold_kinds)}, got "
                             f"{', '.join(self.gold_counted)}")
        if self.least_seconds is not None and self.least_seconds >= self.lease_seconds:
            raise ValueError(f"least_seconds should be below lease_seconds {self.lease_seconds:g}, "
                             f"got {self.least_seconds:g}")
        return self

    @property
    def reason_keys(self) -> tuple[str, ...]:
        """The reasons that may be given."""
        return tuple(reason.key for reason in self.reasons)

    def to_json(self) -> str:
        """Return one line of JSON with sorted keys: the same protocol gives the same bytes."""
        return _canonical(self.model_dump(mode="json"))

    def digest(self) -> str:
        """Return the SHA-256 of `to_json`: what every vote carries as `protocol`."""
        return _sha256(self.to_json())

    def wording_digest(self) -> str:
        """Return the SHA-256 of all that annotators read, whatever the numbers are."""
        wording = ("title", "ties", "question", "reasons", "consent_md", "instructions_md",
                   "thanks_md", "check")
        values = self.model_dump(mode="json")
        return _sha256(_canonical({name: values[name] for name in wording}))

    def fails_gold(self, answered: int, right: int) -> bool:
        """Return whether an annotator with so many counted gold items, and so many right, fails."""
        # A quotient is rounded like the decimal that was written; a product is not.
        return answered >= self.gold_least and right / answered < self.gold_share


def read_protocol(values: Mapping[str, Any]) -> Protocol:
    """Return the protocol of JSON values. Raise ValueError, one line of what is wrong."""
    try:
        return Protocol.model_validate(values)
    except ValidationError as error:
        words = [f"{'.'.join(map(str, fault['loc'])) or 'protocol'}: "
                 f"{fault['msg'].removeprefix('Value error, ')}" for fault in error.errors()]
        raise ValueError("the protocol is not valid: " + "; ".join(words)) from error


def _canonical(values: dict[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
