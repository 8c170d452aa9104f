"""Train the runs of the ablations side by side on one GPU: `scripts/ablations.py --device auto`.

Clips are prepared by other processes, kind of scenes by kind; as soon as those of a group of runs
are there, all its runs take their steps together (replay_run.py), and what is trained is measured
by other processes again, as on a machine without a GPU. Long runs begin when no short ones are
left. What each run computes is what
`motifocal train` computes: the same first weights, order of the data, noise and dropout; the order
in which a GPU adds up is not the CPU's, so curves agree, but not bit for bit. A run that was
stopped begins anew.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ablations_plan import WORLDS, Experiment, Job
from replay_inputs import Clips, Feed
from replay_probe import ReplayProbe, load_probe_set, save_probe_set
from replay_run import STREAMS, Lane, ReplayRun, Together

from motifocal.cli import train as train_command
from motifocal.files.atomic import replacing
from motifocal.scenes.evaluation.evaluate import EvalPair, eval_pairs
from motifocal.scenes.variant import SceneVariant
from motifocal.training.inputs import lock_inputs
from motifocal.training.loop import TextFeatures, averaged_unet, start
from motifocal.training.measurement.probe import encode_probe_set
from motifocal.training.presets import TrainingSettings
from motifocal.training.processes import open_accelerator
from motifocal.training.run_folder import load_text, load_vae

if TYPE_CHECKING:
    from ablations import Runner

Begin = Callable[[str, str], bool]  # does a part of a job in a process of its own


@dataclass
class Batch:
    """Runs that begin together once their clips are there: one kind of scenes, size and length."""

    jobs: list[Job]
    needs: list[Future[bool]] = field(default_factory=list)

    @property
    def experiment(self) -> Experiment:
        return self.jobs[0].experiment

    def ready(self) -> bool:
        return all(need.done() for need in self.needs)


def batches(jobs: Iterable[Job]) -> list[Batch]:
    """Group jobs by what they need, in the order in which they come first."""
    together: dict[tuple[Any, ...], Batch] = {}
    for job in jobs:
        e = job.experiment
        key = (e.world, e.size, e.times, e.copier)
        together.setdefault(key, Batch([])).jobs.append(job)
    return list(together.values())


def settings_of(words: list[str]) -> TrainingSettings:
    """The settings of `motifocal train` with these words."""
    given = train_command.train.make_context("train", list(words)).params
    return train_command._settings(given["model"], given["assignments"], given)


def pairs_of(experiment: Experiment, count: int) -> tuple[EvalPair, ...]:
    """The pairs that the runs of an experiment are probed on."""
    words = WORLDS[experiment.world]
    options = dict(zip(words[::2], words[1::2], strict=True))
    variant = SceneVariant(background=options.get("--level", "still"),  # type: ignore[arg-type]
                           difficulty=options.get("--difficulty", "standard"),  # type: ignore[arg-type]
                           )
    return tuple(eval_pairs(count, experiment.size, variant))


def prepare_probe_set(runner: Runner, job: Job, model: Path) -> Path:
    """Encode what the pairs of a job are judged against, if it is not there."""
    e, config = job.experiment, settings_of(runner.train_words(job)).unet
    told = "-score" if config.motion_score else ""
    path = runner.work / "probe-sets" / f"{e.world}-{e.size}{told}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pairs = pairs_of(e, runner.scale.pairs)
        vae: Any = load_vae(model)
        if runner.device != "cpu" and torch.cuda.is_available():
            vae.to("cuda")
        with replacing(path) as temporary:
            save_probe_set(temporary, encode_probe_set(pairs, vae, config=config))
    return path


class Trainer:
    """Trains batches of runs on `device`, and hands each run that is done to `measure`."""

    def __init__(self, runner: Runner, model: Path, measure: Callable[[Job], None],
                 device: torch.device) -> None:
        self.runner, self.model, self.measure, self.device = runner, model, measure, device
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
        """
        active: list[tuple[Together, list[Job], float]] = []
        taken, shown = 0, time.monotonic()
        while pending or active:
            for batch in [b for b in pending if b.ready()]:
                shorter = [*(b.experiment.times for b in pending),
                           *(jobs[0].experiment.times for _, jobs, _ in active)]
                if batch.experiment.times > min(shorter):
                    continue
                pending.remove(batch)
                if all(need.result() for need in batch.needs):
                    active.append(self._begin(batch))
            if not active:
                time.sleep(0.2)
            for entry in list(active):
                together, jobs, began = entry
                together.advance()
                taken += len(together.runs)
                self._probe(together, jobs)
                if together.step == together.steps:
                    active.remove(entry)
                    self._end(together, jobs, time.monotonic() - began)
            if (now := time.monotonic()) - shown > 10:
                where = ", ".join(f"{len(t.runs)} at {t.step} of {t.steps}" for t, _, _ in active)
                print(f"{taken / (now - shown):.0f} steps a second; runs: {where or 'none'}",
                      flush=True)
                taken, shown = 0, now

    def _begin(self, batch: Batch) -> tuple[Together, list[Job], float]:
        began = time.monotonic()
        starts = self._copiers(batch) if batch.experiment.copier else {}
        feeds: dict[int, Feed] = {}
        runs = []
        for job in batch.jobs:
            words = self.runner.train_words(job)
            if starts:  # the network comes from memory, of the settings that the folder would have
                words = self._without_start(words)
            runs.append(self._run(job.name, self.runner.shards(job), self.runner.folder(job), words,
                                  feeds, starts.get(job.seed)))
        print(f"{len(runs)} runs of {batch.experiment.scenes} begin, recorded in "
              f"{time.monotonic() - began:.1f} s", flush=True)
        return Together.start(runs), batch.jobs, time.monotonic()

    def _run(self, name: str, shards: Path, folder: Path, words: list[str],
             feeds: dict[int, Feed], unet: Any) -> ReplayRun:
        if shards not in self.clips:
            self.clips[shards] = Clips.load(shards, self.text, self.device)
        clips, settings = self.clips[shards], settings_of(words)
        shutil.rmtree(folder, ignore_errors=True)
        lock_inputs(folder, clips.shards, self.model)
        # Each its own cache: `start` moves the encoder to where it is already.
        text = TextFeatures(self.text.tokenizer, self.text.text_encoder, self.text.cache)
        run = start(folder, clips.shards, text, settings, self.accelerator, deepcopy(unet))
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

    def _without_start(self, words: list[str]) -> list[str]:
        at = words.index("--model")
        network = (f"unet.block_out_channels={self.runner.scale.channels}",
                   f"unet.head_width={self.runner.scale.head_width}")
        more = [word for setting in network for word in ("--set", setting)]
        return [*words[: at + 1], str(self.model), *words[at + 2:], "--fresh", *more]

    def _probe(self, together: Together, jobs: list[Job]) -> None:
        e, scale = jobs[0].experiment, self.runner.scale
        every = e.probe_every(scale)
        due = together.step % every == 0 or together.step == together.steps
        for run, job in zip(together.runs, jobs, strict=True) if due else ():
            config = run.run.settings.unet
            key = (e.world, e.size, config)
            if key not in self.probes:
                pairs = pairs_of(e, scale.pairs)
                probe_set = load_probe_set(prepare_probe_set(self.runner, job, self.model), pairs)
                self.probes[key] = ReplayProbe.prepare(probe_set, run, self.text,
                                                       Lane.on(self.device))
            self.probes[key].begin(run)
        if together.step % 20 == 0:
            for probe in self.probes.values():
                probe.finish()

    def _end(self, together: Together, jobs: list[Job], seconds: float) -> None:
        for probe in self.probes.values():
            probe.finish(wait=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        for run, job in zip(together.runs, jobs, strict=True):
            run.save(seconds / together.steps)
            self.measure(job)
        together.runs.clear()


def train_side_by_side(runner: Runner, jobs: list[Job], model: Path, begin: Begin) -> bool:
    """Prepare, train and measure all jobs; True where every one of them ended well."""
    cores = os.cpu_count() or 1
    wide = replace(runner, workers=max(1, cores // 3))
    measured: list[Future[bool]] = []
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with ThreadPoolExecutor(3) as preparing, ThreadPoolExecutor(max(1, cores // 2)) as measuring:
        # Distinct folders once, in the order in which runs need them.
        asked: dict[object, Future[bool]] = {}
        groups = batches(jobs)
        for batch in groups:
            for job in batch.jobs:
                e = job.experiment
                key: object = (e.world, e.size, job.arm.maps == "score")
                if key not in asked:
                    asked[key] = preparing.submit(begin, "probe-set", job.name)
                batch.needs.append(asked[key])
                for folder in wide.inputs(job):
                    if folder not in asked:
                        asked[folder] = preparing.submit(begin, f"shards:{folder.name}", job.name)
                    if asked[folder] not in batch.needs:
                        batch.needs.append(asked[folder])
        trainer = Trainer(wide, model, lambda job: measured.append(
            measuring.submit(begin, "finish", job.name)), device)
        trainer.train(groups)
        return len(measured) == len(jobs) and all([m.result() for m in measured])
