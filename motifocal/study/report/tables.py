"""Format a report as tables in Markdown, in LaTeX, and for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from motifocal.bench.score.tables import latex_table, markdown_table, markdown_text
from motifocal.study.report import words
from motifocal.study.report.report import Report
from motifocal.study.report.words import NO_NUMBER, decimal, p_text, plain, with_interval
from motifocal.study.stats.judge_votes import JudgeVotes
from motifocal.study.stats.metric_votes import POOLED
from motifocal.study.votes import GOLD_NAMES, REASONS

TIE_WORDS = {"dropped": "ties dropped", "halved": "ties halved", "davidson": "Davidson's model"}


@dataclass(frozen=True)
class Table:
    """Cells as text; the first column is left-aligned. `notes` go below."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def tables(report: Report) -> list[Table]:
    """Return everything of a report that is read as a table, the result first."""
    printed = [_result(report), _reasons(report), _checks(report)]
    printed += [_ties(report)] if report.ties_reported else []
    printed += [_scores(report)] if report.scores else []
    printed += [_gold(report)] if report.gold else []
    printed += [_metrics(report)] if report.metrics is not None else []
    printed += [_judge(judge) for judge in report.judges]
    return [*printed, _scenarios(report)]


def _result(report: Report) -> Table:
    rows = [(plain(comparison.theirs), str(comparison.pairs), str(comparison.votes),
             with_interval(comparison.majority.score), with_interval(comparison.share),
             p_text(comparison.p_holm))
            for comparison in report.comparisons]
    if report.averages is not None:
        share, majority = map(with_interval, report.averages)
        rows.append(("mean of all", "", "", majority, share, ""))
    intervals = (f"Intervals are {report.resampling.level:.0%} over "
                 f"{words.OVER_WORDS[report.cluster_by]}. p: two-sided sign-flip test on votes, "
                 "adjusted by Holm's method over "
                 f"{len(report.comparisons)} comparisons.")
    return Table(
        f"{plain(report.ours)} against",
        ("", "pairs", "votes", "TI2V score (% of pairs)", "raw share (% of votes)", "p"),
        tuple(rows),
        (intervals, *_even(report), *_exclusions(report)),
    )


def _even(report: Report) -> Iterator[str]:
    even = [f"{comparison.majority.even} of {comparison.pairs} pairs with "
            f"{plain(comparison.theirs)}"
            for comparison in report.comparisons if comparison.majority.even]
    if even:
        yield f"No majority, counted half for both: {', '.join(even)}."


def _exclusions(report: Report) -> Iterator[str]:
    yield (f"Excluded: {words.count(len(report.failed), 'annotator')} and {report.excluded} of "
           f"{words.count(report.total_votes, 'vote')}. The rule: {plain(report.source.rule)}.")
    if not report.scores:
        yield f"No Bradley-Terry scores: {plain(report.no_scores)}."


def _reasons(report: Report) -> Table:
    rows = []
    for comparison in report.comparisons:
        for model, other in ((comparison.ours, comparison.theirs),
                             (comparison.theirs, comparison.ours)):
            shares = [with_interval(comparison.reasons[model][reason]) for reason in REASONS]
            rows.append((f"{plain(model)} over {plain(other)}", *shares))
    return Table("Reasons (% of the votes for a side that name it)",
                 ("", *(reason.replace("_", " ") for reason in REASONS)), tuple(rows))


def _checks(report: Report) -> Table:
    rows = []
    for comparison, times in zip(report.comparisons, report.times, strict=True):
        rows.append((
            plain(comparison.theirs), decimal(comparison.alpha), with_interval(comparison.left),
            with_interval(comparison.share_both_ways), p_text(comparison.test.p),
            f"{p_text(comparison.majority_test.p)} / {p_text(comparison.majority_p_holm)}",
            words.seconds(times.median),
            f"{words.seconds(times.lower)} to {words.seconds(times.upper)}",
            f"{times.under_3_s} of {times.known}",
        ))  # fmt: skip
    return Table(
        "Can it be trusted?",
        ("", "Krippendorff's alpha", "left choices (%)", "raw share, over annotators too",
         "p before Holm", "p on pairs / after Holm", "median s", "quartiles s", "under 3 s"),
        tuple(rows),
    )  # fmt: skip


def _ties(report: Report) -> Table:
    rows = []
    for comparison in report.comparisons:
        model = report.davidson[comparison.theirs]
        nu = NO_NUMBER if model.nu is None else f"{model.nu:.2f}"
        rows.append((plain(comparison.theirs), with_interval(comparison.ties),
                     with_interval(comparison.share),
                     with_interval(comparison.share_ties_halved), with_interval(model.share), nu))
    return Table("Ties", ("", "ties (%)", "raw share, dropped", "halved", "Davidson's model",
                          "Davidson's nu"), tuple(rows))


