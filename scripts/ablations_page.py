"""Write the tables and curves of docs/proof.md from the results of scripts/ablations.py.

    python scripts/ablations_page.py                            docs/proof.md, from runs/ablations
    python scripts/ablations_page.py --results R --page P       another page of the same form

What stands between `<!-- ablations: KEY -->` and `<!-- /ablations -->` is written anew: for each
experiment the arms that have results, each on the seeds that the baseline has as well, for
`summary` all of them in one table and picture, for `kinds` λ = 1 by kind of prompt, for `agreement`
how the probe ranks finished networks beside sampling. The text around it is written by hand.
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
from ablations_agreement import agreement
from ablations_kinds import APPEARANCE, by_kind
from ablations_plan import EXPERIMENTS, WHEN, Arm, Experiment, run_name
from ablations_results import compared, compared_samples, groups, lined_up
from ablations_summary import summary

from motifocal.files.atomic import replacing
from motifocal.scenes.evaluation.comparison import compare, draw_curves, to_markdown
from motifocal.scenes.evaluation.paired import Cells, two_way_interval

MOST_NAMED = 4  # arms in a title
BLOCK = re.compile(r"(<!-- ablations: ([\w-]+) -->\n).*?(<!-- /ablations -->)", re.DOTALL)


def block(results: Path, experiment: Experiment, pictures: Path | None) -> str:
    """The generated part of the page for one experiment."""
    parts = []
    for number, group in enumerate(groups(results, experiment)):
        seeds, arms = group.seeds, group.arms
        comparison = compared(results, experiment, seeds, arms)
        parts.append(f"### {experiment.scenes[0].upper()}{experiment.scenes[1:]}, "
                     f"{len(seeds)} seed{'s' * (len(seeds) > 1)}: "
                     f"{in_title([arm.label for arm in group.own])}\n\n"
                     "By the probe:\n\n" + to_markdown(comparison))
        name = f"curves-{experiment.key}{f'-{number}' if number else ''}.png"
        if pictures is not None:
            draw_curves(pictures / name, comparison)
        parts.append(f"![Learning curves, {experiment.key}: {', '.join(a.label for a in arms)}]"
                     f"(images/{name})\n")
        parts += figure6(results, experiment, seeds, arms)
        for when, words in WHEN.items():
            if sampled := compared_samples(results, experiment, group, when):
                parts.append(f"By sampling {words} (20 steps, guidance 2.5):\n\n"
                             + to_markdown(sampled))
        if also := group.against(experiment.also_against):
            again = compared(results, experiment, seeds, also)
            parts.append(f"By the probe, against {also[0].label}:\n\n" + to_markdown(again))
        if experiment.key == "still":
            apart = compare(lined_up(results, experiment, seeds, arms, APPEARANCE))
            parts.append("By the probe, only the scenarios in which nothing moves and colours "
                         "change (bulbs, traffic light):\n\n" + to_markdown(apart))
    if not parts:
        return "No results yet.\n"
    return "\n".join([*parts, cost(results, experiment)])


def in_title(labels: list[str]) -> str:
    """The arms of a section; of many, how many they are."""
    return ", ".join(labels) if len(labels) <= MOST_NAMED else f"{len(labels)} arms"


def figure6(results: Path, experiment: Experiment, seeds: tuple[int, ...],
            arms: tuple[Arm, ...]) -> list[str]:
    """The paper's Figure 6 in one number: loss where it moves over mean loss, over timesteps."""
    measures = ("ratio", "hot", "mean")  # columns of figure6.csv
    rows = ["| arm | loss where it moves / mean loss | over that of the baseline | loss where it "
            "moves, over that of the baseline | mean loss, over that of the baseline |",
            "| --- | ---: | ---: | ---: | ---: |"]
    logs: dict[str, list[np.ndarray]] = {}  # of the arms; the first of all is the baseline
    for arm in arms:
        paths = [results / f"{run_name(experiment, arm, seed)}.figure6.csv" for seed in seeds]
        if not all(path.exists() for path in paths):
            if not logs:
                return []
            continue
        logs[arm.label] = [np.array([mean_log(path, column) for path in paths])
                           for column in measures]
        first = next(iter(logs.values()))
        quotients = [over_seeds(own - base)
                     for own, base in zip(logs[arm.label], first, strict=True)]
        cells = (arm.label, over_seeds(logs[arm.label][0]),
                 *([""] * 3 if len(logs) == 1 else quotients))
        rows.append(f"| {' | '.join(cells)} |")
    if len(logs) < 2:
        return []
    return ["Figure 6 (geometric means over timesteps and seeds; 95 % intervals over seeds):\n\n"
            + "\n".join(rows) + "\n"]


def mean_log(path: Path, column: str) -> float:
    """The mean over timesteps of the logarithm of a column of figure6.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return float(np.mean([np.log(float(row[column])) for row in csv.DictReader(file)]))


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
    made["agreement"] = partial(agreement, results)
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
