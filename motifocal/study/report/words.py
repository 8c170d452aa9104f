"""Numbers and names of a report become the words that all of its outputs share."""

from __future__ import annotations

import math

from motifocal.study.stats.bradley_terry import Scores
from motifocal.study.stats.intervals import Estimate

NO_NUMBER = "–"
SMALLEST_P = 0.001
OVER_WORDS = {"image_id": "pictures", "scenario": "scenarios"}


def plain(text: str) -> str:
    """Text of one line without control characters; names and sentences are anybody's."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(shown.split())


def percent(share: float) -> str:
    return NO_NUMBER if math.isnan(share) else f"{100 * share:.1f}"


def with_interval(share: Estimate) -> str:
    """A share in percent, `64.8 (60.2 to 69.1)`."""
    if math.isnan(share.value) or math.isnan(share.low):
        return percent(share.value)
    return f"{percent(share.value)} ({percent(share.low)} to {percent(share.high)})"


def decimal(value: Estimate) -> str:
    """A number and its interval with two decimals."""
    if math.isnan(value.value):
        return NO_NUMBER
    bounds = "" if math.isnan(value.low) else f" ({value.low:.2f} to {value.high:.2f})"
    return f"{value.value:.2f}{bounds}".replace("-", "−")


def p_text(p: float) -> str:
    return f"<{SMALLEST_P}" if p < SMALLEST_P else f"{p:.3f}"


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def seconds(milliseconds: float) -> str:
    return NO_NUMBER if math.isnan(milliseconds) else f"{milliseconds / 1000:.1f}"


def score_of(scores: Scores, place: int) -> Estimate:
    """One model's score; the anchor has no interval."""
    bounds = (float(scores.low[place]), float(scores.high[place]))
    low, high = (math.nan, math.nan) if scores.models[place] == scores.anchor else bounds
    return Estimate(float(scores.score[place]), low, high, scores.clusters, "")


def turned(share: Estimate) -> Estimate:
    """The other side's share."""
    return Estimate(1 - share.value, 1 - share.high, 1 - share.low, share.clusters, share.method)
