"""Format the numbers and names of a report for all of its outputs, and write its sentence."""

from __future__ import annotations

import math

from motifocal.study.report.report import Report
from motifocal.study.stats.bradley_terry import Scores
from motifocal.study.stats.compare import Comparison
from motifocal.study.stats.intervals import Estimate

NO_NUMBER = "–"
SMALLEST_P = 0.001
SIGNIFICANT = 0.05
OVER_WORDS = {"image_id": "images", "scenario": "scenarios"}


def plain(text: str) -> str:
    """Return text of one line without control characters; names and prompts come from users."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(printable.split())


def percent(share: float) -> str:
    return NO_NUMBER if math.isnan(share) else f"{100 * share:.1f}"


def with_interval(share: Estimate) -> str:
    """Format a share in percent, `64.8 (60.2 to 69.1)`."""
    if math.isnan(share.value) or math.isnan(share.low):
        return percent(share.value)
    return f"{percent(share.value)} ({percent(share.low)} to {percent(share.high)})"


def decimal(value: Estimate) -> str:
    """Format a number and its interval with two decimals."""
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
    """Return one model's score; the anchor has no interval."""
    bounds = (float(scores.low[place]), float(scores.high[place]))
    low, high = (math.nan, math.nan) if scores.models[place] == scores.anchor else bounds
    return Estimate(float(scores.score[place]), low, high, scores.clusters, "")


def turned(share: Estimate) -> Estimate:
    """Return the other side's share."""
    return Estimate(1 - share.value, 1 - share.high, 1 - share.low, share.clusters, share.method)


def sentence(report: Report) -> str:
    """Return the sentence for the paper, behind the study's marks."""
    return "".join(f"[{plain(mark)}] " for mark in report.marks) + statement(report) + "\n"


def statement(report: Report) -> str:
    """Say which model was preferred how often, how sure that is, and by how many annotators."""
    clauses = "; ".join(_clause(comparison, report) for comparison in report.comparisons)
    most = max(comparison.votes for comparison in report.source.expected)
    each_pair = "at most " if any(comparison.lacking for comparison in report.missing) else ""
    excluded = (f"; {count(len(report.failed), 'annotator')} who failed the gold items "
                f"({count(report.excluded, 'vote')}) {'is' if len(report.failed) == 1 else 'are'} "
                "excluded by the rule set beforehand") if report.failed else ""
    even = ("; pairs without a majority count half for both"
            if any(comparison.majority.even for comparison in report.comparisons) else "")
    return (
        f"In a side-by-side comparison on {count(report.pairs, 'pair')} of image and "
        f"prompt ({count(report.images, 'image')}), with {count(report.votes, 'vote')} by "
        f"{count(report.annotators, 'annotator')} ({each_pair}{count(most, 'vote')} a pair and "
        f"comparison), {clauses} ({100 * report.resampling.level:g} % intervals over "
        f"{OVER_WORDS[report.cluster_by]}; p of a two-sided sign-flip test over "
        f"{OVER_WORDS[report.cluster_by]} on votes, Holm-adjusted over "
        f"{count(len(report.comparisons), 'comparison')}{even}{excluded})."
    )


def _clause(comparison: Comparison, report: Report) -> str:
    ours, theirs = plain(comparison.ours), plain(comparison.theirs)
    share, score = comparison.share, comparison.majority.score
    if comparison.p_holm >= SIGNIFICANT or share.value == 0.5:
        start = f"no preference between {ours} and {theirs} was found: {ours} got"
    elif share.value > 0.5:
        start = f"{ours} was preferred to {theirs} with"
    else:
        start, share, score = f"{theirs} was preferred to {ours} with", turned(share), turned(score)
    p = f"< {SMALLEST_P}" if comparison.p_holm < SMALLEST_P else f"= {comparison.p_holm:.3f}"
    dropped = ", ties dropped" if report.ties_reported else ""
    return (f"{start} {_with_bounds(share)} of the votes{dropped} and the majority in "
            f"{_with_bounds(score)} of the pairs (p {p})")


def _with_bounds(share: Estimate) -> str:
    bounds = "" if math.isnan(share.low) else f" [{percent(share.low)}, {percent(share.high)}]"
    return f"{percent(share.value)} %{bounds}"
