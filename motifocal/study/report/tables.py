"""A report becomes tables to read in Markdown, in LaTeX, and in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from motifocal.bench.score.tables import latex_row, latex_text, markdown_text
from motifocal.study.report.report import Report
from motifocal.study.report.sentence import statement
from motifocal.study.report.words import (
    NO_NUMBER,
    OVER_WORDS,
    count,
    decimal,
    p_text,
    percent,
    plain,
    score_of,
    seconds,
    with_interval,
)
from motifocal.study.stats.metric_votes import POOLED
from motifocal.study.votes import REASONS

TIE_WORDS = {"dropped": "ties dropped", "halved": "ties halved", "davidson": "Davidson's model"}


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column is left-aligned. `notes` go below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def tables(report: Report) -> list[Table]:
    """Everything of a report that is read as a table, the result first."""
    found = [_result(report), _reasons(report), _checks(report)]
    found += [_ties(report)] if report.ties_reported else []
    found += [_scores(report)] if report.scores else []
    found += [_gold(report)] if report.gold else []
    found += [_metrics(report)] if report.metrics is not None else []
    return [*found, _scenarios(report)]


def _result(report: Report) -> Table:
    rows = [(plain(each.theirs), str(each.pairs), str(each.votes),
             with_interval(each.majority.score), with_interval(each.share), p_text(each.p_holm))
            for each in report.comparisons]
    if report.averages is not None:
        share, majority = map(with_interval, report.averages)
        rows.append(("mean of all", "", "", majority, share, ""))
    intervals = (f"Intervals are {report.how.level:.0%} over {OVER_WORDS[report.over]}. "
                 "p: two-sided sign-flip test on votes, adjusted by Holm's method over "
                 f"{len(report.comparisons)} comparisons.")
    return Table(
        f"{plain(report.ours)} against",
        ("", "pairs", "votes", "TI2V score (% of pairs)", "raw share (% of votes)", "p"),
        tuple(rows),
        (intervals, *_even(report), *_said(report)),
    )


def _even(report: Report) -> Iterator[str]:
    even = [f"{each.majority.even} of {each.pairs} pairs with {plain(each.theirs)}"
            for each in report.comparisons if each.majority.even]
    if even:
        yield f"No majority, counted half for both: {', '.join(even)}."


def _said(report: Report) -> Iterator[str]:
    yield (f"Excluded: {count(len(report.failed), 'annotator')} and {report.excluded} of "
           f"{count(report.cast, 'vote')}. The rule: {plain(report.source.rule)}.")
    if not report.scores:
        yield f"No Bradley-Terry scores: {plain(report.no_scores)}."


def _reasons(report: Report) -> Table:
    rows = []
    for each in report.comparisons:
        for model, other in ((each.ours, each.theirs), (each.theirs, each.ours)):
            shares = [with_interval(each.reasons[model][reason]) for reason in REASONS]
            rows.append((f"{plain(model)} over {plain(other)}", *shares))
    return Table("Reasons (% of the votes for a side that name it)",
                 ("", *(reason.replace("_", " ") for reason in REASONS)), tuple(rows))


def _checks(report: Report) -> Table:
    rows = []
    for each, took in zip(report.comparisons, report.times, strict=True):
        rows.append((
            plain(each.theirs), decimal(each.alpha), with_interval(each.left),
            with_interval(each.share_both_ways), p_text(each.test.p),
            f"{p_text(each.majority_test.p)} / {p_text(each.majority_p_holm)}",
            seconds(took.median), f"{seconds(took.lower)} to {seconds(took.upper)}",
            f"{took.under_3_s} of {took.known}",
        ))  # fmt: skip
    return Table(
        "Can it be trusted?",
        ("", "Krippendorff's alpha", "left choices (%)", "raw share, over annotators too",
         "p before Holm", "p on pairs / after Holm", "median s", "quartiles s", "under 3 s"),
        tuple(rows),
    )  # fmt: skip


def _ties(report: Report) -> Table:
    rows = []
    for each in report.comparisons:
        model = report.davidson[each.theirs]
        nu = NO_NUMBER if model.nu is None else f"{model.nu:.2f}"
        rows.append((plain(each.theirs), with_interval(each.ties), with_interval(each.share),
                     with_interval(each.share_ties_halved), with_interval(model.share), nu))
    return Table("Ties", ("", "ties (%)", "raw share, dropped", "halved", "Davidson's model",
                          "Davidson's nu"), tuple(rows))


def _scores(report: Report) -> Table:
    kinds = list(report.scores)
    first = report.scores[kinds[0]]
    rows = []
    for place, model in enumerate(first.models):
        cells = []
        for kind in kinds:
            held = report.scores[kind]
            cells.append(decimal(score_of(held, place)) + " *" * (model in held.unbounded))
        rows.append((plain(model), *cells))
    notes = ["A score is a logarithm of odds, 0 for " + plain(report.ours) + "; intervals are "
             f"clustered by {OVER_WORDS[report.over]}."]
    if any(held.unbounded for held in report.scores.values()):
        notes.append("* no largest or smallest score fits: this one is what the ridge makes of it.")
    if len(report.edges) == len(first.models) - 1:
        notes.append("No three models met each other, so the scores say no more than the shares.")
    head = ("", *(TIE_WORDS[kind] if len(kinds) > 1 else "score" for kind in kinds))
    return Table("Bradley-Terry scores", head, tuple(rows), tuple(notes))


def _gold(report: Report) -> Table:
    rows = [(each.kind.replace("_", " "), str(each.seen), str(each.failed),
             percent(each.failed / each.seen)) for each in report.gold]
    return Table("Gold items (of all annotators; they enter no share)",
                 ("kind", "answers", "wrong", "wrong (%)"), tuple(rows))


def _metrics(report: Report) -> Table:
    assert report.metrics is not None
    rows = []
    for each in report.metrics.rows:
        who = "all" if each.theirs == POOLED else plain(each.theirs)
        rows.append((f"{plain(each.measure)}, {who}", plain(each.better), str(each.pairs),
                     str(each.missing), str(each.even), with_interval(each.agreement),
                     decimal(each.tau)))
    return Table(
        "Automatic measures beside the votes",
        ("measure, against", "better", "pairs", "without a number", "no majority",
         "agrees with the majority (%)", "Kendall's tau-b"),
        tuple(rows),
        ("50 % and 0 are chance. Where neither direction is better, the larger number is taken.",
         *(f"Of the scores: {plain(mark)}" for mark in report.metrics.marks)),
    )  # fmt: skip


def _scenarios(report: Report) -> Table:
    rows = [(f"{plain(each.name) or NO_NUMBER}, {plain(each.theirs)}", str(each.pictures),
             str(each.pairs), str(each.votes), with_interval(each.majority),
             with_interval(each.share)) for each in report.scenarios]
    return Table("By scenario", ("scenario, against", "pictures", "pairs", "votes",
                                 "TI2V score (%)", "raw share (%)"), tuple(rows),
                 ("Few pictures each: a hint of where to look, not a result.",))


def to_markdown(report: Report) -> str:
    """All tables, the marks and the sentence above them."""
    lines = [f"# {markdown_text(plain(report.ours))} in the eyes of {report.annotators} annotators",
             ""]
    for mark in report.marks:
        lines += [f"**{markdown_text(plain(mark))}**", ""]
    lines += [markdown_text(statement(report)), ""]
    for table in tables(report):
        rule = ["---", *["---:"] * (len(table.head) - 1)]
        cells = [[markdown_text(cell) for cell in row] for row in (table.head, *table.rows)]
        lines += [f"## {markdown_text(table.title)}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in (cells[0], rule, *cells[1:])]
        lines += ["", *(f"{markdown_text(note)}\n" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def to_latex(report: Report) -> str:
    """One booktabs tabular for each table, the marks as last lines of each."""
    parts = ["% needs \\usepackage{booktabs}"]
    for table in tables(report):
        width = len(table.head)
        below = [f"\\multicolumn{{{width}}}{{l}}{{\\footnotesize {latex_text(plain(mark))}}} \\\\"
                 for mark in report.marks]
        parts += [f"% {plain(table.title)}", f"\\begin{{tabular}}{{l{'r' * (width - 1)}}}",
                  "\\toprule", latex_row(table.head), "\\midrule",
                  *map(latex_row, table.rows), "\\bottomrule", *below, "\\end{tabular}", ""]
    return "\n".join(parts)
