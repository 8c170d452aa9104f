"""The results of scripts/ablations.py: arms beside their baseline, on the seeds that both have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ablations_plan import Arm, Experiment, run_name, samples_name

from motifocal.files.atomic import replacing
from motifocal.scenes.evaluation.arms import Aligned, align, read_arm
from motifocal.scenes.evaluation.comparison import Comparison, compare


def keep(path: Path, data: bytes) -> None:
    """Write a result whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def finished(results: Path, experiment: Experiment, arm: Arm) -> dict[int, Path]:
    """The curves of an arm that are there, by seed."""
    paths = {seed: results / f"{run_name(experiment, arm, seed)}.csv.gz"
             for seed in range(arm.seeds)}
    return {seed: path for seed, path in paths.items() if path.exists()}


@dataclass(frozen=True)
class Group:
    """Arms with the same seeds: `own` are compared, the others stand beside them."""

    seeds: tuple[int, ...]
    arms: tuple[Arm, ...]  # the baseline first
    own: tuple[Arm, ...]

    def against(self, label: str) -> tuple[Arm, ...]:
        """The arm of this label and the own arms to compare with it; none where one is missing."""
        second = tuple(arm for arm in self.arms[1:] if arm.label == label)
        others = tuple(arm for arm in self.arms[1:] if arm not in second and arm in self.own)
        return (*second, *others) if second and others else ()


def groups(results: Path, experiment: Experiment) -> list[Group]:
    """Arms that can be compared with the baseline, together where they have the same seeds.

    Runs of another experiment, and the second arm that others are compared with, stand beside each
    group whose seeds they have.
    """
    baseline, *others = experiment.arms
    done = {arm: finished(results, experiment, arm) for arm in experiment.arms}
    together: dict[tuple[int, ...], list[Arm]] = {}
    for arm in others:
        seeds = tuple(seed for seed in done[arm] if seed in done[baseline])
        if seeds and not arm.runs_of:
            together.setdefault(seeds, []).append(arm)

    def beside(arm: Arm, seeds: tuple[int, ...]) -> bool:
        wanted = arm.runs_of or arm.label == experiment.also_against
        return bool(wanted) and done[arm].keys() >= set(seeds)

    return [Group(seeds, (baseline, *(arm for arm in others if arm in own or beside(arm, seeds))),
                  tuple(own))
            for seeds, own in together.items()]


def lined_up(results: Path, experiment: Experiment, seeds: tuple[int, ...],
             arms: tuple[Arm, ...], scenarios: tuple[str, ...] = (),
             kinds: tuple[str, ...] = ()) -> Aligned:
    """Curves of arms on these seeds, pair by pair; of some scenarios or kinds, where named."""
    read = [read_arm(arm.label, [finished(results, experiment, arm)[seed] for seed in seeds])
            for arm in arms]
    return align(read, scenarios, kinds)


@cache
def compared(results: Path, experiment: Experiment, seeds: tuple[int, ...],
             arms: tuple[Arm, ...]) -> Comparison:
    """Learning curves of arms on these seeds, against the first arm's."""
    return compare(lined_up(results, experiment, seeds, arms))


@cache
def compared_samples(results: Path, experiment: Experiment, group: Group,
                     when: str) -> Comparison | None:
    """Videos sampled `when`, of the own arms that have them for every seed; None for none."""
    arms = (group.arms[0], *group.own)
    places = {arm: [results / samples_name(run_name(experiment, arm, seed), when)
                    for seed in group.seeds] for arm in arms if when in arm.sampled}
    there = {arm: paths for arm, paths in places.items() if all(p.exists() for p in paths)}
    if arms[0] not in there or len(there) < 2:
        return None
    return compare(align([read_arm(arm.label, paths) for arm, paths in there.items()]))
