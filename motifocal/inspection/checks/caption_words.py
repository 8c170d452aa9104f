"""Tell whether a caption, in English, names anything that moves or changes.

A model that is told nothing about motion cannot learn to follow what it is told. Verbs are found in
all their forms. A noun that only looks like a verb ("the waves", "a walk") does not count, a
caption that is not English is not judged, and in doubt a word of motion is there: this is a hint
for people, and a false alarm costs more of their time than a miss.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from motifocal.files.toml_text import parse_toml

#: Lists of words by name; the file says what each is.
_WORDS = {name: frozenset(words.split()) for name, words in parse_toml(
    Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items()}
_FIXED = re.compile(
    r"\b(?:running shoes?|rolling hills?|walking (?:sticks?|canes?)|sleeping bags?|swimming pools?"
    r"|washing machines?|rocking chairs?|parking (?:lots?|garages?)|shopping (?:bags?|malls?)"
    r"|cutting boards?|fishing (?:rods?|boats?)|sewing machines?|floating shel(?:f|ves)"
    r"|folding chairs?|sailing boats?|flying saucers?|cooking pots?|riding boots?|skating rinks?)\b"
)


def names_motion(caption: str) -> bool | None:
    """Tell whether a word says that something moves or changes; None where it cannot be judged."""
    text = _FIXED.sub(" ", caption.casefold())
    words = re.findall(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|[.!?;:,]", text)
    sure, perhaps = _forms()
    for index, word in enumerate(words):
        before = words[index - 1] if index else "."
        if word in sure:
            return True
        # "Waves break": what opens a sentence is its subject.
        if word in perhaps and before not in _WORDS["before_nouns"] | {".", "!", "?", ";"}:
            return True
    plain = [word for word in words if word[0].isalpha()]
    known = sum(word in _WORDS["english"] for word in plain)
    # Half a sign each: other languages have them too.
    known += sum(word in {"a", "in", "on"} for word in plain) // 2
    strange = sum(word in _WORDS["foreign"] for word in plain)
    judged = known > strange and "".join(plain).isascii()
    return False if judged else None


@lru_cache(maxsize=1)
def _forms() -> tuple[frozenset[str], frozenset[str]]:
    """List all forms of all verbs: those that are verbs for sure, and those that may be nouns."""
    nouns, states = _WORDS["nouns"], _WORDS["states"]
    sure, perhaps = set(_WORDS["pasts"] - nouns), set(_WORDS["pasts"] & nouns)
    for verb in _WORDS["verbs"]:
        finite, others = {verb, _third(verb)}, {_past(verb), _progressive(verb)}
        sure |= others - nouns
        (perhaps if verb in nouns else sure).update(finite)
    return frozenset(sure - states), frozenset(perhaps - (sure - states) - states)


def _third(verb: str) -> str:
    if verb.endswith(("s", "x", "z", "ch", "sh", "o")):
        return verb + "es"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + "s"


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return _doubled(verb) + "ed"


def _progressive(verb: str) -> str:
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return _doubled(verb) + "ing"


def _doubled(verb: str) -> str:
    """Double the last letter of one syllable that ends in vowel and consonant: stop -> stopp."""
    short = re.fullmatch(r"(?:qu|[^aeiou])*[aeiouy][^aeiouwxy]", verb)
    return verb + verb[-1] if short or verb in {"propel", "zigzag"} else verb
