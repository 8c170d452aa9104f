"""Train the runs of the ablations side by side on one GPU: `scripts/ablations.py --device auto`.

Clips are prepared by other processes, kind of scenes by kind; as soon as those of a group of runs
are there, all its runs take their steps together (replay_run.py). Long runs begin when no short
ones are left. A run's learning curve is kept when it ends; Figure 6 is measured by other processes
on the CPU, and videos are sampled on the GPU when all are trained. What each run computes is what
`motifocal train` computes: the same first weights, order of the data, noise and dropout; the order
in which a GPU adds up is not the CPU's, so curves agree, but not bit for bit. A run that was
stopped begins anew; what there was of its curve is kept in `partial/` beside the results.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from ablations_inputs import Begin, ask_for_inputs, batches
from ablations_plan import END, Job
from replay_trainer import Trainer

from motifocal.training.checkpoint import latest_step

if TYPE_CHECKING:
    from ablations import Runner


def train_side_by_side(runner: Runner, everything: list[Job], model: Path, begin: Begin) -> bool:
    """Train the jobs that have no curve and measure what is not measured; True where all went well.

    Where it is stopped, or fails, processes that it began are not waited for.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    jobs = [job for job in everything if not runner.result(job).exists()]
    groups = batches(jobs)
    preparing, measuring = ThreadPoolExecutor(3), ThreadPoolExecutor(max(1, cores() // 2))
    trainer = None
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        ask_for_inputs(runner, groups, preparing, begin)

        # Of runs that an earlier start trained, and was stopped before it measured them.
        measured = [measuring.submit(begin, "figure6", job.name) for job in everything
                    if is_trained(runner, job) and not runner.figure6(job).exists()]

        def ended(job: Job) -> None:
            measured.append(measuring.submit(begin, "figure6", job.name))

        trainer = Trainer(runner, model, ended, device)
        trainer.train(groups)
        measured += [measuring.submit(begin, "sample", job.name) for job in everything
                     if is_trained(runner, job) and END in job.arm.sampled
                     and not runner.sampled(job, END).exists()]
        went_well = [m.result() for m in measured]  # of all, before the others are looked at
        return all(went_well) and all(runner.result(job).exists() for job in jobs)
    except BaseException:  # a signal's SystemExit too: what there is is kept, and the code is 1
        traceback.print_exc()
        try:
            if trainer is not None:
                trainer.rescue()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)  # the pools would wait for all that they were given


def is_trained(runner: Runner, job: Job) -> bool:
    """Whether a run has its curve, and weights that can be measured."""
    return runner.result(job).exists() and latest_step(runner.folder(job) / "checkpoints") > 0


def cores() -> int:
    """The number of CPU cores."""
    return os.cpu_count() or 1
