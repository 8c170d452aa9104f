"""A run whose training step is recorded once as a CUDA graph and replayed.

A step of a network of two million parameters is about ten thousand small kernels. Launched one by
one from Python they take longer than they compute; a replayed graph launches them all at once, and
the graphs of several runs overlap on streams of their own. On a CPU the same step is taken
eagerly, which is how tests compare it with `motifocal train`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from replay_inputs import Clips, Feed, rate_of
from replay_optimizer import ReplayOptimizer
from torch import Tensor

from motifocal.files.atomic import write_text
from motifocal.scenes.evaluation.probe_table import PROBE_TABLE, ProbeRow, to_csv
from motifocal.training.checkpoint import save_checkpoint
from motifocal.training.log import TrainingLog
from motifocal.training.loop import Run
from motifocal.training.step import training_step

STREAMS = 24
CAPTURE = "thread_local"  # other threads draw noise meanwhile
LOGGED = ("loss", "diffusion", "motion", "norm")


@dataclass
class Lane:
    """One stream of the device, with the scratch memory of the graphs that run there in turn.

    `anchor` is a graph that keeps the memory alive while no run has one there.
    """

    stream: Any
    pool: Any
    anchor: Any = None

    @classmethod
    def on(cls, device: torch.device, priority: int = 0) -> Lane:
        """A new one, on a stream with this priority; on a CPU there is nothing to hold."""
        if device.type != "cuda":
            return cls(None, None)
        stream, pool = torch.cuda.Stream(priority=priority), torch.cuda.graph_pool_handle()
        anchor, held = torch.cuda.CUDAGraph(), torch.zeros(1, device=device)
        torch.cuda.synchronize()
        with torch.cuda.graph(anchor, pool=pool, stream=stream, capture_error_mode=CAPTURE):
            held.add_(1)
        return cls(stream, pool, (anchor, held))


class ReplayRun:
    """A run of `motifocal train` that takes its steps by replaying a graph.

    `run` is what `training.loop.start` gave. Raises ValueError for a network that draws dropout,
    and for global batches of several micro-batches, which are not recorded.
    """

    def __init__(self, name: str, run: Run, clips: Clips, feed: Feed, lane: Lane) -> None:
        s = run.settings
        if s.unet.temporal_dropout or s.micro_batch != s.global_batch:
            raise ValueError(f"{name} should have no dropout and one micro-batch a step")
        self.name, self.run, self.clips, self.feed, self.lane = name, run, clips, feed, lane
        device = clips.latents.device
        schedule = run.schedule
        self.schedule = replace(schedule, alphas_cumprod=schedule.alphas_cumprod.to(device),
                                scale=schedule.scale.to(device))
        self.network = run.accelerator.unwrap_model(run.unet)
        self.weights = [p for p in self.network.parameters() if p.requires_grad]
        self.averages: list[Tensor] = run.average.shadow_params
        self.optimizer = ReplayOptimizer(s.optimizer, self.network.named_parameters(), feed.rate,
                                         s.weight_decay)
        self.history = torch.zeros(s.steps, len(LOGGED), device=device)
        self.points: list[ProbeRow] = []
        self.graph: Any = None
        self.done: Any = None  # the event of the last replay
        if device.type == "cuda":
            self._record()

    def _step(self) -> None:
        """One optimiser step, as `training.loop` takes it; nothing here waits for the device."""
        s, random = self.run.settings, self.feed.noise
        batch, text = self.clips.rows(self.feed.index)
        loss = training_step(self.run.unet, batch, text, self.clips.empty, random, self.schedule, s)
        loss.total.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(self.weights, s.max_grad_norm)
        self.optimizer.step()
        with torch.no_grad():
            change = torch._foreach_sub(self.weights, self.averages)
            torch._foreach_mul_(change, 1 - self.feed.kept)
            torch._foreach_add_(self.averages, change)
            line = torch.stack([*(x.detach().mean() for x in loss), norm])
            self.history.index_copy_(0, self.feed.place, line[None])

    def _forget_gradients(self) -> None:
        for weight in self.weights:
            weight.grad = None

    def _record(self) -> None:
        """Take one step to set everything up, record the graph, and compare a replay with the step.

        Everything is then as before: the step is undone. The feed holds zeros as rate, so that the
        weights do not move. Raises RuntimeError where the replay differs.
        """
        first = [w.detach().clone() for w in self.weights]
        torch.cuda.synchronize()
        with torch.cuda.stream(self.lane.stream):
            self._forget_gradients()
            self._step()
        torch.cuda.synchronize()
        eager = self.history[0].tolist()
        self._forget_gradients()
        self._restore(first)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=self.lane.pool, stream=self.lane.stream,
                              capture_error_mode=CAPTURE):
            self._step()
        self._forget_gradients()  # else they would hold the lane's memory
        with torch.cuda.stream(self.lane.stream):
            self.graph.replay()
        torch.cuda.synchronize()
        replayed = self.history[0].tolist()
        if not all(math.isclose(x, y, rel_tol=0.03, abs_tol=1e-4)
                   for x, y in zip(eager, replayed, strict=True)):
            raise RuntimeError(f"{self.name}: the recorded step should give {LOGGED} of {eager}, "
                               f"got {replayed}")
        self._restore(first)

    @torch.no_grad()
    def _restore(self, weights: list[Tensor]) -> None:
        """Go back to these weights, as if no step had been taken."""
        torch._foreach_copy_(self.weights, weights)
        torch._foreach_copy_(self.averages, weights)
        self.optimizer.reset()
        torch.cuda.synchronize()  # replays are on other streams

    def advance(self, filled: Any) -> None:
        """Take the step that the feed holds, after the event `filled`."""
        if self.graph is None:
            self._forget_gradients()
            self._step()
        else:
            with torch.cuda.stream(self.lane.stream):
                filled.wait()
                self.graph.replay()
                self.done = torch.cuda.Event()
                self.done.record()
        self.run.step += 1

    def save(self, seconds: float) -> None:
        """Write log, learning curve and a checkpoint, as a run of the command has them.

        `seconds` is what a step took. The optimizer's state is left out of the checkpoint: nothing
        goes on from here. Raises FloatingPointError where a loss was not finite.
        """
        folder, step, average = self.run.folder, self.run.step, self.run.average
        with TrainingLog(folder / "log.jsonl", 0) as log:
            for number, values in enumerate(self.history[:step].tolist(), 1):
                if not all(map(math.isfinite, values)):
                    raise FloatingPointError(f"{self.name}: loss not finite at step {number}")
                log.write({"step": number, **dict(zip(LOGGED, values, strict=True)),
                           "rate": rate_of(self.run.settings, number - 1), "seconds": seconds})
        write_text(folder / PROBE_TABLE, to_csv(sorted(self.points, key=lambda p: p.step)))
        average.optimization_step = step
        save_checkpoint(folder / "checkpoints", step, {
            "unet": self.network.state_dict(), "average": average.state_dict(), "optimizer": {}})


@dataclass
class Together:
    """Runs that take the same steps at the same time; those of one seed share their draws."""

    runs: list[ReplayRun]
    feeds: list[Feed]
    steps: int
    step: int = 0
    stream: Any = None

    @classmethod
    def start(cls, runs: Sequence[ReplayRun]) -> Together:
        feeds = list({id(run.feed): run.feed for run in runs}.values())
        cuda = runs[0].graph is not None
        return cls(list(runs), feeds, runs[0].run.settings.steps,
                   stream=torch.cuda.Stream(priority=-1) if cuda else None)

    def advance(self) -> None:
        """Bring the draws of the next step to the device, and take it with every run."""
        kept = self.runs[0].run.average.get_decay(self.step + 1)
        if self.stream is None:
            for feed in self.feeds:
                feed.fill(self.step, kept)
            filled = None
        else:
            with torch.cuda.stream(self.stream):
                for run in self.runs:
                    if run.done is not None:
                        run.done.wait()  # it has read the draws of its last step
                for feed in self.feeds:
                    feed.fill(self.step, kept)
                filled = torch.cuda.Event()
                filled.record()
        for run in self.runs:
            run.advance(filled)
        self.step += 1

