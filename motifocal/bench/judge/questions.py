"""Make yes-or-no questions for a pair from its prompt by rules, and the prompt's opposite.

    the blue balloon dips down
        there   Does the video show the blue balloon?                            yes
        does    Does the video show this: "the blue balloon dips down"?          yes
        else    Does anything other than the blue balloon move in the video?     no

The thing that is named ends before the first verb: a word in -ing, or one of `VERBS`. A prompt in
which no rule finds a verb, or nothing before it, has the question "does" alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from motifocal.bench.judge.judge import NO, PROMPT_QUESTION, YES

THERE, DOES, ELSE, OWN = "there", "does", "else", "own"
#: Kind of question -> what it asks.
KINDS: dict[str, str] = {
    THERE: "whether the named thing is there",
    DOES: "whether the video shows what the prompt says",
    ELSE: "whether anything else moves",
    OWN: "a question of a table or of the benchmark",
}
STANDS_STILL = "nothing moves"

# Finite verbs of prompts; participles are told by their ending.
VERBS = frozenset(re.findall(r"\w+", """
    is are becomes become flaps lifts hovers bends jumps kicks waves floats rolls bounces stops
    explodes fall falls fly flies shifts strike strikes sways dips drift drifts rises sets glides
    swims turns moves swings tilts lights goes opens wilts sails advance recede erupts flashes sinks
    runs walks spins catches shakes smiles laughs talks nods barks grows shrinks stands steps
    stopped blowed appears disappears enters melts burns breaks
"""))
_NOUNS_IN_ING = frozenset({"ceiling", "string", "thing", "spring", "morning", "evening",
                           "building", "painting", "clothing", "surrounding"})
_NOT_BEFORE_A_VERB = frozenset({"a", "an", "the", "all", "some", "of", "from", "with", "in", "on",
                                "and", "at", "near"})
#: Phrases that exclude each other; the first one in a prompt is replaced by the other.
OPPOSITES = (
    ("left", "right"), ("upward", "downward"), ("upwards", "downwards"), ("bigger", "smaller"),
    ("rises higher", "sinks lower"), ("higher", "lower"), ("forward", "backward"),
    ("forwards", "backwards"), ("dips down", "floats up"), ("dipping down", "floating up"),
    ("opens", "closes"), ("opening", "closing"), ("into", "out of"), ("towards", "away from"),
    ("advance towards", "recede from"), ("advancing towards", "receding from"),
    ("recede back into", "advance out of"), ("receding back into", "advancing out of"),
    ("sets behind", "rises from behind"), ("flies in", "flies out"), ("swims in", "swims out"),
    ("nodding his head", "shaking his head"), ("nodding her head", "shaking her head"),
    ("appears", "disappears"), ("grows", "shrinks"),
)  # fmt: skip
_OTHERS: dict[str, str] = {a: b for pair in OPPOSITES for a, b in (pair, pair[::-1])}
# "left and right" is no direction; "flies in the air" enters nothing.
_OPPOSITE = re.compile(
    r"\b(?!left and right|right and left)("
    + "|".join(sorted(map(re.escape, _OTHERS), key=len, reverse=True))
    + r")\b(?<! and right)(?<! and left)(?!(?<=s in) (?!from))", re.IGNORECASE)


@dataclass(frozen=True)
class Question:
    """A yes-or-no question, the answer that a video which follows its prompt should get, and what
    kind it is: a key of `KINDS`."""

    text: str
    expected: str = YES
    kind: str = OWN

    def __post_init__(self) -> None:
        if self.expected not in (YES, NO):
            raise ValueError(f"the expected answer should be yes or no, got {self.expected!r}")
        if self.kind not in KINDS:
            raise ValueError(f"kind should be one of {', '.join(KINDS)}, got {self.kind!r}")
        if not self.text.strip():
            raise ValueError("a question should not be empty")


def prompt_question(prompt: str) -> Question:
    """Return the question whether a video shows what the prompt says."""
    return Question(PROMPT_QUESTION.format(prompt=prompt), YES, DOES)


def questions_of(prompt: str) -> list[Question]:
    """Return one to three questions of a prompt, the one about the prompt itself always."""
    thing = named_thing(prompt)
    if thing is None:
        return [prompt_question(prompt)]
    return [Question(f"Does the video show {thing}?", YES, THERE), prompt_question(prompt),
            Question(f"Does anything other than {thing} move in the video?", NO, ELSE)]


def named_thing(prompt: str) -> str | None:
    """Return the words before the first verb, such as "the blue balloon", or None."""
    words = prompt.strip().rstrip(".!").split()
    # The first word is never the verb: "waves advance", "light bulbs glowing".
    for place, word in enumerate(words[1:], start=1):
        plain = word.strip(",;:").lower()
        participle = plain.endswith("ing") and plain not in _NOUNS_IN_ING and len(plain) > 4
        lights = plain == "light" and words[place + 1 : place + 2] == ["up"]
        before = words[:place]
        # "the falling leaves": a participle before its noun.
        if (plain in VERBS or participle or lights) and (
            before[-1].lower() not in _NOT_BEFORE_A_VERB
        ):
            return " ".join(before).rstrip(",")
    return None


def opposite(prompt: str) -> str:
    """Return a prompt that contradicts this one: the first phrase that has an opposite is replaced
    by it; without such a phrase the opposite is that nothing moves."""

    def other(match: re.Match[str]) -> str:
        return _OTHERS[match[0].lower()]

    changed, count = _OPPOSITE.subn(other, prompt, count=1)
    return changed if count else STANDS_STILL
