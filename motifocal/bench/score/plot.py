"""Draw a summary of scores: a panel per measure, and per row a dot with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motifocal.bench.score.run import CONTROL
from motifocal.bench.score.tables import Summary, heading
from motifocal.extras import require
from motifocal.files.atomic import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3  # panels beside each other
COLOUR, GREY = "#1f5fa8", "#8a8a8a"
LONGEST_LABEL = 28
STYLE = {"font.size": 8.0}
METADATA: Mapping[str, Mapping[str, None]] = {
    "png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
}


def check_matplotlib() -> None:
    """Raise ValueError where there is no matplotlib, before anything is computed."""
    require("matplotlib", "bench", "the plot needs", ", or leave the plot out with --no-plot")


@contextmanager
def new_figure(
    width: float, height: float, dpi: int, style: Mapping[Any, Any] = STYLE
) -> Iterator[Figure]:
    """Open a figure of so many inches, in matplotlib's own style with `style` on top of it."""
    import matplotlib
    from matplotlib.figure import Figure

    # "$" in a name is no formula, and a user's own style should not change the figure.
    names = {"text.parse_math": False, "text.usetex": False}
    style = {**matplotlib.rcParamsDefault, **names, **style}
    with matplotlib.rc_context(style):
        yield Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG or PDF; the default metadata would tell when and by which version."""
    kind = path.suffix[1:]
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind, metadata=METADATA[kind])


def draw_plot(path: Path, summary: Summary) -> None:
    """Write a PNG: models in colour, control rows in grey, and the marks below.

    Raises ValueError where matplotlib is not installed.
    """
    check_matplotlib()
    scores = summary.scores
    count = len(scores.measures)
    columns = min(COLUMNS, count)
    lines = math.ceil(count / columns)
    height = lines * (0.55 + 0.21 * len(scores.rows)) + 0.3 + 0.15 * len(scores.marks)
    with new_figure(3.4 * columns, height, 150) as figure:
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
        save_figure(figure, path)


def _panel(axes: Axes, summary: Summary, measure: str) -> None:
    rows = summary.scores.rows
    for place, row in enumerate(rows):
        value = summary.cells[row.name][measure].value
        if math.isnan(value.mean):
            continue
        colour = GREY if row.kind == CONTROL else COLOUR
        if not math.isnan(value.low):
            axes.plot([value.low, value.high], [place, place], color=colour, linewidth=1.6)
        axes.plot([value.mean], [place], marker="o", markersize=4, color=colour)
    axes.set_title(heading(summary.scores.measures[measure]), fontsize=8, loc="left")
    axes.set_yticks(range(len(rows)), [shortened_label(row.name, LONGEST_LABEL) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def shortened_label(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
