"""What runs that are trained side by side read: clips, and what their probes are judged against."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ablations_plan import WORLDS, Experiment, Job
from replay_probe import load_probe_set, save_probe_set

from motifocal.cli import train as train_command
from motifocal.files.atomic import replacing
from motifocal.scenes.evaluation.evaluate import EvalPair, eval_pairs
from motifocal.scenes.variant import SceneVariant
from motifocal.training.measurement.probe import ProbeSet, encode_probe_set
from motifocal.training.presets import TrainingSettings
from motifocal.training.run_folder import load_vae

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


def without_start(runner: Runner, words: list[str], model: Path) -> list[str]:
    """The words of a run that starts from a copier, with the network that the copier has."""
    if "--fresh" in words:
        return words
    at = words.index("--model")
    network = (f"unet.block_out_channels={runner.scale.channels}",
               f"unet.head_width={runner.scale.head_width}")
    more = [word for setting in network for word in ("--set", setting)]
    return [*words[: at + 1], str(model), *words[at + 2 :], "--fresh", *more]


def prepare_probe_set(runner: Runner, job: Job, model: Path) -> Path:
    """Encode what the pairs of a job are judged against, if it is not there."""
    e, told = job.experiment, "-score" if job.arm.maps == "score" else ""
    path = runner.work / "probe-sets" / f"{e.world}-{e.size}{told}.pt"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        pairs = pairs_of(e, runner.scale.pairs)
        vae: Any = load_vae(model)
        if runner.device != "cpu" and torch.cuda.is_available():
            vae.to("cuda")
        with replacing(path) as temporary:
            words = without_start(runner, runner.train_words(job), model)
            config = settings_of(words).unet
            save_probe_set(temporary, encode_probe_set(pairs, vae, config=config))
    return path


def load_pairs(runner: Runner, job: Job, model: Path) -> ProbeSet:
    """The pairs that a job is probed on, with what they are judged against."""
    pairs = pairs_of(job.experiment, runner.scale.pairs)
    return load_probe_set(prepare_probe_set(runner, job, model), pairs)


def ask_for_inputs(runner: Runner, groups: list[Batch], pool: Executor, begin: Begin) -> None:
    """Have everything prepared that the groups need, once, in the order in which runs need it."""
    asked: dict[object, Future[bool]] = {}
    for batch in groups:
        for job in batch.jobs:
            e = job.experiment
            parts: dict[object, str] = {(e.world, e.size, job.arm.maps == "score"): "probe-set"}
            parts |= {folder: f"shards:{folder.name}" for folder in runner.inputs(job)}
            for key, part in parts.items():
                if key not in asked:
                    asked[key] = pool.submit(begin, part, job.name)
                if asked[key] not in batch.needs:
                    batch.needs.append(asked[key])
