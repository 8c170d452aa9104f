"""Summarise rows of scores as means, intervals and differences; print them in Markdown and LaTeX.

Intervals are 95 % bootstraps over images: the prompts of one image share its difficulty. Videos
of one pair (several seeds) are averaged first.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from motifocal.bench.pairs import Pair
from motifocal.bench.score.controls import CONTROLS
from motifocal.bench.score.measures import Measure
from motifocal.bench.score.run import CONTROL, MODEL, Row, Scores
from motifocal.metrics import NO_INTERVAL, MeanInterval, over_images

#: (stem, image id) -> mean over the videos of the pair.
PairValues = Mapping[tuple[str, str], float]
ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}
MOST_DECIMALS = 4
NO_NUMBER = "–"
WON_BY_STILL = "†"
NOTES = (
    "Means over pairs with 95 % intervals, bootstrapped over images. A measure that a control "
    f"row wins does not see what the control lacks; {WON_BY_STILL} marks those that a still "
    "image wins by their definition. Differences are taken pair by pair, on the pairs that both "
    "rows have."
)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~-])")
_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#",
    "_": r"\_", "%": r"\%", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    # After the end of a line these would be its options.
    "[": "{[}", "]": "{]}", "*": "{*}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--", WON_BY_STILL: r"$^\dagger$",
    "−": "$-$", "²": r"\textsuperscript{2}", "×": r"$\times$", "°": r"\textdegree{}",
}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """A mean over `pairs` pairs of `images` images; nan where there is no number at all."""

    value: MeanInterval
    pairs: int
    images: int


NO_CELL = Cell(NO_INTERVAL, 0, 0)


@dataclass(frozen=True)
class Summary:
    """Scores with their means and differences.

    `cells` maps a row's name to a measure to its mean, `differences` to the mean difference to the
    first model on the pairs that both have, and for control rows made of its videos, on the very
    videos that they are made for; the first model's own is left out.
    """

    scores: Scores
    cells: Mapping[str, Mapping[str, Cell]]
    differences: Mapping[str, Mapping[str, Cell]]


def summarise(scores: Scores) -> Summary:
    """Return means and paired differences to the first row, with intervals over images."""
    cells, differences = {}, {}
    first = scores.rows[0]
    for row in scores.rows:
        values = {name: _by_pair(row, name) for name in scores.measures}
        cells[row.name] = {name: _mean_cell(of_row) for name, of_row in values.items()}
        if row is not first:
            # A control row may hold one seed of a pair: the mean of all is of other videos.
            of_same = row.kind == CONTROL and scores.control == first.name
            less = _less_by_video if of_same else _less_by_pair
            differences[row.name] = {name: _mean_cell(less(row, first, name))
                                     for name in scores.measures}
    return Summary(scores, cells, differences)


def _less_by_video(row: Row, first: Row, measure: str) -> PairValues:
    """Return a row less the first one by the same pair and seed, averaged over each pair."""
    base = {(video.pair, video.seed): video.numbers[measure] for video in first.videos}
    return mean_by_pair((video.pair, video.numbers[measure] - base[video.pair, video.seed])
                        for video in row.videos if (video.pair, video.seed) in base)


def _less_by_pair(row: Row, first: Row, measure: str) -> PairValues:
    base = _by_pair(first, measure)
    return {pair: value - base[pair] for pair, value in _by_pair(row, measure).items()
            if pair in base}


def _by_pair(row: Row, measure: str) -> PairValues:
    return mean_by_pair((video.pair, video.numbers[measure]) for video in row.videos)


def mean_by_pair(values: Iterable[tuple[Pair, float]]) -> PairValues:
    """Average the values of the videos of each pair, without those that are nan."""
    by_pair: dict[tuple[str, str], list[float]] = defaultdict(list)
    for pair, value in values:
        if not math.isnan(value):
            by_pair[pair.stem, pair.image_id].append(value)
    return {pair: math.fsum(of_pair) / len(of_pair) for pair, of_pair in by_pair.items()}


def _mean_cell(values: PairValues) -> Cell:
    images = [image for _, image in values]
    if not values:
        return NO_CELL
    measured = over_images(np.array(list(values.values())), images)
    return Cell(measured, len(values), len(set(images)))


def heading(measure: Measure) -> str:
    """Return a column's title: what, which way is better, in which unit."""
    unit = f"({measure.unit})" if measure.unit else ""
    arrow = ARROWS[measure.better] + (WON_BY_STILL if measure.still_wins else "")
    return " ".join(part for part in (measure.name, arrow, unit) if part)


def headings(summary: Summary) -> list[str]:
    """Return what the columns of `row_cells` and `difference_cells` hold."""
    return ["", "pairs", *(heading(measure) for measure in summary.scores.measures.values())]


def row_cells(summary: Summary, row: Row) -> list[str]:
    """Return one row of the table of means."""
    return _cells(row, summary.cells[row.name], _decimals(summary.cells), "")


def difference_cells(summary: Summary, row: Row) -> list[str]:
    """Return one row of the table of differences to the first model."""
    return _cells(row, summary.differences[row.name], _decimals(summary.differences), "+")


def difference_title(summary: Summary) -> str:
    """Return what the table of differences is."""
    return f"Difference to {summary.scores.rows[0].name}"


