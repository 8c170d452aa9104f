"""Does the one-pass probe rank networks as sampling does? Writes a table and a rank correlation.

    python scripts/probe_study.py out/ablations/runs/still/lambda0-seed0 ... --pairs 80

Each RUN is a run of scripts/ablations.py. Every set of weights that it kept is bundled, sampled
with `scenes eval` (20 steps, guidance 2.5) and probed on the same pairs. Run it again to go on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy import stats

from motifocal.scenes.evaluation.arms import read_run
from motifocal.scenes.evaluation.probe_table import ProbeRow

MODEL = Path(__file__).parents[1] / "motifocal" / "bundled"


def motifocal(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "motifocal", *map(str, arguments)], check=True,
                   stdout=subprocess.DEVNULL)


def measured(
    run: Path, step: int, output: Path, pairs: int
) -> tuple[list[ProbeRow], list[ProbeRow]]:
    """The probe's rows and those of sampled videos, of the weights that a run kept at a step."""
    folder = output / f"{run.name}-{step}"
    if not (folder / "model").exists():
        motifocal("bundle", run, MODEL, "-o", folder / "model", "--step", step, "--steps", 20,
                  "--guidance", 2.5)
    if not (folder / "probe" / "report.md").exists():
        motifocal("scenes", "probe", folder / "model", "-o", folder / "probe", "--pairs", pairs)
    if not (folder / "eval" / "report.json").exists():
        motifocal("scenes", "eval", folder / "model", "-o", folder / "eval", "--pairs", pairs)
    return read_run(folder / "probe"), read_run(folder / "eval")


def share(rows: list[ProbeRow]) -> float:
    return float(np.mean([row.follows for row in rows]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--pairs", type=int, default=80)
    parser.add_argument("-o", "--output", type=Path, default=Path("out/probe-study"))
    given = parser.parse_args()
    lines = []
    for run in given.runs:
        for kept in sorted((run / "kept").glob("step-*")):
            step = int(kept.name.removeprefix("step-"))
            probed, sampled = measured(run, step, given.output, given.pairs)
            margin = float(np.mean([row.margin for row in probed]))
            lines.append((run.name, step, share(probed), margin, share(sampled)))
            print(f"| {run.name} | {step} | {share(probed):.1%} | {margin:.2f} | "
                  f"{share(sampled):.1%} |", flush=True)
    for name, column in (("share that follows", 2), ("margin", 3)):
        found = stats.spearmanr([line[column] for line in lines], [line[4] for line in lines])
        print(f"rank correlation of the probe's {name} with sampling: {found.statistic:.3f} over "
              f"{len(lines)} networks")


if __name__ == "__main__":
    main()
