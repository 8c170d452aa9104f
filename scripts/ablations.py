"""Train the arms of the ablations in docs/proof.md: one process a run, resumed by running it again.

    python scripts/ablations.py --jobs 2            every run that has no result yet
    python scripts/ablations.py --only still --jobs 1
    python scripts/ablations.py --quick             a small copy of everything, in minutes

A run's result is its learning curve on 320 pairs, runs/ablations/EXPERIMENT/ARM-seedN.csv.gz, small
enough to be part of the project; a run that has one is not trained again. Everything else (shards,
checkpoints, logs) lies in the work folder. Arms of one seed share first weights, order of the data,
noise and dropout.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ablations_plan import (
    EXPERIMENTS,
    FULL,
    HELD_OUT,
    MAPS,
    PLAIN,
    QUICK,
    WORLDS,
    Job,
    Scale,
    plan,
)

from motifocal.cli import cli
from motifocal.files.atomic import replacing
from motifocal.scenes.evaluation.arms import read_run
from motifocal.scenes.evaluation.probe_table import PROBE_TABLE, compressed, read_probe_table

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "motifocal" / "bundled"  # its autoencoder and text encoder serve every run

@dataclass(frozen=True)
class Runner:
    """Where everything lies, and at which scale it is made."""

    work: Path
    results: Path
    scale: Scale
    device: str

    def result(self, job: Job) -> Path:
        return self.results / f"{job.name}.csv.gz"

    def notes(self, job: Job) -> Path:
        return self.results / f"{job.name}.json"

    def figure6(self, job: Job) -> Path:
        return self.results / f"{job.name}.figure6.csv"

    def sampled(self, job: Job) -> Path:
        return self.results / f"{job.name}.sampled.csv.gz"

    def do(self, job: Job) -> None:
        """Train a run to its end, measure it, keep the results."""
        folder = self.work / "runs" / job.name
        world = WORLDS[job.experiment.world]
        self._train(self._shards(job.experiment.world, job.arm.maps), folder, job.seed,
                    (*job.experiment.settings, *job.arm.settings), self.scale.steps,
                    self._copier(job.experiment.world, job.seed) if job.experiment.copier else None,
                    job.arm.options)
        seconds = [json.loads(line)["seconds"] for line in (folder / "log.jsonl").open()]
        about = {"settings": json.loads((folder / "training.json").read_text()),
                 "seconds_per_step": round(median(seconds), 3)}
        call("figure6", folder, self._held_out(job), "-o", folder / "figure6",
             "--text", MODEL, "--clips", self.scale.held_out)
        table = (folder / "figure6" / "figure6.csv").read_text(encoding="utf-8")
        keep(self.figure6(job), table.replace(str(folder), job.name).encode())
        if job.arm.sampled:
            keep(self.sampled(job), self._sample(folder, world))
        keep(self.notes(job), json.dumps(about, indent=1).encode() + b"\n")
        keep(self.result(job), compressed(read_probe_table(folder / PROBE_TABLE)))

    def _sample(self, folder: Path, world: Sequence[str]) -> bytes:
        """Sample a video for every pair with the final weights; the scores as a table."""
        if not (folder / "model").exists():
            call("bundle", folder, MODEL, "-o", folder / "model", "--steps", self.scale.sampling,
                 "--guidance", 2.5)
        call("scenes", "eval", folder / "model", "-o", folder / "eval", "--pairs",
             self.scale.pairs, *world)
        return compressed(read_run(folder / "eval"))

    def prepare(self, job: Job) -> None:
        """Make what a run reads, if it is not there. Not to be called by two threads at once."""
        world = job.experiment.world
        self._shards(world, job.arm.maps)
        self._held_out(job)
        if job.experiment.copier:
            self._copier(world, job.seed)

    def _held_out(self, job: Job) -> Path:
        """Clips of Figure 6; what moves in them is always told by their flow."""
        maps = "score" if job.arm.maps == "score" else "flow"
        return self._shards(job.experiment.world, maps, *HELD_OUT)

    def _shards(self, world: str, maps: str, *more: str) -> Path:
        folder = self.work / "shards" / "-".join((world, maps, *(m.strip("-") for m in more)))
        if not (folder / "look.png").exists():
            clips = self.scale.held_out if more == HELD_OUT else self.scale.clips
            call("prepare", "scenes", "-o", folder, "--model", MODEL, "--size", 64, "--clips",
                 clips, "--workers", 1, *WORLDS[world], *MAPS[maps], *more)
        return folder

    def _copier(self, world: str, seed: int) -> Path:
        """A network that has learnt to copy the image, as a model folder."""
        folder = self.work / "copiers" / f"{world}-seed{seed}"
        if not folder.exists():
            run = folder.with_name(f"{folder.name}-run")
            self._train(self._shards(world, "flow", "--static"), run, seed, PLAIN.settings,
                        self.scale.copier_steps, None)
            call("bundle", run, MODEL, "-o", folder, "--precision", "float32")
        return folder

    def _train(self, shards: Path, folder: Path, seed: int, settings: Sequence[str], steps: int,
               start: Path | None, options: Sequence[str] = ()) -> None:
        network = () if start else (f"unet.block_out_channels={self.scale.channels}",
                                    f"unet.head_width={self.scale.head_width}")
        changed = (*network, f"steps={steps}", f"warmup={self.scale.warmup}", "cooldown=0",
                   "ema_decay=0.98", f"save_every={self.scale.probe_every}", "sample_every=1000000",
                   f"seed={seed}", *settings)
        call("train", shards, "-o", folder, "--model", start or MODEL, "--preset", "scenes",
             *(() if start else ("--fresh",)), *options, "--samples", 0,
             "--device", self.device, *(x for setting in changed for x in ("--set", setting)),
             "--probe-every", self.scale.probe_every, "--probe-pairs", self.scale.pairs,
             "--keep-every", max(1, self.scale.steps // 4))


def call(*arguments: object) -> None:
    """Run a motifocal command in this process. Raises SystemExit where it ends with another code.

    One process a run: starting one for each command would cost more than a small run itself.
    """
    try:
        cli.main([str(argument) for argument in arguments], standalone_mode=False)
    except SystemExit as end:
        if end.code:
            raise


def keep(path: Path, data: bytes) -> None:
    """Write a result whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--only", action="append", default=[], metavar="EXPERIMENT",
                        choices=[e.key for e in EXPERIMENTS], help="repeatable")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "ablations",
                        help="shards, checkpoints, logs")
    parser.add_argument("--results", type=Path, help="curves  [default: runs/ablations, or quick/ "
                        "in the work folder]")
    parser.add_argument("--device", choices=["cpu", "auto"], default="cpu")
    parser.add_argument("--quick", action="store_true", help="a small copy of everything")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)  # of a process that this starts
    given = parser.parse_args()
    work = given.work / "quick" if given.quick else given.work
    results = given.results or (work / "results" if given.quick else ROOT / "runs" / "ablations")
    runner = Runner(work, results, QUICK if given.quick else FULL, given.device)
    everything = plan(runner.scale, given.only)
    if given.part is not None:
        part, name = given.part
        job = next(job for job in everything if job.name == name)
        runner.prepare(job) if part == "prepare" else runner.do(job)
        return
    jobs = [job for job in everything if not runner.result(job).exists()]
    print(f"{len(jobs)} runs to do, {len(everything) - len(jobs)} done", flush=True)
    with ThreadPoolExecutor(given.jobs) as pool:
        # Data is prepared by one process after the other: runs share it.
        running = [pool.submit(begin, "do", work, job) for job in jobs
                   if begin("prepare", work, job)]
    sys.exit(len(running) < len(jobs) or not all(future.result() for future in running))


def begin(part: str, work: Path, job: Job) -> bool:
    """Prepare or do a job in a process of its own, with one thread; True where it ended well."""
    log = work / "logs" / f"{job.name.replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if part == "do":
        print(f"{job.name}: begun", flush=True)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with log.open("a") as file:
        done = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--part", part, job.name],
                              cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
    if done.returncode:
        print(f"{job.name}: ended with code {done.returncode}, see {log}", flush=True)
    elif part == "do":
        print(f"{job.name}: done", flush=True)
    return done.returncode == 0


if __name__ == "__main__":
    main()
