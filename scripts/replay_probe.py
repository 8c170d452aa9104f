"""Points of the learning curves of replayed runs: all pairs in one recorded forward pass.

What is judged is what `training.measurement.probe` judges: the guess at t = 999 against the true
clips of every prompt, in the moving region. The distances are computed on the device, and are read
only when they are there, so that no run waits for its points.

Letters: P pairs, K candidates of the image that has most, C channels, F frames, h w latents.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import reduce
from replay_run import CAPTURE, Lane, ReplayRun
from torch import Tensor

from motifocal.models.image.inputs import image_inputs
from motifocal.models.unet import TI2VUNet
from motifocal.scenes.evaluation.evaluate import EvalPair
from motifocal.scenes.evaluation.probe_table import ProbeRow
from motifocal.scenes.render import FPS
from motifocal.training.loop import TextFeatures
from motifocal.training.measurement.probe import (
    NOISIEST,
    ProbeImage,
    ProbeSet,
    judge_distances,
    pair_noise,
)
from motifocal.training.measurement.probe_curve import table_rows

PART = 64  # pairs


def save_probe_set(path: Path, probe_set: ProbeSet) -> None:
    """Write the encoded images; the pairs are drawn anew when they are read."""
    torch.save({key: vars(image) for key, image in probe_set.images.items()}, path)


def load_probe_set(path: Path, pairs: tuple[EvalPair, ...]) -> ProbeSet:
    """Read what `save_probe_set` wrote."""
    images = torch.load(path, weights_only=True)
    return ProbeSet(pairs, {key: ProbeImage(**image) for key, image in images.items()})


@dataclass
class Point:
    """A probe that is under way: the distances (P, K) arrive with the event."""

    run: ReplayRun
    step: int
    distances: Tensor
    arrived: Any


@dataclass
class ReplayProbe:
    """Probes runs of one network on one kind of scenes."""

    probe_set: ProbeSet
    network: TI2VUNet
    lane: Lane
    candidates: Tensor  # (P, K, C, F, h, w), nan where an image has fewer
    region: Tensor  # (P, F, h, w), sums to 1
    of_static: np.ndarray  # (P, K)
    inputs: dict[str, Tensor]
    run: ReplayRun  # whose schedule says what the guess is
    result: Tensor | None = None
    graph: Any = None
    waiting: list[Point] = field(default_factory=list)

    @classmethod
    def prepare(cls, probe_set: ProbeSet, run: ReplayRun, text: TextFeatures, lane: Lane
                ) -> ReplayProbe:
        """Bring all that a probe reads to the device of `run`, and record the forward pass."""
        device, config = run.clips.latents.device, run.run.settings.unet
        images = [probe_set.images[pair.image_id] for pair in probe_set.pairs]
        most = max(len(image.candidates) for image in images)
        shape = images[0].candidates.shape[1:]
        candidates = torch.full((len(images), most, *shape), torch.nan)
        for row, image in zip(candidates, images, strict=True):
            row[: len(image.candidates)] = image.candidates
        region = torch.stack([image.region for image in images]).double()
        region /= region.sum((1, 2, 3), keepdim=True)
        first = torch.stack([image.candidates[-1, :, 0] for image in images]).to(device)
        known = [_stacked([getattr(image, name) for image in images], device)
                 for name in ("tokens", "score", "mask")]
        noise = torch.stack([pair_noise(pair, shape, 0) for pair in probe_set.pairs]).to(device)
        count = len(images)
        inputs = {"sample": noise,
                  "timestep": torch.full((count,), NOISIEST, device=device),
                  "encoder_hidden_states": text([p.prompt for p in probe_set.pairs]).to(device),
                  "fps": torch.full((count,), FPS, device=device),
                  **image_inputs(config, first, *known)}
        network = TI2VUNet.build(config).requires_grad_(False).eval().to(device)
        static = torch.stack([image.candidates[-1] for image in images])
        made = cls(probe_set, network, lane, candidates.to(device), region.to(device),
                   np.empty(0), inputs, run)
        made.of_static = made._distances(static.to(device)).cpu().numpy()
        if device.type == "cuda":
            made._record()
        return made

    @torch.no_grad()
    def _distances(self, guess: Tensor) -> Tensor:
        """Mean squared distances (P, K) to the candidates inside the region."""
        rows = [reduce((self.candidates[:, k] - guess).double().square(), "p c f h w -> p f h w",
                       "mean") * self.region for k in range(self.candidates.shape[1])]
        return torch.stack([row.sum((1, 2, 3)) for row in rows], 1)

    @torch.no_grad()
    def _guess(self) -> Tensor:
        """Distances (P, K) of what the network guesses. A part of the pairs at a time: kernels of
        attention take no more than 65 535 sequences, and every location in time is one."""
        parts = []
        for begin in range(0, len(self.probe_set.pairs), PART):
            given = {name: x[begin : begin + PART] for name, x in self.inputs.items()}
            clean = self.run.schedule.x0_from(self.network(**given), given["sample"],
                                              given["timestep"])
            parts.append(clean.float())
        return self._distances(torch.cat(parts))

    def _record(self) -> None:
        torch.cuda.synchronize()
        with torch.cuda.stream(self.lane.stream):
            self._guess()
        torch.cuda.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, pool=self.lane.pool, stream=self.lane.stream,
                              capture_error_mode=CAPTURE):
            self.result = self._guess()

    @torch.no_grad()
    def begin(self, run: ReplayRun) -> None:
        """Probe the averaged weights of a run where it stands; its next step waits for the copy."""
        weights = list(self.network.parameters())
        if self.graph is None:
            torch._foreach_copy_(weights, run.averages)
            self.waiting.append(Point(run, run.run.step, self._guess(), None))
            return
        with torch.cuda.stream(self.lane.stream):
            run.done.wait()
            torch._foreach_copy_(weights, run.averages)
            copied = torch.cuda.Event()
            copied.record()
            self.graph.replay()
            assert self.result is not None
            distances = torch.empty(self.result.shape, dtype=self.result.dtype, pin_memory=True)
            distances.copy_(self.result, non_blocking=True)
            arrived = torch.cuda.Event()
            arrived.record()
        run.lane.stream.wait_event(copied)
        self.waiting.append(Point(run, run.run.step, distances, arrived))

    def finish(self, *, wait: bool = False) -> None:
        """Give the points that have arrived to their runs; with `wait` all of them."""
        there = [p for p in self.waiting if wait or p.arrived is None or p.arrived.query()]
        for point in there:
            if point.arrived is not None:
                point.arrived.synchronize()
            point.run.points += self._rows(point)
            self.waiting.remove(point)

    def _rows(self, point: Point) -> list[ProbeRow]:
        scores = []
        for pair, row, static in zip(self.probe_set.pairs, point.distances.cpu().numpy(),
                                     self.of_static, strict=True):
            there = np.isfinite(static)
            scores.append(judge_distances(row[there], static[there], pair.action))
        return table_rows(point.step, self.probe_set, scores)


def _stacked(values: list[Tensor | float | None], device: torch.device) -> Tensor | None:
    known = [torch.as_tensor(value) for value in values if value is not None]
    return torch.stack(known).float().to(device) if len(known) == len(values) else None
