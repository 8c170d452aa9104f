"""Draw the paper's Figure 4, votes and reasons as stacked bars, and the graph of comparisons."""

from __future__ import annotations

import math
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from motifocal.bench.score.plot import new_figure, save_figure, shortened_label
from motifocal.extras import require
from motifocal.study.report.report import Report
from motifocal.study.report.words import OVER_WORDS, decimal, plain, score_of, turned
from motifocal.study.stats.compare import Comparison
from motifocal.study.stats.intervals import Estimate
from motifocal.study.votes import REASONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Paul Tol's "light" colours, in an order that stays apart with any kind of colour blindness; all
# are light enough for black figures.
COLOURS = dict(zip(REASONS, ("#77AADD", "#EE8866", "#EEDD88", "#44BB99"), strict=True))
GREY, DARK = "#8a8a8a", "#333333"
WIDTH = 3.4  # inches: a column of a paper
GRAPH_SIDE, DPI = 4.0, 300
BAR, GAP = 0.36, 0.42  # heights; a comparison takes 1
NARROWEST = 4.5  # percent of the axis that holds two figures
LONGEST_LABEL = 22
#: What decides the bytes besides the drawing itself.
STYLE = {"font.family": ["DejaVu Sans"], "font.size": 6.5, "pdf.fonttype": 42}


def check_matplotlib() -> None:
    """Raise ValueError where there is no matplotlib, before anything is computed."""
    require("matplotlib", "report", "the figures need", ", or leave them out with --no-figures")


def draw_figure4(report: Report, png: Path, pdf: Path) -> None:
    """Draw two bars a comparison, ours above theirs.

    A bar is as long as the side's share of votes, with its interval. It is divided in proportion to
    how often the reasons were named; the figures are the percentage of the side's votes that name
    each, which add up to more than 100. Raises ValueError where matplotlib is not installed.
    """
    check_matplotlib()
    number = len(report.comparisons)
    marks = [_wrapped(mark) for mark in report.marks]
    lines = sum(mark.count("\n") + 1 for mark in marks)
    with new_figure(WIDTH, 0.85 + 0.44 * number + 0.11 * lines, DPI, STYLE) as figure:
        axes = figure.subplots()
        for place, comparison in enumerate(report.comparisons):
            _bars(axes, place, comparison)
        _dress(axes, report)
        _legend(figure)
        if marks:
            figure.supxlabel("\n".join(marks), fontsize=5.5)
        save_figure(figure, png)
        save_figure(figure, pdf)


def _bars(axes: Axes, place: int, comparison: Comparison) -> None:
    sides = ((comparison.ours, comparison.share, -GAP / 2),
             (comparison.theirs, turned(comparison.share), GAP / 2))
    for model, share, shift in sides:
        if not math.isnan(share.value):
            _bar(axes, place + shift, share, comparison.reasons[model])


def _bar(axes: Axes, y: float, share: Estimate, reasons: dict[str, Estimate]) -> None:
    length = 100 * share.value
    named = {name: named_by.value for name, named_by in reasons.items() if named_by.value > 0}
    total, start = sum(named.values()), 0.0
    for name, often in named.items():
        width = length * often / total
        axes.barh(y, width, left=start, height=BAR, color=COLOURS[name], edgecolor="white",
                  linewidth=0.4)
        if width >= NARROWEST:
            axes.text(start + width / 2, y, f"{100 * often:.0f}", ha="center", va="center_baseline",
                      fontsize=5.5, color=DARK)
        start += width
    if not named:  # no reasons were given
        axes.barh(y, length, height=BAR, color=GREY, linewidth=0)
    end = length
    if not math.isnan(share.low):
        end = 100 * share.high
        low = y + BAR / 2  # on the lower edge, where it covers no figure
        axes.plot([100 * share.low, end], [low, low], color=DARK, linewidth=1.1, marker="|",
                  markersize=2.6, markeredgewidth=0.8, solid_capstyle="butt", zorder=4)
    axes.text(end + 1.5, y, f"{length:.1f} %", va="center_baseline", fontsize=6.5, color=DARK,
              fontweight="bold", zorder=3,
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6})


def _dress(axes: Axes, report: Report) -> None:
    number = len(report.comparisons)
    labels = [(place + shift, model) for place, comparison in enumerate(report.comparisons)
              for model, shift in ((comparison.ours, -GAP / 2), (comparison.theirs, GAP / 2))]
    axes.set_yticks([y for y, _ in labels], [short(model) for _, model in labels])
    for (_, model), label in zip(labels, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if model == report.ours else "normal")
    axes.set_ylim(number - 0.45, -0.55)
    axes.set_xlim(0, 115)
    axes.set_xticks(range(0, 101, 25))
    axes.axvline(50, color=GREY, linewidth=0.7, linestyle=(0, (3, 2)), zorder=0)
    axes.set_xlabel(f"% of votes, with {100 * report.resampling.level:g} % interval over "
                    f"{OVER_WORDS[report.cluster_by]}")
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _legend(figure: Figure) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(facecolor=colour, label=name.replace("_", " "))
               for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside upper center", ncols=2, frameon=False,
                  fontsize=6, handlelength=1.0, columnspacing=1.2,
                  title="reasons (% of the side's votes that name it)", title_fontsize=6)


def draw_graph(report: Report, path: Path) -> None:
    """Draw the models on a circle with their Bradley-Terry scores, and the votes that each won.
    Raise ValueError where matplotlib is not installed."""
    check_matplotlib()
    scores = next(iter(report.scores.values()))
    number = len(scores.models)
    places = {model: (math.sin(2 * math.pi * k / number), math.cos(2 * math.pi * k / number))
              for k, model in enumerate(scores.models)}
    with new_figure(GRAPH_SIDE, GRAPH_SIDE, DPI, STYLE) as figure:
        axes = figure.subplots()
        for (first, second), (won, lost, _) in report.edges.items():
            axes.plot(*zip(places[first], places[second], strict=True), color=GREY, linewidth=0.8,
                      zorder=1)
            _near(axes, places[first], places[second], won)
            _near(axes, places[second], places[first], lost)
        for k, model in enumerate(scores.models):
            left, top = places[model]
            score = decimal(score_of(scores, k)).replace(" (", "\n(")
            axes.text(left, top, f"{short(model)}\n{score}",
                      ha="center", va="center", fontsize=6.5, zorder=3,
                      fontweight="bold" if model == report.ours else "normal",
                      bbox={"boxstyle": "round,pad=0.4", "facecolor": "#E8F0F8",
                            "edgecolor": COLOURS["object_motion"], "linewidth": 0.8})
        axes.set_xlim(-1.5, 1.5)
        axes.set_ylim(-1.4, 1.4)
        axes.set_axis_off()
        notes = ["near each model, the votes that it won against the other", *report.marks]
        figure.supxlabel("\n".join(_wrapped(note, 90) for note in notes), fontsize=5.5)
        save_figure(figure, path)


def _near(axes: Axes, here: tuple[float, float], other: tuple[float, float], votes: int) -> None:
    left, top = (0.66 * a + 0.34 * b for a, b in zip(here, other, strict=True))
    axes.text(left, top, str(votes), fontsize=5.5, ha="center", va="center", zorder=2, color=DARK,
              bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})


def short(name: str) -> str:
    return shortened_label(plain(name), LONGEST_LABEL)


def _wrapped(text: str, width: int = 78) -> str:
    return fill(plain(text), width)