def _cells(
    row: Row, cells: Mapping[str, Cell], decimals: Mapping[str, int], sign: str
) -> list[str]:
    pairs = max(cell.pairs for cell in cells.values())
    return [row.name, str(pairs),
            *(_cell(cell, decimals[name], sign, pairs) for name, cell in cells.items())]


def _cell(cell: Cell, decimals: int, sign: str, pairs: int) -> str:
    """Format `mean (low to high)`; add the number of pairs where it is less than the row's."""
    if not cell.pairs:
        return NO_NUMBER
    text = _number(cell.value.mean, decimals, sign)
    if not math.isnan(cell.value.low):
        low, high = (_number(end, decimals, sign) for end in (cell.value.low, cell.value.high))
        text += f" ({low} to {high})"
    return text + (f" [{cell.pairs} pairs]" if cell.pairs < pairs else "")


def _number(number: float, decimals: int, sign: str) -> str:
    """Format a number with a real minus sign; zero has none, however it was rounded."""
    rounded = round(number, decimals) + 0.0
    return f"{rounded:{sign}.{decimals}f}".replace("-", "−")


def _decimals(table: Mapping[str, Mapping[str, Cell]]) -> dict[str, int]:
    """Choose the decimals of each measure: the narrowest interval of its column has two figures."""
    decimals = {}
    for name in next(iter(table.values()), {}):
        values = [row[name].value for row in table.values()]
        widths = [value.high - value.low for value in values]
        narrowest = min((width for width in widths if width > 1e-9), default=0.01)
        decimals[name] = min(max(1 - math.floor(math.log10(narrowest)), 0), MOST_DECIMALS)
    return decimals


def to_markdown(summary: Summary) -> str:
    """Return the table, the differences, and what the rows and columns are, in Markdown."""
    scores = summary.scores
    lines = [f"# {markdown_text(scores.title)}", ""]
    for mark in scores.marks:
        lines += [f"**{markdown_text(mark)}**", ""]
    lines += [f"- left out: {markdown_text(failure)}" for failure in scores.failures]
    lines += ["", *_markdown_table(summary, scores.rows, row_cells), ""]
    if summary.differences:
        lines += [f"## {markdown_text(difference_title(summary))}", ""]
        lines += [*_markdown_table(summary, scores.rows[1:], difference_cells), ""]
    lines += [NOTES, ""]
    for row in (row for row in scores.rows if row.kind == CONTROL):
        lines.append(f"- *{row.name}* ({markdown_text(row.note)}): {CONTROLS[row.name]}")
    lines += ["", *(f"- *{markdown_text(measure.name)}*: {markdown_text(measure.definition)}. "
                    f"Blind spot: {markdown_text(measure.blind_spot)}"
                    for measure in scores.measures.values())]
    return "\n".join(lines).replace("\n\n\n", "\n\n") + "\n"


def _markdown_table(
    summary: Summary, rows: Sequence[Row], cells: Callable[[Summary, Row], list[str]]
) -> list[str]:
    lines = []
    for row in rows:
        name, *numbers = cells(summary, row)
        name = markdown_text(name)
        lines.append([name if row.kind == MODEL else f"*{name}*", *numbers])
    return markdown_table([markdown_text(text) for text in headings(summary)], lines)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table of Markdown cells, the first column left-aligned."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return ["| " + " | ".join(line) + " |" for line in (head, rule, *rows)]


def markdown_text(text: str) -> str:
    """Escape text for Markdown, inside a table too."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", plain)


def to_latex(summary: Summary) -> str:
    """Return a booktabs tabular with the marks as its last lines, so that they cannot get lost."""
    scores = summary.scores
    blocks = [[row_cells(summary, row) for row in scores.rows if row.kind == kind]
              for kind in (MODEL, CONTROL)]
    notes = [*scores.marks, *(f"left out: {failure}" for failure in scores.failures)]
    lines = latex_table(headings(summary), blocks, notes)
    return "\n".join(["% needs \\usepackage{booktabs}", *lines]) + "\n"


def latex_table(
    head: Sequence[str], blocks: Sequence[Sequence[Sequence[str]]], notes: Sequence[str]
) -> list[str]:
    """Return the lines of a booktabs tabular of plain cells, with rules between blocks of rows."""
    lines = [f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", "\\toprule", latex_row(head)]
    for block in blocks:
        lines += ["\\midrule", *map(latex_row, block)]
    lines += ["\\bottomrule"]
    lines += [f"\\multicolumn{{{len(head)}}}{{l}}{{\\footnotesize {latex_text(note)}}} \\\\"
              for note in notes]
    return [*lines, "\\end{tabular}"]


def latex_row(cells: Sequence[str]) -> str:
    """Return one line of a tabular, with intervals below what they are of."""
    name, *others = cells
    return " & ".join([latex_text(name), *map(_latex_cell, others)]) + " \\\\"


def _latex_cell(text: str) -> str:
    """Put an interval or a unit below what it is of: a line of means is wide enough."""
    above, bracket, below = text.partition(" (")
    if not bracket:
        return latex_text(text)
    return f"\\shortstack{{{latex_text(above)} \\\\ \\tiny {latex_text(bracket[1:] + below)}}}"


def latex_text(text: str) -> str:
    """Escape text for LaTeX."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
