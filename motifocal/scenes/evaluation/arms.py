"""Read learning curves of several runs and align them: arms of an experiment, by seed.

Letters: S seeds, T steps, P images. An arm is a setting (a value of lambda, say), trained once for
each seed; arms of one seed share first weights, order of data, noise and dropout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from motifocal.files.json_text import read_json_object
from motifocal.scenes.evaluation.paired import Cells
from motifocal.scenes.evaluation.probe_table import PROBE_TABLE, ProbeRow, read_probe_table

Values = npt.NDArray[np.float64]

#: What is compared, and how it reads off a row. "follows" of a video of `scenes eval` is by
#: sampling, of a probe by one forward pass.
MEASURES: Mapping[str, Callable[[ProbeRow], float]] = {
    "follows": lambda row: float(row.follows),
    "static": lambda row: float(row.static),
    "margin": lambda row: row.margin,
}


@dataclass(frozen=True)
class Arm:
    """A setting and its runs, one a seed, each as the rows of its learning curve."""

    name: str
    runs: tuple[tuple[ProbeRow, ...], ...]


@dataclass(frozen=True)
class Aligned:
    """The sums over prompts of every arm: `sums[arm][measure]` is (S, T, P), `counts` (P,)."""

    arms: tuple[str, ...]
    steps: Values
    images: tuple[str, ...]
    counts: Values
    chance: float
    sums: Mapping[str, Mapping[str, Values]]

    def cells(self, arm: str, measure: str, step: int) -> Cells:
        """Return the cells of one arm at the step with this index."""
        return Cells(self.sums[arm][measure][:, step], self.counts)


def read_arm(name: str, places: Sequence[Path]) -> Arm:
    """Read an arm from its runs' folders, probe tables, or reports of `scenes eval`, one a seed."""
    return Arm(name, tuple(tuple(read_run(place)) for place in places))


def read_run(place: Path) -> list[ProbeRow]:
    """Rows of a run's folder, of a table, or of the report that `scenes eval` wrote.

    Raises:
        ValueError: there is none of these.
    """
    if place.is_file():
        rows = read_probe_table(place)
    elif (place / PROBE_TABLE).exists():
        rows = read_probe_table(place / PROBE_TABLE)
    elif (place / "report.json").exists():
        rows = _report_rows(place / "report.json")
    else:
        raise ValueError(f"{place} should hold {PROBE_TABLE} (of a run or of `scenes probe`) or "
                         "report.json (of `scenes eval`), got neither")
    if not rows:
        raise ValueError(f"{place} should hold scores, got none")
    return rows


def _report_rows(path: Path) -> list[ProbeRow]:
    """Return the sampled videos of a report, as rows of step 0 without a margin."""
    try:
        pairs = read_json_object(path)["pairs"]
        return [ProbeRow(0, p["image_id"], p["action"], p["scenario"], p["kind"], p["held_out"],
                         round(1 / p["chance"]), bool(p["follows"]), bool(p["stands_still"]),
                         float("nan")) for p in pairs]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is no report of `scenes eval`: {error!r}") from error


def align(arms: Sequence[Arm], scenarios: Iterable[str] = (), kinds: Iterable[str] = ()) -> Aligned:
    """Line up the rows that all runs have: the same steps, the same pairs.

    `scenarios` and `kinds` keep only pairs of these, all where they are empty.

    Raises:
        ValueError: arms have different numbers of seeds, or nothing is in all runs.
    """
    seeds = {arm.name: len(arm.runs) for arm in arms}
    if len(seeds) < len(arms) or len(set(seeds.values())) > 1:
        raise ValueError(f"arms should have names of their own and as many seeds each, got "
                         f"{', '.join(f'{arm.name} with {len(arm.runs)}' for arm in arms)}")
    chosen = (set(scenarios), set(kinds))
    runs = [[_by_place(run, *chosen) for run in arm.runs] for arm in arms]
    common = set.intersection(*(set(run) for arm in runs for run in arm))
    if not common:
        raise ValueError("the runs should have steps and pairs in common, got none")
    steps = sorted({step for step, _, _ in common})
    pairs = sorted({(image, action) for _, image, action in common})
    if missing := [p for p in pairs if any((step, *p) not in common for step in steps)]:
        raise ValueError(f"every step should have the same pairs, {missing[0]} is not in all")
    return _sum_up(arms, runs, steps, pairs)


def _sum_up(
    arms: Sequence[Arm], runs: Sequence[Sequence[Mapping[tuple[int, str, int], ProbeRow]]],
    steps: list[int], pairs: list[tuple[str, int]],
) -> Aligned:
    images = sorted({image for image, _ in pairs})
    place = {image: k for k, image in enumerate(images)}
    counts = np.bincount([place[image] for image, _ in pairs]).astype(np.float64)
    sums = {arm.name: {name: np.zeros((len(arm.runs), len(steps), len(images)))
                       for name in MEASURES} for arm in arms}
    for arm, tables in zip(arms, runs, strict=True):
        for s, table in enumerate(tables):
            for t, step in enumerate(steps):
                for image, action in pairs:
                    row = table[step, image, action]
                    for name, measure in MEASURES.items():
                        sums[arm.name][name][s, t, place[image]] += measure(row)
    first = runs[0][0]
    chance = float(np.mean([1 / first[steps[0], image, a].candidates for image, a in pairs]))
    return Aligned(tuple(arm.name for arm in arms), np.array(steps, np.float64), tuple(images),
                   counts, chance, sums)


def _by_place(
    rows: Iterable[ProbeRow], scenarios: set[str], kinds: set[str]
) -> dict[tuple[int, str, int], ProbeRow]:
    return {(row.step, row.image_id, row.action): row for row in rows
            if (not scenarios or row.scenario in scenarios) and (not kinds or row.kind in kinds)}