def _scores(report: Report) -> Table:
    kinds = list(report.scores)
    first = report.scores[kinds[0]]
    rows = []
    for place, model in enumerate(first.models):
        cells = []
        for kind in kinds:
            scores = report.scores[kind]
            star = " *" * (model in scores.unbounded)
            cells.append(decimal(words.score_of(scores, place)) + star)
        rows.append((plain(model), *cells))
    notes = ["A score is a logarithm of odds, 0 for " + plain(report.ours) + "; intervals are "
             f"clustered by {words.OVER_WORDS[report.cluster_by]}."]
    if any(scores.unbounded for scores in report.scores.values()):
        notes.append("* no largest or smallest score fits: this one is what the ridge makes of it.")
    if len(report.edges) == len(first.models) - 1:
        notes.append("No three models met each other, so the scores say no more than the shares.")
    head = ("", *(TIE_WORDS[kind] if len(kinds) > 1 else "score" for kind in kinds))
    return Table("Bradley-Terry scores", head, tuple(rows), tuple(notes))


def _gold(report: Report) -> Table:
    rows = [(GOLD_NAMES[gold.kind].replace("_", " "), str(gold.seen), str(gold.failed),
             words.percent(gold.failed / gold.seen)) for gold in report.gold]
    return Table("Gold items (of all annotators; they enter no share)",
                 ("kind", "answers", "wrong", "wrong (%)"), tuple(rows))


def _metrics(report: Report) -> Table:
    assert report.metrics is not None
    rows = []
    for row in report.metrics.rows:
        who = "all" if row.theirs == POOLED else plain(row.theirs)
        rows.append((f"{plain(row.measure)}, {who}", plain(row.better), str(row.pairs),
                     str(row.missing), str(row.even), with_interval(row.agreement),
                     decimal(row.tau)))
    return Table(
        "Automatic measures beside the votes",
        ("measure, against", "better", "pairs", "without a number", "no majority",
         "agrees with the majority (%)", "Kendall's tau-b"),
        tuple(rows),
        ("50 % and 0 are chance. Where neither direction is better, the larger number is taken.",
         *(f"Of the scores: {plain(mark)}" for mark in report.metrics.marks)),
    )  # fmt: skip


def _judge(judge: JudgeVotes) -> Table:
    rows = []
    for row in judge.rows:
        who = "all" if row.theirs == POOLED else plain(row.theirs)
        rows.append((f"{plain(row.part)}, against {who}", str(row.pairs), str(row.not_asked),
                     str(row.failed), str(row.even), with_interval(row.agreement),
                     decimal(row.alpha_people), decimal(row.alpha_with)))
    return Table(
        f"{plain(judge.judge)} beside the votes",
        ("pairs, against", "pairs", "not asked", "failed", "no majority",
         "agrees with the majority (%)", "alpha of people", "alpha with the judge"),
        tuple(rows),
        ("50 % is chance. A failure agrees with nobody: it is wrong in the share, and an answer of "
         "its own in Krippendorff's alpha, where the judge is one more annotator.",
         f"On its control rows: {plain(judge.verdict)}",
         *(f"Of the judge's scores: {plain(mark)}" for mark in judge.marks)),
    )  # fmt: skip


def _scenarios(report: Report) -> Table:
    rows = [(f"{plain(scenario.name) or NO_NUMBER}, {plain(scenario.theirs)}",
             str(scenario.images), str(scenario.pairs), str(scenario.votes),
             with_interval(scenario.majority),
             with_interval(scenario.share)) for scenario in report.scenarios]
    return Table("By scenario", ("scenario, against", "images", "pairs", "votes",
                                 "TI2V score (%)", "raw share (%)"), tuple(rows),
                 ("Few images each: a hint of where to look, not a result.",))


def to_markdown(report: Report) -> str:
    """Return all tables in Markdown, the marks and the sentence above them."""
    lines = [f"# {markdown_text(plain(report.ours))} in the eyes of {report.annotators} annotators",
             ""]
    for mark in report.marks:
        lines += [f"**{markdown_text(plain(mark))}**", ""]
    lines += [markdown_text(words.statement(report)), ""]
    for table in tables(report):
        head, *rows = ([markdown_text(cell) for cell in row] for row in (table.head, *table.rows))
        lines += [f"## {markdown_text(table.title)}", "", *markdown_table(head, rows)]
        lines += ["", *(f"{markdown_text(note)}\n" for note in table.notes)]
    return "\n".join(lines).rstrip() + "\n"


def to_latex(report: Report) -> str:
    """Return one booktabs tabular for each table, the marks as last lines of each."""
    lines = ["% needs \\usepackage{booktabs}"]
    notes = [plain(mark) for mark in report.marks]
    for table in tables(report):
        lines += [f"% {plain(table.title)}", *latex_table(table.head, [table.rows], notes), ""]
    return "\n".join(lines)
