"""A report becomes the sentence for the paper: what was found, how sure, on what, by whom."""

from __future__ import annotations

import math

from motifocal.study.report.report import Report
from motifocal.study.report.words import OVER_WORDS, SMALLEST_P, count, percent, plain, turned
from motifocal.study.stats.compare import Comparison
from motifocal.study.stats.intervals import Estimate

SIGNIFICANT = 0.05


def sentence(report: Report) -> str:
    """The sentence for the paper, behind the study's marks."""
    return "".join(f"[{plain(mark)}] " for mark in report.marks) + statement(report) + "\n"


def statement(report: Report) -> str:
    """Who was preferred how often, how sure that is, and by whom."""
    clauses = "; ".join(_clause(each, report) for each in report.comparisons)
    most = max(each.votes for each in report.source.wanted)
    each_pair = "at most " if any(each.lacking for each in report.missing) else ""
    excluded = (f"; {count(len(report.failed), 'annotator')} who failed the gold items "
                f"({count(report.excluded, 'vote')}) {'is' if len(report.failed) == 1 else 'are'} "
                "excluded by the rule set beforehand") if report.failed else ""
    even = ("; pairs without a majority count half for both"
            if any(each.majority.even for each in report.comparisons) else "")
    return (
        f"In a side-by-side comparison on {count(report.pairs, 'pair')} of picture and "
        f"sentence ({count(report.pictures, 'picture')}), with {count(report.votes, 'vote')} by "
        f"{count(report.annotators, 'annotator')} ({each_pair}{count(most, 'vote')} a pair and "
        f"comparison), {clauses} ({100 * report.how.level:g} % intervals over "
        f"{OVER_WORDS[report.over]}; p of a two-sided sign-flip test over "
        f"{OVER_WORDS[report.over]} on votes, Holm-adjusted over "
        f"{count(len(report.comparisons), 'comparison')}{even}{excluded})."
    )


def _clause(each: Comparison, report: Report) -> str:
    ours, theirs = plain(each.ours), plain(each.theirs)
    share, score = each.share, each.majority.score
    if each.p_holm >= SIGNIFICANT or share.value == 0.5:
        start = f"no preference between {ours} and {theirs} was found: {ours} got"
    elif share.value > 0.5:
        start = f"{ours} was preferred to {theirs} with"
    else:
        start, share, score = f"{theirs} was preferred to {ours} with", turned(share), turned(score)
    dropped = ", ties dropped" if report.ties_reported else ""
    return (f"{start} {_spoken(share)} of the votes{dropped} and the majority in {_spoken(score)} "
            f"of the pairs (p {_p_spoken(each.p_holm)})")


def _spoken(share: Estimate) -> str:
    bounds = "" if math.isnan(share.low) else f" [{percent(share.low)}, {percent(share.high)}]"
    return f"{percent(share.value)} %{bounds}"


def _p_spoken(p: float) -> str:
    return f"< {SMALLEST_P}" if p < SMALLEST_P else f"= {p:.3f}"
