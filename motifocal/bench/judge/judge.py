"""The interface of judges: frames, prompt and question in, the probability of "yes" out.

Letters: F frames of a clip, N frames that a judge is shown, H W pixels.

A failure belongs to one query and has a kind of its own; it is never a probability. What decides a
probability (frames, text, judge) is hashed, so that a kept answer is used for the same query only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from motifocal.media.arrays import Frames

FRAMES = 8  # frames that a judge is shown, by default
RULE = "evenly from the first to the last frame"
TEMPLATE = (
    "These are {count} frames of one video, in order, taken " + RULE + ". {question} Answer with "
    "yes or no only."
)
PROMPT_QUESTION = 'Does the video show this: "{prompt}"?'
PAIR_TEMPLATE = (
    "The first {half} frames are of video A, the other {half} are of video B, each in order, taken "
    + RULE + ". {question} Answer with yes or no only."
)
PAIR_QUESTION = 'Does video A show this better than video B: "{prompt}"?'
LEAST_MASS = 0.01  # of probability on the forms of yes and no, to count as an answer
YES, NO = "yes", "no"

REFUSED, EMPTY, NEITHER = "refused", "empty answer", "neither yes nor no"
TIMED_OUT, NO_CONNECTION, BAD_STATUS = "timed out", "no connection", "bad status"
BAD_ANSWER, TOO_LARGE, NO_LOGPROBS = "bad answer", "too large", "no log-probabilities"
PROGRAM, UNREADABLE = "program failed", "unreadable video"
#: Kind of failure -> what happened.
FAILURES: Mapping[str, str] = {
    REFUSED: "the judge declined to answer",
    EMPTY: "the answer has no token",
    NEITHER: f"forms of yes and no have less than {LEAST_MASS:g} of the probability",
    TIMED_OUT: "no whole answer within the time limit",
    NO_CONNECTION: "the address could not be reached",
    BAD_STATUS: "the endpoint answered with an error, or redirected elsewhere",
    BAD_ANSWER: "the answer is not of the form that the interface prescribes",
    TOO_LARGE: "the question or the answer is larger than the limit",
    NO_LOGPROBS: "the endpoint gave no log-probabilities, or the first token's alone",
    PROGRAM: "the program ended with an error or wrote no probability",
    UNREADABLE: "the video does not decode",
}


@dataclass(frozen=True)
class Query:
    """One question of one video. `frames` (N, H, W, 3) uint8 are those that the judge is shown.

    `prompt` is the one that the question is about, which models of reward take; `text` is all
    that a language model reads beside the frames.
    """

    frames: Frames
    prompt: str
    question: str
    template: str = TEMPLATE

    @property
    def text(self) -> str:
        """The text that the judge reads."""
        count = len(self.frames)
        return self.template.format(count=count, half=count // 2, question=self.question,
                                    prompt=self.prompt)


@dataclass(frozen=True)
class Answer:
    """P(yes) in [0, 1], of yes and no alone, and `mass`, the probability of both together."""

    probability: float
    mass: float = 1.0


@dataclass(frozen=True)
class Failure:
    """Why a query has no probability: a key of `FAILURES`, and words on this case."""

    kind: str
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}" if self.reason else self.kind


class Judge(Protocol):
    """Something that answers queries.

    `name` stands in tables; `identity` are JSON values that decide its answers. `batch` is how many
    queries a call should hold.
    """

    name: str
    identity: Mapping[str, Any]
    batch: int

    def ask(self, queries: Sequence[Query]) -> list[Answer | Failure]:
        """Answer every query, in order. What concerns all queries is raised as ValueError."""
        ...


def sample_frames(frames: Frames, count: int = FRAMES) -> Frames:
    """Return `count` frames of (F, H, W, 3), evenly from the first to the last; all of fewer."""
    if count < 1:
        raise ValueError(f"count should be at least 1, got {count}")
    count = min(count, len(frames))
    return frames[np.rint(np.linspace(0, len(frames) - 1, count)).astype(int)]


def check_template(template: str) -> None:
    """Raise ValueError for a template that does not hold {question}, or names something else."""
    try:
        filled = template.format(count=2, half=1, question="Q?", prompt="")
    except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise ValueError("template should name {question} and perhaps {count} and {prompt}, got "
                         f"{template!r}") from error
    if "Q?" not in filled:
        raise ValueError(f"template should hold {{question}}, got {template!r}")


def text_hash(text: str) -> str:
    """Return the SHA-256 of what a judge reads."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def query_key(judge: Judge, query: Query) -> str:
    """Return a hash of all that decides the answer to a query."""
    pixels = hashlib.sha256(query.frames.tobytes()).hexdigest()
    what = [dict(judge.identity), list(query.frames.shape), pixels, query.prompt, query.text]
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def form_of(token: str) -> str | None:
    """Return `YES` or `NO` where a token's text is a form of it, such as " Yes" or "NO", else
    None."""
    word = token.strip().lower()
    return word if word in (YES, NO) else None


def answer_of(tokens: Iterable[tuple[str, float]]) -> Answer | Failure:
    """Return P(yes) from the probabilities of first tokens, summed over the forms of yes and no."""
    sums = {YES: 0.0, NO: 0.0}
    likeliest, most = "", -1.0
    for token, probability in tokens:
        form = form_of(token)
        if form is not None:
            sums[form] += probability
        if probability > most:
            likeliest, most = token, probability
    mass = sums[YES] + sums[NO]
    if mass < LEAST_MASS:
        shown = "".join(letter if letter.isprintable() else " " for letter in likeliest)[:40]
        return Failure(NEITHER, f"the likeliest first token is {shown!r}")
    return Answer(sums[YES] / mass, min(mass, 1.0))
