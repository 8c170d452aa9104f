"""What λ = 1 changes by kind of prompt, on the scenes for which five seeds are planned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ablations_plan import EXPERIMENTS, MOTIF, PLAIN
from ablations_results import finished, lined_up

from motifocal.scenes.evaluation.comparison import Comparison, compare, in_words, shown_steps
from motifocal.scenes.evaluation.evaluate import ENTERS, NAMED, OTHER
from motifocal.scenes.evaluation.report import markdown_table

APPEARANCE = ("bulbs", "traffic_light")  # scenarios in which colours change and nothing moves
# Names in the table, and the pairs: all of some scenarios, or of some kinds.
PAIRS: dict[str, dict[str, tuple[str, ...]]] = {
    "all": {},
    "one object": {"kinds": (OTHER,)},
    "names one of several": {"kinds": (NAMED,)},
    "a new object enters": {"kinds": (ENTERS,)},
    "only colours change": {"scenarios": APPEARANCE},
}


def by_kind(results: Path) -> str:
    """The table as Markdown, of the experiments whose two arms share two seeds or more."""
    rows = list(_rows(results))
    if not rows:
        return "No results yet.\n"
    steps = list(dict.fromkeys(step for _, cells in rows for step in cells))
    table = markdown_table(
        ("scenes", "prompts", "pairs", *(f"step {step}" for step in steps)),
        ((*names, *(cells.get(step, "") for step in steps)) for names, cells in rows))
    return "\n".join([*table, ""])


def _rows(results: Path) -> Iterator[tuple[tuple[str, str, str], dict[int, str]]]:
    """Scenes, kind of prompts and number of pairs, and a cell for each step that is shown."""
    for experiment in EXPERIMENTS:
        two = tuple(arm for arm in experiment.arms
                    if arm.key in (PLAIN.key, MOTIF.key) and arm.seeds == PLAIN.seeds)
        done = [finished(results, experiment, arm).keys() for arm in two]
        seeds = tuple(sorted(done[0] & done[1])) if len(two) == 2 else ()
        for name, chosen in PAIRS.items() if len(seeds) > 1 else ():
            aligned = lined_up(results, experiment, seeds, two, **chosen)
            steps = shown_steps([int(step) for step in aligned.steps])
            curves = compare(aligned)
            yield ((experiment.scenes, name, str(int(aligned.counts.sum()))),
                   {step: _cell(curves, step) for step in steps})


def _cell(curves: Comparison, step: int) -> str:
    """How many follow with λ = 0 in per cent, and the difference in points with its interval."""
    plain = curves.at(PLAIN.label, step, "follows").value.value
    difference = curves.at(MOTIF.label, step, "follows").difference
    return f"{plain:.1%} {in_words(difference, 100, 1, signed=True)}"
