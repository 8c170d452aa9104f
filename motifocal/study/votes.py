"""Read, write and check the votes of a human study as lines of JSON.

One vote is one line. `model_a`, `model_b` and `winner` are named as in LMArena's public data;
`docs/statistics.md` describes the rest. A reader refuses what has the wrong form; `validate` lists
what has the right form and cannot be true.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from motifocal.files.atomic import replacing
from motifocal.files.json_text import parse_strict_json

MODEL_A, MODEL_B, TIE = "model_a", "model_b", "tie"
WINNERS = (MODEL_A, MODEL_B, TIE)
SIDES = (MODEL_A, MODEL_B)
#: What an annotator may give as a reason for the choice, in the order of the paper's protocol.
REASONS = ("object_motion", "text_alignment", "image_alignment", "overall_quality")
#: Items whose answer is known. In the first three `model_a` is the whole video, which should win,
#: and `model_b` the damaged one; "repeat" shows a pair again, left and right exchanged.
GOLD = ("still", "shuffled", "other_sentence", "repeat")
REPEAT = GOLD[3]
#: What options and tables call the kinds. Files and databases keep the names above.
GOLD_NAMES = {kind: kind for kind in GOLD} | {"other_sentence": "other_prompt"}
HASH_DIGITS = 32
SHORTEST_SALT = 16
LONGEST_LINE = 65_536  # bytes; a vote has a few hundred
LARGEST = 2**63 - 1


@dataclass(frozen=True, kw_only=True)
class Vote:
    """One judgement: which of two videos of the same image and prompt is better overall.

    `winner` is "model_a", "model_b" or "tie", `left` says which of the two was shown on the left,
    `pair` is the stem of the videos' names (image and prompt), `reasons` belong to the chosen
    side, `gold` is None for a real vote, `worker` is a salted hash, `protocol` the hash of the
    wording, settings and rules of the study. None in `milliseconds` or `loops` is "not recorded".
    """

    model_a: str
    model_b: str
    winner: str
    pair: str
    image_id: str
    left: str
    worker: str
    scenario: str = ""
    prompt: str = ""
    seed: int = 0
    reasons: tuple[str, ...] = ()
    milliseconds: int | None = None
    loops: int | None = None
    gold: str | None = None
    protocol: str = ""

    @property
    def unit(self) -> tuple[frozenset[str], str, int]:
        """What was judged, whichever model is named first: two models, a pair and a seed."""
        return frozenset((self.model_a, self.model_b)), self.pair, self.seed


_HASH = re.compile(rf"[0-9a-f]{{{HASH_DIGITS}}}")
_COUNTS = {"seed", "milliseconds", "loops"}
_MAY_BE_NULL = {"milliseconds", "loops", "gold"}
_REQUIRED = [field.name for field in fields(Vote) if field.default is MISSING]
_NAMES = [field.name for field in fields(Vote)]


def hash_worker(worker_id: str, salt: str) -> str:
    """Return the name under which a worker's votes are published: 32 hex digits of HMAC-SHA256.

    The same worker gets the same name in one study and another in the next. With the salt a
    worker can be found again, so it is never exported. Raises ValueError for a salt of fewer than
    16 characters, which could be guessed, and for an empty id.
    """
    if len(salt) < SHORTEST_SALT:
        raise ValueError(f"salt should have at least {SHORTEST_SALT} characters, got {len(salt)}")
    if not worker_id:
        raise ValueError("worker_id should not be empty")
    return hmac.new(salt.encode(), worker_id.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]


def write_votes(path: str | Path, votes: Iterable[Vote]) -> None:
    """Write one line of JSON a vote, in their order; the file appears whole or not at all."""
    with (
        replacing(Path(path), durable=True) as temporary,
        temporary.open("w", encoding="utf-8", newline="\n") as file,
    ):
        for vote in votes:
            file.write(json.dumps(asdict(vote), ensure_ascii=False, allow_nan=False) + "\n")


def read_votes(path: str | Path) -> list[Vote]:
    """Read the votes in a JSONL file, in its order; skip empty lines.

    Raises ValueError, naming the line, for bytes that are not UTF-8, a line that is no object of
    JSON, a field that is missing, unknown or of the wrong type. What the fields say is not judged
    here: see `validate`.
    """
    with Path(path).open("rb") as file:
        # A file without line ends must not be read whole before it is refused.
        lines = iter(lambda: file.readline(LONGEST_LINE + 1), b"")
        return [_vote(line, f"{path}, line {number}")
                for number, line in enumerate(lines, start=1) if line.strip()]


def _vote(line: bytes, place: str) -> Vote:
    if len(line) > LONGEST_LINE:
        raise ValueError(f"{place} should have at most {LONGEST_LINE} bytes, got more")
    try:
        fields_ = parse_strict_json(line)
    except ValueError as error:
        raise ValueError(f"{place} should be one object of JSON: {error}") from error
    if not isinstance(fields_, dict):
        raise ValueError(f"{place} should be an object, got {type(fields_).__name__}")
    unknown = [name for name in fields_ if name not in _NAMES]
    missing = [name for name in _REQUIRED if name not in fields_]
    if unknown or missing:
        words = "; ".join(f"{what} {', '.join(map(repr, names))}"
                          for what, names in (("unknown", unknown), ("missing", missing)) if names)
        raise ValueError(f"{place}: the fields should be those of a vote, got {words}")
    return Vote(**{name: _checked(name, value, place) for name, value in fields_.items()})


def _checked(name: str, value: object, place: str) -> Any:
    """Return the value if it has the type of its field; text must be such as can be written."""
    if value is None and name in _MAY_BE_NULL:
        return None
    if name in _COUNTS:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST:
            raise ValueError(f"{place}: {name} should be a whole number, got {value!r}")
        return value
    if name == "reasons":
        if not isinstance(value, list):
            raise ValueError(f"{place}: reasons should be a list, got {value!r}")
        return tuple(_text("reasons", reason, place) for reason in value)
    return _text(name, value, place)


def _text(name: str, value: object, place: str) -> str:
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"{place}: {name} should be text, got {value!r}")
    return value


def validate(votes: Sequence[Vote]) -> list[str]:
    """List what cannot be true of these votes; an empty list is good.

    Votes are numbered from 1. Doubled votes of one worker, pairs that change their image, prompt or
    scenario, and several protocols are seen in the list, the rest in a vote by itself.
    """
    problems = [f"vote {number}: {words}"
                for number, vote in enumerate(votes, start=1) for words in _wrong(vote)]
    problems += _doubled(votes)
    problems += _changing(votes)
    protocols = sorted({vote.protocol for vote in votes})
    if len(protocols) > 1:
        problems.append(f"votes should be of one protocol, got {', '.join(map(repr, protocols))}")
    return problems


def _wrong(vote: Vote) -> Iterator[str]:
    """Yield what is wrong with a vote by itself."""
    for name in ("model_a", "model_b", "pair", "image_id", "worker"):
        if not getattr(vote, name).strip():
            yield f"{name} should not be empty"
    if vote.model_a == vote.model_b:
        yield f"model_a and model_b should differ, got {vote.model_a!r} twice"
    for name, known in (("winner", WINNERS), ("left", SIDES)):
        if getattr(vote, name) not in known:
            yield f"{name} should be one of {', '.join(known)}, got {getattr(vote, name)!r}"
    if vote.gold is not None and vote.gold not in GOLD:
        yield f"gold should be null or one of {', '.join(GOLD)}, got {vote.gold!r}"
    yield from _wrong_reasons(vote)
    if vote.worker and not _HASH.fullmatch(vote.worker):
        yield f"worker should be a salted hash of {HASH_DIGITS} hex digits, got another form"
    for name in sorted(_COUNTS):
        value = getattr(vote, name)
        if value is not None and value < 0:
            yield f"{name} should be at least 0, got {value}"


def _wrong_reasons(vote: Vote) -> Iterator[str]:
    unknown = [reason for reason in vote.reasons if reason not in REASONS]
    if unknown:
        yield f"reasons should be among {', '.join(REASONS)}, got {', '.join(map(repr, unknown))}"
    if len(set(vote.reasons)) < len(vote.reasons):
        yield f"a reason should be given once, got {', '.join(vote.reasons)}"
    if vote.winner == TIE and vote.reasons:
        yield "a tie should have no reasons: they belong to the chosen side"
    if vote.winner in SIDES and not vote.reasons and vote.gold is None:
        yield "a choice should have at least one reason, got none"


def _doubled(votes: Sequence[Vote]) -> Iterator[str]:
    """Yield every vote for what the same worker has judged before; a repeat is meant to be one."""
    first: dict[tuple[object, ...], int] = {}
    for number, vote in enumerate(votes, start=1):
        before = first.setdefault((vote.worker, vote.unit, vote.gold), number)
        if before != number:
            models = " and ".join(sorted(vote.unit[0]))
            yield (f"vote {number}: a worker should judge {vote.pair!r} of {models} once, "
                   f"see vote {before}")


def _changing(votes: Sequence[Vote]) -> Iterator[str]:
    """Yield every vote whose pair had another image, prompt or scenario before."""
    first: dict[str, tuple[int, Vote]] = {}
    for number, vote in enumerate(votes, start=1):
        before, other = first.setdefault(vote.pair, (number, vote))
        for name in ("image_id", "prompt", "scenario"):
            if getattr(vote, name) != getattr(other, name):
                yield (f"vote {number}: {name} of {vote.pair!r} should be "
                       f"{getattr(other, name)!r} as in vote {before}, got {getattr(vote, name)!r}")
