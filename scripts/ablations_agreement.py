"""Whether the probe ranks networks at the end of training as videos sampled from them do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ablations_plan import END, EXPERIMENTS, Experiment, run_name, samples_name
from ablations_results import finished
from scipy import stats

from motifocal.scenes.evaluation.arms import read_run
from motifocal.scenes.evaluation.report import markdown_table

FEWEST = 4  # networks of which a rank correlation says anything


def agreement(results: Path) -> str:
    """A row for each kind of scenes on which enough networks have sampled videos, as Markdown."""
    rows = [row for experiment in EXPERIMENTS for row in _row(results, experiment)]
    if not rows:
        return "No results yet.\n"
    head = ("scenes", "networks", "follow by the probe", "follow by sampling", "rank correlation")
    return "\n".join([*markdown_table(head, rows), ""])


def _row(results: Path, experiment: Experiment) -> Iterator[tuple[str, ...]]:
    shares = np.array(list(_shares(results, experiment)))
    if len(shares) < FEWEST:
        return
    spans = (f"{100 * x.min():.1f} to {100 * x.max():.1f} %" for x in shares.T)
    yield (experiment.scenes, str(len(shares)), *spans,
           f"{stats.spearmanr(*shares.T).statistic:.2f}")


def _shares(results: Path, experiment: Experiment) -> Iterator[tuple[float, float]]:
    """The shares that follow by the probe at the last step and by sampling, a pair a network."""
    for arm in (arm for arm in experiment.arms if not arm.runs_of):
        for seed, curve in finished(results, experiment, arm).items():
            sampled = results / samples_name(run_name(experiment, arm, seed), END)
            if sampled.exists():
                rows = read_run(curve)
                last = max(row.step for row in rows)
                yield (float(np.mean([row.follows for row in rows if row.step == last])),
                       float(np.mean([row.follows for row in read_run(sampled)])))
