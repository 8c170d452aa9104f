"""What recorded training steps read, at fixed places on the device: clips, and a step's draws."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from motifocal.data.shards import LatentBatch, Shards, indices_of_step
from motifocal.training.checkpoint import mixed_seed
from motifocal.training.loop import TextFeatures
from motifocal.training.optimizer import learning_rate
from motifocal.training.presets import TrainingSettings
from motifocal.training.step import StepNoise, draw_noise


@dataclass(frozen=True)
class Clips:
    """All N clips of a folder of shards on the device, with the features of their captions.

    `features` (U, L, D) are of the distinct captions, `caption` (N,) says which is a clip's, and
    `empty` (1, L, D) are those of no text.
    """

    shards: Shards
    latents: Tensor
    heatmap: Tensor
    fps: Tensor
    motion_score: Tensor | None
    features: Tensor
    caption: Tensor
    empty: Tensor

    @classmethod
    def load(cls, folder: Path, text: TextFeatures, device: torch.device) -> Clips:
        """Read a folder that `prepare` wrote."""
        shards = Shards(folder)
        batch = shards.batch(list(range(len(shards)))).to(device)
        distinct = sorted(set(batch.captions))
        place = {caption: k for k, caption in enumerate(distinct)}
        caption = torch.tensor([place[c] for c in batch.captions], device=device)
        features = torch.cat([text([c]) for c in distinct]).to(device)
        return cls(shards, batch.latents, batch.heatmap, batch.fps, batch.motion_score, features,
                   caption, text([""]).to(device))

    def rows(self, index: Tensor) -> tuple[LatentBatch, Tensor]:
        """Return the clips `index` (B,) without their captions, and the captions' features."""
        score = None if self.motion_score is None else self.motion_score[index]
        batch = LatentBatch(self.latents[index], self.heatmap[index], [], self.fps[index],
                            motion_score=score)
        return batch, self.features[self.caption[index]]


@dataclass(frozen=True)
class Draw:
    """What a step of a seed draws: clips (B,), noise and the like, on the CPU."""

    index: Tensor
    noise: StepNoise

    @classmethod
    def of(cls, settings: TrainingSettings, shape: tuple[int, ...], clips: int, step: int) -> Draw:
        """Draw step `step` as `motifocal train` does."""
        generator = torch.Generator().manual_seed(mixed_seed(settings.seed, step))
        noise = draw_noise((settings.global_batch, *shape), settings, generator)
        index = indices_of_step(step, clips, settings.global_batch, settings.seed)
        return cls(torch.tensor(index), noise)

    def tensors(self) -> list[Tensor]:
        return [self.index, *vars(self.noise).values()]


class Feed:
    """The draws of one seed's next step at fixed places on the device; runs of the seed share them.

    `place` (1,) is the number of the step, `rate` () its rate, `kept` () the share of the moving
    average that stays.
    """

    def __init__(self, settings: TrainingSettings, clips: Clips, pool: Executor) -> None:
        self.settings, self.pool = settings, pool
        self.shape, self.clips = clips.shards.latent_shape, len(clips.shards)
        device = clips.latents.device
        first = Draw.of(settings, self.shape, self.clips, 0)
        self._waiting: Future[Draw] = pool.submit(lambda: first)
        self._tensors = [x.to(device) for x in first.tensors()]
        self._pinned = [[x.pin_memory() for x in first.tensors()] for _ in range(2)
                        ] if device.type == "cuda" else []
        self._copied = [torch.cuda.Event() for _ in self._pinned]
        self.place = torch.zeros(1, dtype=torch.int64, device=device)
        self.rate, self.kept = (torch.zeros((), device=device) for _ in range(2))

    @property
    def index(self) -> Tensor:
        return self._tensors[0]

    @property
    def noise(self) -> StepNoise:
        return StepNoise(*self._tensors[1:])

    def fill(self, step: int, kept: float) -> None:
        """Bring the draws of `step` to the device, in the current stream; draw the next ahead."""
        s = self.settings
        sources = self._waiting.result().tensors()
        self._waiting = self.pool.submit(Draw.of, s, self.shape, self.clips, step + 1)
        if self._pinned:
            turn = step % 2
            self._copied[turn].synchronize()  # the copy two steps ago read these
            for pinned, source in zip(self._pinned[turn], sources, strict=True):
                pinned.copy_(source)
            sources = self._pinned[turn]
        for target, source in zip(self._tensors, sources, strict=True):
            target.copy_(source, non_blocking=True)
        if self._pinned:
            self._copied[step % 2].record()
        self.place.fill_(step)
        self.rate.fill_(rate_of(s, step))
        self.kept.fill_(kept)


def rate_of(settings: TrainingSettings, step: int) -> float:
    """The rate of a step, from 0."""
    return learning_rate(step, peak=settings.learning_rate, warmup=settings.warmup,
                         total=settings.steps, cooldown=settings.cooldown)
