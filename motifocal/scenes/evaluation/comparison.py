"""Compare arms with a baseline at every point of their learning curves: tables, CSV, a plot.

Letters: S seeds, T steps, P images. Intervals are those of `paired`: 95 %, over seeds and images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from motifocal.extras import require
from motifocal.files.csv_text import csv_text
from motifocal.scenes.evaluation.arms import MEASURES, Aligned
from motifocal.scenes.evaluation.paired import (
    Interval,
    crossing_ratio,
    first_crossing,
    two_way_interval,
)
from motifocal.scenes.evaluation.report import markdown_table

LEVELS = (0.25, 0.5, 0.75)
SHOWN_STEPS = 4  # columns of a table, spread over the curve, the last step among them


@dataclass(frozen=True)
class Point:
    """One arm at one step: a measure, and its difference from the baseline's."""

    arm: str
    step: int
    measure: str
    value: Interval
    difference: Interval | None  # None for the baseline itself


@dataclass(frozen=True)
class Reached:
    """When an arm's mean curve first reaches a level of "follows", and that over the baseline's."""

    arm: str
    level: float
    steps: float
    ratio: Interval | None


@dataclass(frozen=True)
class Comparison:
    """All arms against the first one."""

    aligned: Aligned
    points: tuple[Point, ...]
    reached: tuple[Reached, ...]

    @property
    def baseline(self) -> str:
        """The arm that the others are compared with."""
        return self.aligned.arms[0]

    def at(self, arm: str, step: int, measure: str) -> Point:
        """Return the point of an arm at a step."""
        return next(p for p in self.points if (p.arm, p.step, p.measure) == (arm, step, measure))


def compare(aligned: Aligned) -> Comparison:
    """Compare every arm with the first one, at every step and by every measure."""
    baseline = aligned.arms[0]
    points, reached = [], []
    for arm in aligned.arms:
        for t, step in enumerate(aligned.steps):
            for measure in MEASURES:
                cells = aligned.cells(arm, measure, t)
                less = aligned.cells(baseline, measure, t)
                difference = None if arm == baseline else two_way_interval(cells.minus(less))
                points.append(Point(arm, int(step), measure, two_way_interval(cells), difference))
        reached += [_reached(aligned, arm, level) for level in LEVELS if len(aligned.steps) > 1]
    return Comparison(aligned, tuple(points), tuple(reached))


def _reached(aligned: Aligned, arm: str, level: float) -> Reached:
    baseline = aligned.arms[0]
    sums = aligned.sums[arm]["follows"]
    curve = sums.sum((0, 2)) / (len(sums) * aligned.counts.sum())
    ratio = None if arm == baseline else crossing_ratio(
        aligned.steps, sums, aligned.sums[baseline]["follows"], aligned.counts, level)
    return Reached(arm, level, first_crossing(aligned.steps, curve, level), ratio)


def to_csv(comparison: Comparison) -> str:
    """Return a row per arm, step and measure, with the difference from the baseline."""
    head = ("arm", "step", "measure", "value", "low", "high", "difference", "difference_low",
            "difference_high")
    rows = []
    for p in comparison.points:
        difference = p.difference or Interval(float("nan"), float("nan"), float("nan"))
        numbers = (p.value.value, p.value.low, p.value.high,
                   difference.value, difference.low, difference.high)
        rows.append([p.arm, p.step, p.measure,
                     *("" if np.isnan(x) else f"{x:.6g}" for x in numbers)])
    return csv_text(head, rows)


def to_markdown(comparison: Comparison) -> str:
    """Tables of the shares that follow and stand still, the margin, and the steps to a level."""
    aligned = comparison.aligned
    seeds = len(next(iter(aligned.sums.values()))["follows"])
    about = (f"{seeds} seed{'s' * (seeds > 1)}, {int(aligned.counts.sum())} pairs of "
             f"{len(aligned.images)} images; chance {aligned.chance:.1%}. Values and, in brackets, "
             "95 % intervals over seeds and images; differences are from "
             f"{comparison.baseline}, pair by pair.")
    if seeds == 1:
        about += " With one seed the intervals are over images alone."
    lines = [about, "", "**Follows the prompt** (%)", "", *_table(comparison, "follows", 100, 1),
             "", "**Stands still** (%)", "", *_table(comparison, "static", 100, 1)]
    if not np.isnan(comparison.points[2].value.value):
        lines += ["", "**Margin**", "", *_table(comparison, "margin", 1, 3)]
    if comparison.reached:
        lines += ["", "**Steps until so many follow**, and over those of the baseline", "",
                  *_reached_table(comparison)]
    return "\n".join([*lines, ""])


