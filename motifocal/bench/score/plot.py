"""Draw a summary of scores: a panel a measure, a dot with its interval a row."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from motifocal.bench.score.run import CONTROL
from motifocal.bench.score.tables import Summary, heading
from motifocal.extras import install_extra
from motifocal.files.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3  # panels beside each other
COLOUR, GREY = "#1f5fa8", "#8a8a8a"
LONGEST_LABEL = 28


def check_matplotlib() -> None:
    """Raise ValueError where there is no matplotlib, before anything is computed."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ValueError(f"the plot needs matplotlib; {install_extra('bench')}, or leave the plot "
                         "out with --no-plot") from error


def draw_plot(path: Path, summary: Summary) -> None:
    """Write a PNG: models in colour, control rows in grey, and the marks below.

    Raises ValueError where matplotlib is not installed.
    """
    check_matplotlib()
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    scores = summary.scores
    count = len(scores.measures)
    columns = min(COLUMNS, count)
    lines = math.ceil(count / columns)
    # "$" in a name is no formula, and a user's own style should not change the picture.
    with rc_context({"text.parse_math": False, "text.usetex": False, "font.size": 8.0}):
        height = lines * (0.55 + 0.21 * len(scores.rows)) + 0.3 + 0.15 * len(scores.marks)
        figure = Figure(figsize=(3.4 * columns, height), dpi=150, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(lines, columns, sharey=True, squeeze=False)
        panels = [axes for of_line in grid for axes in of_line]
        for name, axes in zip(scores.measures, panels[:count], strict=True):
            _panel(axes, summary, name)
        for axes in panels[count:]:
            axes.set_axis_off()
        for axes in grid[:, 0]:  # the others share its labels
            for label, row in zip(axes.get_yticklabels(), scores.rows, strict=True):
                label.set_color(GREY if row.kind == CONTROL else "black")
        figure.suptitle(scores.title)
        if scores.marks:
            figure.supxlabel("\n".join(scores.marks), fontsize=7)
        with replacing(path) as temporary:
            # Without the default metadata the file does not tell which matplotlib wrote it.
            figure.savefig(temporary, format="png", metadata={"Software": None})


def _panel(axes: Axes, summary: Summary, measure: str) -> None:
    rows = summary.scores.rows
    for place, row in enumerate(rows):
        value = summary.cells[row.name][measure].value
        if value is None:
            continue
        colour = GREY if row.kind == CONTROL else COLOUR
        if not math.isnan(value.low):
            axes.plot([value.low, value.high], [place, place], color=colour, linewidth=1.6)
        axes.plot([value.mean], [place], marker="o", markersize=4, color=colour)
    axes.set_title(heading(summary.scores.measures[measure]), fontsize=8, loc="left")
    axes.set_yticks(range(len(rows)), [_short(row.name) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
