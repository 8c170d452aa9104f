"""Prepare shards on workers: each writes whole shards, with encoders that it loads once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from transformers import CLIPVisionModelWithProjection

from motifocal.data.prepare import (
    ClipSource,
    PrepareSettings,
    ShardJob,
    ShardPlan,
    encode_item,
    read_item,
    write_job,
)
from motifocal.data.preparing.captioned_clip import CaptionedClip
from motifocal.data.workers.items import Workers

Encoders = tuple[AutoencoderKL, CLIPVisionModelWithProjection | None]


@dataclass(frozen=True)
class _Lent:
    """A shard's job with what reads its clips."""

    job: ShardJob
    readers: tuple[Callable[[], CaptionedClip], ...]


@dataclass
class _WriteShard:
    folder: Path
    settings: PrepareSettings
    load: Callable[[], Encoders]
    bfloat16: bool

    @cached_property
    def encoders(self) -> Encoders:
        return self.load()

    def __call__(self, lent: _Lent) -> int:
        autoencoder, tower = self.encoders
        kind = autoencoder.device.type
        with torch.autocast(kind, torch.bfloat16) if self.bfloat16 else nullcontext():
            clips = [encode_item(read_item(read(), self.settings), autoencoder, self.settings,
                                 tower) for read in lent.readers]
        write_job(self.folder, lent.job, clips, self.settings)
        return len(clips)


@dataclass(frozen=True)
class _ReadClip:
    settings: PrepareSettings

    def __call__(self, read: Callable[[], CaptionedClip]) -> None:
        read_item(read(), self.settings)


def prepare_on(
    workers: Workers, source: ClipSource, plan: ShardPlan, folder: Path,
    settings: PrepareSettings, load: Callable[[], Encoders], *, bfloat16: bool = False,
) -> Iterator[int]:  # fmt: skip
    """Write the missing shards of a plan; yields the clips done so far.

    Args:
        load: gives the encoders in a worker; sent there, so a function of a module or a `partial`.
        bfloat16: whether the encoders compute in it.

    Raises ValueError, once all other shards are written, that names the clips which end their
    workers.
    """
    lent = (_Lent(job, tuple(source.reader(index) for index in job.indices))
            for job in plan.missing)
    done, lost = plan.done, []
    for shard in workers.run(_WriteShard(folder, settings, load, bfloat16), lent):
        if shard.result is None:
            lost.append((shard.job, shard.reason))
        else:
            plan.written.add(shard.job.job.number, shard.job.job.digests)
            done += shard.result
            yield done
    if lost:
        raise ValueError("; ".join(_blamed(workers, job, str(reason), settings)
                                   for job, reason in lost))


def _blamed(workers: Workers, lent: _Lent, reason: str, settings: PrepareSettings) -> str:
    """Say which clips of a shard that could not be written cannot be read in a worker."""
    names = {id(read): _name(read, index)
             for read, index in zip(lent.readers, lent.job.indices, strict=True)}
    bad = [f"{names[id(done.job)]}: {done.reason}"
           for done in workers.run(_ReadClip(settings), lent.readers) if done.reason is not None]
    return ", ".join(sorted(bad)) or f"shard {lent.job.number}: {reason}"


def _name(read: Callable[[], CaptionedClip], index: int) -> str:
    video = getattr(read, "video", None)
    return f"clip {index}" if video is None else str(video.name)
