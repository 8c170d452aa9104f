"""Write the tables and curves of docs/proof.md from the results of scripts/ablations.py.

    python scripts/ablations_page.py                            docs/proof.md, from runs/ablations
    python scripts/ablations_page.py --results R --page P       another page of the same form

What stands between `<!-- ablations: KEY -->` and `<!-- /ablations -->` is written anew: for each
experiment the arms that have results, each on the seeds that the baseline has as well, for
`summary` all of them in one table and picture, for `kinds` λ = 1 by kind of prompt. The text around
it is written by hand.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from ablations import ROOT
from ablations_kinds import APPEARANCE, by_kind
from ablations_plan import EXPERIMENTS, Arm, Experiment, run_name
from ablations_results import compared, compared_samples, groups, lined_up
from ablations_summary import summary

from motifocal.files.atomic import replacing
from motifocal.scenes.evaluation.comparison import compare, draw_curves, to_markdown
from motifocal.scenes.evaluation.paired import Cells, two_way_interval

BLOCK = re.compile(r"(<!-- ablations: ([\w-]+) -->\n).*?(<!-- /ablations -->)", re.DOTALL)


def block(results: Path, experiment: Experiment, pictures: Path | None) -> str:
    """The generated part of the page for one experiment."""
    parts = []
    for number, group in enumerate(groups(results, experiment)):
        seeds, arms = group.seeds, group.arms
        comparison = compared(results, experiment, seeds, arms)
        parts.append(to_markdown(comparison))
        name = f"curves-{experiment.key}{f'-{number}' if number else ''}.png"
        if pictures is not None:
            draw_curves(pictures / name, comparison)
        parts.append(f"![Learning curves, {experiment.key}: {', '.join(a.label for a in arms)}]"
                     f"(images/{name})\n")
        parts += figure6(results, experiment, seeds, arms)
        if sampled := compared_samples(results, experiment, group):
            parts.append("By sampling at the end (20 steps, guidance 2.5):\n\n"
                         + to_markdown(sampled))
        if also := group.against(experiment.also_against):
            again = compared(results, experiment, seeds, also)
            parts.append(f"The same curves, against {also[0].label}:\n\n" + to_markdown(again))
        if experiment.key == "still":
            apart = compare(lined_up(results, experiment, seeds, arms, APPEARANCE))
            parts.append("Of these, the scenarios in which only colours change (bulbs, traffic "
                         "light):\n\n" + to_markdown(apart))
    if not parts:
        return "No results yet.\n"
    return "\n".join([*parts, cost(results, experiment)])


def figure6(results: Path, experiment: Experiment, seeds: tuple[int, ...],
            arms: tuple[Arm, ...]) -> list[str]:
    """The paper's Figure 6 in one number: loss where it moves over mean loss, over timesteps."""
    rows = ["| arm | loss where it moves / mean loss | over that of the baseline |",
            "| --- | ---: | ---: |"]
    ratios: dict[str, np.ndarray] = {}
    for arm in arms:
        paths = [results / f"{run_name(experiment, arm, seed)}.figure6.csv" for seed in seeds]
        if not all(path.exists() for path in paths):
            continue
        ratios[arm.label] = np.log([mean_ratio(path) for path in paths])
        first = next(iter(ratios.values()))
        quotient = "" if len(ratios) == 1 else over_seeds(ratios[arm.label] - first)
        rows.append(f"| {arm.label} | {over_seeds(ratios[arm.label])} | {quotient} |")
    if len(ratios) < 2:
        return []
    return ["Figure 6 (geometric means over timesteps and seeds; 95 % intervals over seeds):\n\n"
            + "\n".join(rows) + "\n"]


def mean_ratio(path: Path) -> float:
    """The geometric mean over timesteps of a figure6.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return float(np.exp(np.mean([np.log(float(row["ratio"])) for row in csv.DictReader(file)])))


def over_seeds(logs: np.ndarray) -> str:
    """A geometric mean over seeds with its 95 % interval (Student's t)."""
    cells = Cells(logs[:, None].T, np.ones(len(logs)))  # seeds are what is drawn at random here
    interval = two_way_interval(cells)
    value, low, high = (float(np.exp(x)) for x in (interval.value, interval.low, interval.high))
    return f"{value:.3f}" if np.isnan(low) else f"{value:.3f} [{low:.3f}, {high:.3f}]"


def cost(results: Path, experiment: Experiment) -> str:
    """What the runs took, as their logs say: one a core, or side by side on a GPU."""
    notes = [json.loads(path.read_text())
             for path in sorted((results / experiment.key).glob("*.json"))]
    lines = []
    for device in dict.fromkeys(note.get("device", "") for note in notes):
        seconds = [n["seconds_per_step"] for n in notes if n.get("device", "") == device]
        where = f" side by side on {device}" if device else ""
        lines.append(f"{len(seconds)} runs{where}; the median step {'of all ' if device else ''}"
                     f"took {median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f} by "
                     "run).\n")
    return "\n".join(lines)


def filled(text: str, results: Path, pictures: Path | None) -> str:
    """The page with every generated part written anew. KeyError for an unknown experiment."""
    if pictures is not None:
        pictures.mkdir(parents=True, exist_ok=True)
    made = {e.key: partial(block, results, e, pictures) for e in EXPERIMENTS}
    made["summary"] = partial(summary, results, pictures)
    made["kinds"] = partial(by_kind, results)
    return BLOCK.sub(lambda m: f"{m[1]}\n{made[m[2]]()}\n{m[3]}", text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "ablations")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "proof.md",
                        help="the page to write; its curves go into images/ beside it")
    given = parser.parse_args()
    text = (ROOT / "docs" / "proof.md").read_text(encoding="utf-8")
    given.page.parent.mkdir(parents=True, exist_ok=True)
    with replacing(given.page) as temporary:
        temporary.write_text(filled(text, given.results, given.page.parent / "images"),
                             encoding="utf-8")
    print(given.page)


if __name__ == "__main__":
    main()
