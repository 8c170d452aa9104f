"""All ablations in one table and one picture: how much more an arm follows than its baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ablations_plan import EXPERIMENTS, WHEN, Arm, Experiment
from ablations_results import compared, compared_samples, groups

from motifocal.scenes.evaluation.comparison import Comparison, in_words, shown_steps
from motifocal.scenes.evaluation.paired import Interval
from motifocal.scenes.evaluation.report import markdown_table

PICTURE = "ablations.png"


@dataclass(frozen=True)
class Row:
    """Differences in the share of pairs that follow, by where on the curve they were measured."""

    scenes: str
    arm: str
    baseline: str
    seeds: int
    differences: dict[str, Interval]


def rows_of(results: Path) -> tuple[list[Row], list[Row]]:
    """A row for each arm with results; runs that are another experiment's stand there alone.

    The rows against the first arm, and those against the second that others are compared with.
    """
    first: list[Row] = []
    second: list[Row] = []
    for experiment in EXPERIMENTS:
        for group in groups(results, experiment):
            sampled = {words: there for when, words in WHEN.items()
                       if (there := compared_samples(results, experiment, group, when))}
            for rows, arms in ((first, (group.arms[0], *group.own)),
                               (second, group.against(experiment.also_against))):
                if arms:
                    curves = compared(results, experiment, group.seeds, arms)
                    rows += [_row(experiment, len(group.seeds), arm, curves,
                                  sampled if rows is first else {}) for arm in arms[1:]]
    return first, second


def _row(experiment: Experiment, seeds: int, arm: Arm, curves: Comparison,
         sampled: Mapping[str, Comparison]) -> Row:
    steps = shown_steps([int(step) for step in curves.aligned.steps])
    points = {f"step {step}": curves.at(arm.label, step, "follows") for step in steps}
    points |= {f"sampled {words}": there.at(arm.label, int(there.aligned.steps[-1]), "follows")
               for words, there in sampled.items() if arm.label in there.aligned.arms}
    return Row(experiment.scenes, arm.label, curves.baseline, seeds,
               {at: p.difference for at, p in points.items() if p.difference})


def summary(results: Path, pictures: Path | None) -> str:
    """The table as Markdown, with the picture, which is drawn where a folder for it is given."""
    first, second = rows_of(results)
    if not first:
        return "No results yet.\n"
    if pictures is not None:
        draw(pictures / PICTURE, first)
    rows = first + second
    places = list(dict.fromkeys(at for row in rows for at in row.differences))
    table = markdown_table(
        ("scenes", "arm", "against", "seeds", *places),
        ((row.scenes, row.arm, row.baseline, str(row.seeds),
          *(in_words(row.differences.get(at), 100, 1, signed=True) for at in places))
         for row in rows))
    return "\n".join([*table, "", f"![Every arm's difference from its baseline, with intervals]"
                      f"(images/{PICTURE})", ""])


def draw(path: Path, rows: list[Row]) -> None:
    """Plot a row an arm: its difference in points at each place of the curve, with intervals."""
    from matplotlib.figure import Figure

    places = list(dict.fromkeys(at for row in rows for at in row.differences))
    figure = Figure(figsize=(9.6, 1.2 + 0.42 * len(rows)), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, at in enumerate(places):
        there = [(place, row.differences[at]) for place, row in enumerate(rows)
                 if at in row.differences]
        at_row = np.array([place for place, _ in there]) + 0.13 * (number - (len(places) - 1) / 2)
        bounds = 100 * np.array([(i.value, i.low, i.high) for _, i in there])
        value, low, high = bounds.T
        axes.errorbar(value, at_row, xerr=(value - low, high - value), fmt="o", markersize=3,
                      linewidth=1, label=at)
    axes.axvline(0, color="grey", linewidth=0.8)
    names = [f"{row.arm} - {row.baseline}\n{row.scenes}, {row.seeds} seeds" for row in rows]
    axes.set_yticks(range(len(rows)), names, fontsize=7)
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=10)  # one arm that fails should not hide the others
    ticks = (-60, -30, -10, -5, 0, 5, 10, 30)
    axes.set_xticks(ticks, [f"{tick:+d}" if tick else "0" for tick in ticks])
    axes.set_xlabel("points more of 320 pairs that follow the prompt, 95 % intervals")
    axes.grid(axis="x", alpha=0.2)
    figure.legend(loc="outside lower center", ncols=3)  # six in one row are cut off
    figure.savefig(path)
