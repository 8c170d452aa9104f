"""Train batches of runs on one device: record them, step them together, probe them, keep curves."""

from __future__ import annotations

import shutil
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ablations_inputs import Batch, load_pairs, settings_of, without_start
from ablations_plan import Job
from replay_inputs import Clips, Feed
from replay_probe import ReplayProbe
from replay_run import STREAMS, Lane, ReplayRun, Together

from motifocal.scenes.evaluation.probe_table import compressed
from motifocal.training.inputs import lock_inputs
from motifocal.training.loop import averaged_unet, start
from motifocal.training.processes import open_accelerator
from motifocal.training.run_folder import load_text

if TYPE_CHECKING:
    from ablations import Runner


@dataclass
class Group:
    """Jobs whose runs take their steps together, since `began`."""

    together: Together
    jobs: list[Job]
    began: float


class Trainer:
    """Trains batches of runs on `device`, and tells `ended` of each run that is done."""

    def __init__(self, runner: Runner, model: Path, ended: Callable[[Job], None],
                 device: torch.device) -> None:
        self.runner, self.model, self.ended, self.device = runner, model, ended, device
        self.name = torch.cuda.get_device_name() if device.type == "cuda" else "a CPU"
        # Its kernels are planned for every new shape, and sequences here are short.
        torch.backends.cuda.enable_cudnn_sdp(False)
        self.active: list[Group] = []
        self.accelerator = open_accelerator("bf16", device.type == "cpu")
        self.text = load_text(model)
        self.text.text_encoder.requires_grad_(False).to(device).eval()
        self.clips: dict[Path, Clips] = {}
        self.lanes = [Lane.on(device) for _ in range(STREAMS)]
        self.probes: dict[Any, ReplayProbe] = {}
        self.draws = ThreadPoolExecutor(4)
        self.count = 0

    def train(self, pending: list[Batch]) -> None:
        """Train all batches, each from when its clips are there; prints a line every ten seconds.

        A batch that cannot begin is left out, and named.
        """
        taken, shown = 0, time.monotonic()
        while pending or self.active:
            for batch in [b for b in pending if b.ready() and self._is_next(b, pending)]:
                pending.remove(batch)
                self._begin(batch)
            if not self.active:
                time.sleep(0.2)
            for group in list(self.active):
                group.together.advance()
                taken += len(group.jobs)
                self._probe(group)
                if group.together.step == group.together.steps:
                    self.active.remove(group)
                    self._end(group)
            if (now := time.monotonic()) - shown > 10:
                where = ", ".join(f"{len(g.jobs)} at {g.together.step} of {g.together.steps}"
                                  for g in self.active)
                print(f"{taken / (now - shown):.0f} steps a second; runs: {where or 'none'}",
                      flush=True)
                taken, shown = 0, now

    def _is_next(self, batch: Batch, pending: list[Batch]) -> bool:
        """Whether no shorter runs are left."""
        times = [b.experiment.times for b in pending] + [
            g.jobs[0].experiment.times for g in self.active]
        return batch.experiment.times <= min(times)

    def rescue(self) -> None:
        """Keep what there is of the curves of runs that did not end."""
        try:
            for probe in self.probes.values():
                probe.finish(wait=True)
        except RuntimeError as error:  # after a fault of the device nothing arrives any more
            print(f"points that were under way are lost: {error}", flush=True)
        for group in self.active:
            for run, job in zip(group.together.runs, group.jobs, strict=True):
                if run.points:
                    curve = sorted(run.points, key=lambda p: p.step)
                    self.runner.keep_partial(job, compressed(curve))

    def _begin(self, batch: Batch) -> None:
        try:
            if not all(need.result() for need in batch.needs):
                raise RuntimeError("clips could not be prepared")
            runs = self._runs(batch)
        except Exception:  # the other batches go on, and `train_side_by_side` says False
            print(f"runs of {batch.experiment.scenes} are left out:\n{traceback.format_exc()}",
                  flush=True)
            return
        self.active.append(Group(Together.start(runs), batch.jobs, time.monotonic()))

    def _runs(self, batch: Batch) -> list[ReplayRun]:
        began = time.monotonic()
        starts = self._copiers(batch) if batch.experiment.copier else {}
        feeds: dict[int, Feed] = {}
        runs = []
        for job in batch.jobs:
            # A copier comes from memory, with the settings that its folder would have.
            words = without_start(self.runner, self.runner.train_words(job), self.model)
            runs.append(self._run(job.name, self.runner.shards(job), self.runner.folder(job), words,
                                  feeds, starts.get(job.seed)))
        print(f"{len(runs)} runs of {batch.experiment.scenes} begin, recorded in "
              f"{time.monotonic() - began:.1f} s", flush=True)
        return runs

    def _run(self, name: str, shards: Path, folder: Path, words: list[str],
             feeds: dict[int, Feed], unet: Any) -> ReplayRun:
        if shards not in self.clips:
            self.clips[shards] = Clips.load(shards, self.text, self.device)
        clips, settings = self.clips[shards], settings_of(words)
        shutil.rmtree(folder, ignore_errors=True)
        lock_inputs(folder, clips.shards, self.model)
        run = start(folder, clips.shards, self.text, settings, self.accelerator, deepcopy(unet))
        if settings.seed not in feeds:
            feeds[settings.seed] = Feed(settings, clips, self.draws)
        self.count += 1
        return ReplayRun(name, run, clips, feeds[settings.seed],
                         self.lanes[self.count % len(self.lanes)])

    def _copiers(self, batch: Batch) -> dict[int, Any]:
        """Train a copier for each seed; return their averaged networks."""
        feeds: dict[int, Feed] = {}
        runs = {}
        for job in batch.jobs:
            if job.seed not in runs:
                folder = self.runner.copier(job).with_name(f"{self.runner.copier(job).name}-run")
                words = self.runner.copier_words(job, folder)
                runs[job.seed] = self._run(folder.name, self.runner.static(job), folder, words,
                                           feeds, None)
        together = Together.start(list(runs.values()))
        while together.step < together.steps:
            together.advance()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return {seed: averaged_unet(run.run).cpu().requires_grad_(True)
                for seed, run in runs.items()}

    def _probe(self, group: Group) -> None:
        together, e, scale = group.together, group.jobs[0].experiment, self.runner.scale
        due = together.step % e.probe_every(scale) == 0 or together.step == together.steps
        for run, job in zip(together.runs, group.jobs, strict=True) if due else ():
            key = (e.world, e.size, run.run.settings.unet)
            if key not in self.probes:
                probe_set = load_pairs(self.runner, job, self.model)
                self.probes[key] = ReplayProbe.prepare(probe_set, run, self.text,
                                                       Lane.on(self.device, priority=-1))
            self.probes[key].begin(run)
        if together.step % 20 == 0:
            for probe in self.probes.values():
                probe.finish()

    def _end(self, group: Group) -> None:
        """Keep what the runs of a group gave; a run whose loss was not finite is left out."""
        for probe in self.probes.values():
            probe.finish(wait=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        steps = group.together.steps
        for run, job in zip(group.together.runs, group.jobs, strict=True):
            try:
                run.save((time.monotonic() - group.began) / steps)
            except FloatingPointError as error:
                print(error, flush=True)
                continue
            self.runner.keep_curve(job, {"device": self.name, "side_by_side": len(group.jobs)})
            self.ended(job)
        group.together.runs.clear()
