"""A summary of scores becomes tables to read: their cells, Markdown, and LaTeX (booktabs)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence

from motifocal.bench.score.controls import CONTROLS
from motifocal.bench.score.measures import Measure
from motifocal.bench.score.run import CONTROL, MODEL, Row
from motifocal.bench.score.summary import Cell, Summary

ARROWS = {"higher": "↑", "lower": "↓", "neither": ""}
MOST_DECIMALS = 4
NO_NUMBER = "–"
WON_BY_STILL = "†"
NOTES = (
    "Means over pairs with 95 % intervals, bootstrapped over pictures. A measure that a control "
    f"row wins does not see what the control lacks; {WON_BY_STILL} marks those that a still "
    "picture wins by their definition. Differences are taken pair by pair, on the pairs that both "
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


def heading(measure: Measure) -> str:
    """A column's title: what, which way is better, in which unit."""
    unit = f"({measure.unit})" if measure.unit else ""
    arrow = ARROWS[measure.better] + (WON_BY_STILL if measure.still_wins else "")
    return " ".join(part for part in (measure.name, arrow, unit) if part)


def headings(summary: Summary) -> list[str]:
    """What the columns of `row_cells` and `difference_cells` hold."""
    return ["", "pairs", *(heading(measure) for measure in summary.scores.measures.values())]


def row_cells(summary: Summary, row: Row) -> list[str]:
    """One row of the table of means."""
    return _cells(row, summary.cells[row.name], _decimals(summary.cells), "")


def difference_cells(summary: Summary, row: Row) -> list[str]:
    """One row of the table of differences to the first model."""
    return _cells(row, summary.differences[row.name], _decimals(summary.differences), "+")


def difference_title(summary: Summary) -> str:
    """What the table of differences is."""
    return f"Difference to {summary.scores.rows[0].name}"


def _cells(
    row: Row, cells: Mapping[str, Cell], decimals: Mapping[str, int], sign: str
) -> list[str]:
    pairs = max(cell.pairs for cell in cells.values())
    return [row.name, str(pairs),
            *(_cell(cell, decimals[name], sign, pairs) for name, cell in cells.items())]


def _cell(cell: Cell, decimals: int, sign: str, pairs: int) -> str:
    """`mean (low to high)`; also on how many pairs, where they are fewer than the row's."""
    if cell.value is None:
        return NO_NUMBER
    text = _number(cell.value.mean, decimals, sign)
    if not math.isnan(cell.value.low):
        low, high = (_number(end, decimals, sign) for end in (cell.value.low, cell.value.high))
        text += f" ({low} to {high})"
    return text + (f" [{cell.pairs} pairs]" if cell.pairs < pairs else "")


def _number(number: float, decimals: int, sign: str) -> str:
    """With a real minus sign; zero has none, however it was rounded."""
    rounded = round(number, decimals) + 0.0
    return f"{rounded:{sign}.{decimals}f}".replace("-", "−")


def _decimals(table: Mapping[str, Mapping[str, Cell]]) -> dict[str, int]:
    """Measure -> so many decimals that the narrowest interval of its column has two figures."""
    found = {}
    for name in next(iter(table.values()), {}):
        values = [row[name].value for row in table.values()]
        widths = [value.high - value.low for value in values if value is not None]
        widths = [width for width in widths if width > 1e-9]
        narrowest = min(widths, default=0.01)
        found[name] = min(max(1 - math.floor(math.log10(narrowest)), 0), MOST_DECIMALS)
    return found


def to_markdown(summary: Summary) -> str:
    """The table, the differences, and what the rows and columns are."""
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
    head = headings(summary)
    lines = [[markdown_text(text) for text in head], ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        name, *numbers = cells(summary, row)
        name = markdown_text(name)
        lines.append([name if row.kind == MODEL else f"*{name}*", *numbers])
    return ["| " + " | ".join(line) + " |" for line in lines]


def markdown_text(text: str) -> str:
    """Text that reads the same in Markdown, inside a table too."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", plain)


def to_latex(summary: Summary) -> str:
    """A booktabs tabular with the marks as its last lines, so that they cannot get lost."""
    scores = summary.scores
    head = headings(summary)
    lines = ["% needs \\usepackage{booktabs}", f"\\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
             "\\toprule", latex_row(head), "\\midrule"]
    lines += [latex_row(row_cells(summary, row)) for row in scores.models]
    lines += ["\\midrule"]
    lines += [latex_row(row_cells(summary, row)) for row in scores.rows if row.kind == CONTROL]
    lines += ["\\bottomrule"]
    lines += [f"\\multicolumn{{{len(head)}}}{{l}}{{\\footnotesize {latex_text(mark)}}} \\\\"
              for mark in (*scores.marks, *(f"left out: {each}" for each in scores.failures))]
    return "\n".join([*lines, "\\end{tabular}"]) + "\n"


def latex_row(cells: Sequence[str]) -> str:
    """One line of a tabular; an interval goes under what it is of."""
    name, *others = cells
    return " & ".join([latex_text(name), *map(_latex_cell, others)]) + " \\\\"


def _latex_cell(text: str) -> str:
    """An interval or a unit goes under what it is of: a line of means is wide enough."""
    above, bracket, below = text.partition(" (")
    if not bracket:
        return latex_text(text)
    return f"\\shortstack{{{latex_text(above)} \\\\ \\tiny {latex_text(bracket[1:] + below)}}}"


def latex_text(text: str) -> str:
    """Text that reads the same in LaTeX."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
