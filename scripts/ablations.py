"""Train the arms of the ablations in docs/proof.md: one process a run, resumed by running it again.

    python scripts/ablations.py --jobs 2            every run that has no result yet
    python scripts/ablations.py --only still --jobs 1
    python scripts/ablations.py --device auto       on a GPU: all runs side by side, longer ones too
    python scripts/ablations.py --quick             a small copy of two experiments, in minutes

A run's result is its learning curve on 320 pairs, runs/ablations/EXPERIMENT/ARM-seedN.csv.gz, small
enough to be part of the project, and the scores of its videos where its arm is sampled; a run that
has them is not trained again. Everything else (shards, checkpoints, logs) lies in the work folder.
Arms of one seed share first weights, order of the data, noise and dropout.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median

import torch
from ablations_plan import (
    END,
    EXPERIMENTS,
    FULL,
    HELD_OUT,
    MAPS,
    PLAIN,
    QUICK,
    Experiment,
    Job,
    Scale,
    plan,
    samples_name,
)
from ablations_results import keep

from motifocal.cli import cli
from motifocal.scenes.evaluation.arms import read_run
from motifocal.scenes.evaluation.probe_table import PROBE_TABLE, compressed, read_probe_table
from motifocal.training.checkpoint import kept_weights
from motifocal.training.log import read_log

ROOT = Path(__file__).parents[1]
EVERY = tuple(e.key for e in EXPERIMENTS)
MODEL = ROOT / "motifocal" / "bundled"  # its autoencoder and text encoder serve every run


@dataclass(frozen=True)
class Runner:
    """Where everything lies, and at which scale it is made."""

    work: Path
    results: Path
    scale: Scale
    device: str
    workers: int = 1  # of `prepare`

    def result(self, job: Job) -> Path:
        return self.results / f"{job.name}.csv.gz"

    def is_done(self, job: Job) -> bool:
        """Whether every result of a run is there; its curve is kept last."""
        wanted = [self.sampled(job, when) for when in job.arm.sampled]
        return all(path.exists() for path in (*wanted, self.figure6(job), self.result(job)))

    def figure6(self, job: Job) -> Path:
        return self.results / f"{job.name}.figure6.csv"

    def sampled(self, job: Job, when: str) -> Path:
        return self.results / samples_name(job.name, when)

    def do(self, job: Job) -> None:
        """Train a run to its end, measure it, keep the results."""
        call("train", *self.train_words(job))
        self.measure(job)
        self.sample(job)
        self.keep_curve(job)

    def measure(self, job: Job) -> None:
        """Measure Figure 6 of a run that is trained."""
        folder = self.folder(job)
        call("figure6", folder, self.held_out(job), "-o", folder / "figure6",
             "--text", MODEL, "--clips", self.scale.held_out, "--device", self.device)
        table = (folder / "figure6" / "figure6.csv").read_text(encoding="utf-8")
        keep(self.figure6(job), table.replace(str(folder), job.name).encode())

    def sample(self, job: Job) -> None:
        """Sample videos and judge them, when the arm wants that and there are weights for it."""
        for when in job.arm.sampled:
            step = job.steps(self.scale, when)
            kept = kept_weights(self.folder(job), step).exists()
            if kept or when == END:
                weights = ("--step", step) if kept else ()
                keep(self.sampled(job, when), self._sample(job, when, weights))

    def keep_curve(self, job: Job, about: Mapping[str, object] | None = None) -> None:
        """Keep the learning curve of a run that is trained, and notes that say `about` it."""
        folder = self.folder(job)
        seconds = [line["seconds"] for line in read_log(folder / "log.jsonl")]
        notes = {"settings": json.loads((folder / "training.json").read_text()),
                 "seconds_per_step": round(median(seconds), 3), **(about or {})}
        keep(self.results / f"{job.name}.json", json.dumps(notes, indent=1).encode() + b"\n")
        keep(self.result(job), compressed(read_probe_table(folder / PROBE_TABLE)))

    def keep_partial(self, job: Job, curve: bytes) -> None:
        """Keep what there is of the curve of a run that did not end."""
        keep(self.results / "partial" / f"{job.name}.csv.gz", curve)

    def folder(self, job: Job) -> Path:
        return self.work / "runs" / job.name

    def _sample(self, job: Job, when: str, weights: Sequence[object]) -> bytes:
        """Sample a video for every pair; the scores as a table."""
        model, videos = (self.folder(job) / f"{name}-{when}" for name in ("model", "eval"))
        if not model.exists():
            call("bundle", self.folder(job), MODEL, "-o", model, "--steps", self.scale.sampling,
                 "--guidance", 2.5, *weights)
        call("scenes", "eval", model, "-o", videos, "--pairs", self.scale.pairs,
             *job.experiment.scenes_options)
        return compressed(read_run(videos))

    def prepare(self, job: Job) -> None:
        """Make what a run reads, if it is not there. Not to be called by two threads at once."""
        for folder, words in self.inputs(job).items():
            self.prepare_shards(folder, words)
        if job.experiment.copier and not self.copier(job).exists():
            run = self.copier(job).with_name(f"{self.copier(job).name}-run")
            call("train", *self.copier_words(job, run))
            call("bundle", run, MODEL, "-o", self.copier(job), "--precision", "float32")

    def is_prepared(self, job: Job) -> bool:
        """Whether everything is there that `prepare` makes."""
        made = [folder / "look.png" for folder in self.inputs(job)]
        made += [self.copier(job)] if job.experiment.copier else []
        return all(path.exists() for path in made)

    def prepare_shards(self, folder: Path, words: Sequence[object]) -> None:
        """Run `prepare` with these words, if its folder is not finished."""
        if not (folder / "look.png").exists():
            call("prepare", "scenes", "-o", folder, "--model", MODEL, "--workers", self.workers,
                 "--device", self.device, *words)

    def inputs(self, job: Job) -> dict[Path, tuple[object, ...]]:
        """The folders of clips that a run and its measurements read, with the words for `prepare`.

        What moves in the clips of Figure 6 is always told by their flow.
        """
        e, scale = job.experiment, self.scale
        made = {self.shards(job): (*MAPS[job.arm.maps], "--clips", scale.clips),
                self.held_out(job): (*MAPS[job.held_out_maps], *HELD_OUT,
                                     "--clips", scale.held_out)}
        if e.copier:
            made[self.static(job)] = (*MAPS["flow"], "--static", "--clips", scale.clips)
        return {folder: (*e.scenes_options, *words) for folder, words in made.items()}

    def shards(self, job: Job) -> Path:
        """The clips that a run is trained on."""
        return self._clips(job.experiment, job.arm.maps)

    def held_out(self, job: Job) -> Path:
        """Clips of Figure 6."""
        return self._clips(job.experiment, job.held_out_maps, *HELD_OUT)

    def static(self, job: Job) -> Path:
        """The clips that a copier is trained on: nothing moves in them."""
        return self._clips(job.experiment, "flow", "--static")

    def _clips(self, experiment: Experiment, *words: str) -> Path:
        size = () if experiment.size == 64 else (str(experiment.size),)
        parts = (experiment.world, *size, *(word.strip("-") for word in words))
        return self.work / "shards" / "-".join(parts)

    def copier(self, job: Job) -> Path:
        """A network that has learnt to copy the image, as a model folder."""
        return self.work / "copiers" / f"{job.experiment.world}-seed{job.seed}"

    def copier_words(self, job: Job, run: Path) -> list[str]:
        """The words of `train` for a copier."""
        return self._words(self.static(job), run, job.seed, PLAIN.settings,
                           self.scale.copier_steps, self.scale.probe_every, None, ())

    def train_words(self, job: Job) -> list[str]:
        """The words of `train` for a run."""
        e, scale = job.experiment, self.scale
        return self._words(self.shards(job), self.folder(job), job.seed,
                           (*e.settings, *job.arm.settings), job.steps(scale),
                           e.probe_every(scale), self.copier(job) if e.copier else None,
                           job.arm.options)

    def _words(self, shards: Path, folder: Path, seed: int, settings: Sequence[str], steps: int,
               every: int, start: Path | None, options: Sequence[str]) -> list[str]:
        network = () if start else (f"unet.block_out_channels={self.scale.channels}",
                                    f"unet.head_width={self.scale.head_width}")
        changed = (*network, f"steps={steps}", f"warmup={self.scale.warmup}", "cooldown=0",
                   "ema_decay=0.98", f"save_every={every}", "sample_every=1000000",
                   f"seed={seed}", *settings)
        words = (shards, "-o", folder, "--model", start or MODEL, "--preset", "scenes",
                 *(() if start else ("--fresh",)), *options, "--samples", 0,
                 "--device", self.device, *(x for setting in changed for x in ("--set", setting)),
                 "--probe-every", every, "--probe-pairs", self.scale.pairs,
                 "--keep-every", max(1, steps // 4))
        return [str(word) for word in words]


def call(*arguments: object) -> None:
    """Run a motifocal command in this process. Raises SystemExit where it ends with another code.

    One process a run: starting one for each command would cost more than a small run itself.
    """
    try:
        cli.main([str(argument) for argument in arguments], standalone_mode=False)
    except SystemExit as end:
        if end.code:
            raise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--only", action="append", default=[], metavar="EXPERIMENT",
                        choices=EVERY, help=f"repeatable: {', '.join(EVERY)}")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "ablations",
                        help="shards, checkpoints, logs")
    parser.add_argument("--results", type=Path, help="curves  [default: runs/ablations, or quick/ "
                        "in the work folder]")
    parser.add_argument("--device", choices=["cpu", "auto"], default="cpu",
                        help="auto: all runs side by side where there is a GPU")
    parser.add_argument("--quick", action="store_true", help="a small copy of two experiments")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)  # of a process that this starts
    given = parser.parse_args()
    work = given.work / "quick" if given.quick else given.work
    results = given.results or (work / "results" if given.quick else ROOT / "runs" / "ablations")
    runner = Runner(work, results, QUICK if given.quick else FULL, given.device)
    on_gpu = given.device == "auto" and torch.cuda.is_available()
    everything = plan(runner.scale, given.only or (EVERY if on_gpu and not given.quick else ()))
    if given.part is not None:
        part, name = given.part
        return do_part(runner, part, next(job for job in everything if job.name == name))
    jobs = [job for job in everything if not runner.is_done(job)]
    print(f"{len(jobs)} runs to do, {len(everything) - len(jobs)} done", flush=True)
    if on_gpu or (given.device == "auto" and given.quick):
        from ablations_gpu import train_side_by_side

        sys.exit(not train_side_by_side(runner, everything, MODEL, partial(begin, work)))
    with ThreadPoolExecutor(given.jobs) as pool:
        # Data is prepared by one process after the other: runs share it.
        running = [pool.submit(begin, work, "do", job.name) for job in jobs
                   if runner.is_prepared(job) or begin(work, "prepare", job.name)]
    sys.exit(len(running) < len(jobs) or not all(future.result() for future in running))


def do_part(runner: Runner, part: str, job: Job) -> None:
    """Do one part of a job; `shards:NAME` is the folder of clips of that name."""
    part, _, name = part.partition(":")
    if part == "shards":
        wide = replace(runner, workers=max(1, (os.cpu_count() or 1) // 3))
        folder = runner.work / "shards" / name
        wide.prepare_shards(folder, runner.inputs(job)[folder])
    elif part == "probe-set":
        from ablations_inputs import prepare_probe_set

        prepare_probe_set(runner, job, MODEL)
    else:
        {"prepare": runner.prepare, "do": runner.do, "sample": runner.sample,
         "figure6": replace(runner, device="cpu").measure}[part](job)


def begin(work: Path, part: str, name: str) -> bool:
    """Do a part of a job in a process of its own, with one thread; True where it ended well.

    It gives way to others: on a GPU one thread launches the steps of all runs.
    """
    log = work / "logs" / f"{name.replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if part == "do":
        print(f"{name}: begun", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with log.open("a") as file:
        words = ["nice", "-n", "5", sys.executable, __file__, *sys.argv[1:], "--part", part, name]
        done = subprocess.run(words, cwd=ROOT, env=environment, stdout=file,
                              stderr=subprocess.STDOUT)
    if done.returncode:
        print(f"{name}: {part} ended with code {done.returncode}, see {log}", flush=True)
    elif part in ("do", "figure6", "sample"):
        print(f"{name}: {'' if part == 'do' else f'{part} '}done", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