def _table(comparison: Comparison, measure: str, scale: float, digits: int) -> list[str]:
    steps = shown_steps([int(step) for step in comparison.aligned.steps])
    # Models and sampled videos have no step.
    head = ["arm", *(name for step in steps
                     for name in (f"step {step}" if step else "value", "difference"))]
    rows = []
    for arm in comparison.aligned.arms:
        cells = [arm]
        for step in steps:
            point = comparison.at(arm, step, measure)
            value = point.value if measure == "margin" else _within_0_and_1(point.value)
            cells += [in_words(value, scale, digits, signed=False),
                      in_words(point.difference, scale, digits, signed=True)]
        rows.append(cells)
    return markdown_table(head, rows)


def _within_0_and_1(interval: Interval) -> Interval:
    """Cut the interval of a share where no share can be; Student's t knows no bounds."""
    low, high = (float(np.clip(x, 0, 1)) for x in (interval.low, interval.high))
    return replace(interval, low=low, high=high)


def _reached_table(comparison: Comparison) -> list[str]:
    head = ["arm", *(name for level in LEVELS for name in (f"{level:.0%}", "ratio"))]
    rows = []
    for arm in comparison.aligned.arms:
        own = [r for r in comparison.reached if r.arm == arm]
        cells = [arm]
        for r in own:
            cells += ["not reached" if np.isnan(r.steps) else f"{r.steps:.0f}",
                      in_words(r.ratio, 1, 2, signed=False)]
        rows.append(cells)
    return markdown_table(head, rows)


def shown_steps(steps: Sequence[int]) -> list[int]:
    """Return at most SHOWN_STEPS of the steps, spread evenly, the last one among them."""
    if len(steps) <= SHOWN_STEPS:
        return list(steps)
    return [steps[round(len(steps) * k / SHOWN_STEPS) - 1] for k in range(1, SHOWN_STEPS + 1)]


def in_words(interval: Interval | None, scale: float, digits: int, *, signed: bool) -> str:
    """Return `value [low, high]` times `scale`, bold where a difference excludes 0; "" for None.

    Without bounds where there is nothing to tell them by: all cells are the same.
    """
    if interval is None or np.isnan(interval.value):
        return ""
    sign = "+" if signed else ""
    value = f"{scale * interval.value:{sign}.{digits}f}"
    if np.isnan(interval.low) or interval.low == interval.high:
        return value
    low, high = (f"{scale * x:{sign}.{digits}f}" for x in (interval.low, interval.high))
    text = f"{value} [{low}, {high}]"
    return f"**{text}**" if signed and interval.excludes(0) else text


def draw_curves(path: Path, comparison: Comparison) -> None:
    """Plot the share that follows and the margin over steps, one colour an arm, thin lines a seed.

    Raises:
        ValueError: matplotlib is not installed.
    """
    require("matplotlib", "train", "the plot needs")
    from matplotlib.figure import Figure

    aligned = comparison.aligned
    figure = Figure(figsize=(9.6, 4.0), dpi=120, layout="constrained")
    words = {"follows": "share that follows the prompt", "margin": "margin"}
    for axes, measure in zip(figure.subplots(1, 2), words, strict=True):
        for arm in aligned.arms:
            curves = aligned.sums[arm][measure].sum(2) / aligned.counts.sum()
            (line,) = axes.plot(aligned.steps, curves.mean(0), marker="o", markersize=3, label=arm)
            for curve in curves if len(curves) > 1 else ():
                axes.plot(aligned.steps, curve, color=line.get_color(), linewidth=0.5, alpha=0.5)
        axes.set(xlabel="optimiser steps", ylabel=words[measure])
        axes.grid(alpha=0.2)
    figure.axes[0].axhline(aligned.chance, color="grey", linewidth=0.8, linestyle=":")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    figure.savefig(path)
