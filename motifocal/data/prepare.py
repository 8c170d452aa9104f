"""Prepare clips with captions as shards on disk: decode, flow, heatmap, latents, once.

Letters: F frames, F' latent frames, H W pixels, h w latents.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch.utils.data import DataLoader, Dataset, Subset
from transformers import CLIPVisionModelWithProjection

from motifocal.data.manifest import MANIFEST, read_manifest
from motifocal.data.preparing.captioned_clip import CaptionedClip
from motifocal.data.preparing.written import WrittenShards
from motifocal.data.shard_file import ShardClip, write_shard
from motifocal.data.shards import rows_of_shards, shard_path
from motifocal.data.stretches import Draw, write_stretches
from motifocal.data.workers.items import WHOLE, Part
from motifocal.files.json_text import parse_json
from motifocal.files.settings import lock_settings
from motifocal.loss.latent_grid import LatentGeometry, pool
from motifocal.models.autoencoder import encode
from motifocal.models.image.encoder import encode_images
from motifocal.motion.flow import one_opencv_thread
from motifocal.motion.heatmap import Heatmap, HeatmapSettings, settings_from
from motifocal.motion.raft import NETWORKS


class ClipSource(Protocol):
    """Anything with a length whose items are `CaptionedClip`s, the same for the same index."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> CaptionedClip: ...

    def reader(self, index: int) -> Callable[[], CaptionedClip]:
        """Return what gives the clip; it can be sent to another process, and holds no more."""
        ...

    def source_digest(self, index: int) -> str:
        """Hash what the clip is made from: sha256, 64 digits."""
        ...


@dataclass(frozen=True)
class PrepareSettings:
    """What decides the contents of shards besides the clips: written to the manifest.

    With `draw`, the clips are stretches that clips are drawn from.
    """

    heatmap: HeatmapSettings
    geometry: LatentGeometry
    clips_per_shard: int
    frames_per_chunk: int
    motion_score: bool = False
    draw: Draw | None = None


class _ClipsWithHeatmaps(Dataset[dict[str, Any]]):
    """A source's clips with their pooled heatmaps: the part that runs in worker processes."""

    def __init__(self, source: ClipSource, settings: PrepareSettings) -> None:
        self.source, self.settings = source, settings

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return read_item(self.source[index], self.settings)


def read_item(clip: CaptionedClip, settings: PrepareSettings) -> dict[str, Any]:
    """Return all of a clip that `encode_item` needs."""
    # A worker process was forked and cannot use an accelerator that its parent uses: RAFT
    # waits for `encode_item`.
    exact = clip.mask is not None and not settings.motion_score
    here = exact or settings.heatmap.source not in NETWORKS
    return {
        "frames": torch.from_numpy(np.ascontiguousarray(clip.frames)),
        "mask": None if clip.mask is None else torch.from_numpy(clip.mask),
        "motion": _motion(clip, settings) if here else None,
        "caption": clip.caption,
        "fps": clip.fps,
    }


def _motion(
    clip: CaptionedClip, settings: PrepareSettings, device: str | None = None
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Pool the heatmap of a clip to latents, (F', h, w) uint8, 255 is 1; and its motion score.

    Of a stretch, its heatmaps (R, S, h, w) without a score.
    """
    if settings.draw is not None:
        def heatmap(part: slice) -> Heatmap:
            return clip.part(part).heatmap(settings.heatmap, device)

        maps = settings.draw.heatmaps(clip.frames, heatmap)
        return torch.stack([_pooled(of_stride, settings.geometry) for of_stride in maps], 1), None
    map_, score = clip.motion(settings.heatmap, settings.motion_score, device)
    return _pooled(map_, settings.geometry), None if score is None else torch.tensor(score)


def _pooled(heatmap: Heatmap, geometry: LatentGeometry) -> torch.Tensor:
    pooled = pool(torch.from_numpy(heatmap), geometry)[0, 0]
    return (pooled * 255).round().to(torch.uint8)


def prepare(
    source: ClipSource,
    folder: Path,
    autoencoder: AutoencoderKL,
    settings: PrepareSettings,
    *,
    described: dict[str, Any],
    workers: int = 1,
    notify: Callable[[str], None] = lambda sentence: None,
    image_encoder: CLIPVisionModelWithProjection | None = None,
    part: Part = WHOLE,
) -> Iterator[int]:
    """Write the shards that are missing or not as they should be; yields the clips done so far.

    A shard is made anew where it is damaged, or where one of its clips has changed since, and
    `notify` is told so in a sentence. With an `image_encoder` its tokens of first frames are stored
    too. `described` says what the clips are; it is kept in the
    manifest, and a folder whose manifest says something else is refused rather than mixed. Raises
    ValueError for that, and for an empty source.
    """
    plan = plan_shards(source, folder, settings, described=described, notify=notify, part=part,
                       image_tokens=image_encoder is not None)
    missing = [index for job in plan.missing for index in job.indices]
    ahead = 1 if settings.draw else 8  # stretches are long
    loader = DataLoader(Subset(_ClipsWithHeatmaps(source, settings), missing), batch_size=None,
                        num_workers=workers, prefetch_factor=ahead if workers else None,
                        worker_init_fn=_single_thread)
    # A forked process that gives up its parent's threads would wait for them forever.
    with one_opencv_thread():
        items = iter(loader)  # the workers start here
    done = plan.done
    for job in plan.missing:
        clips = [encode_item(next(items), autoencoder, settings, image_encoder)
                 for _ in job.indices]
        write_job(folder, job, clips, settings)
        plan.written.add(job.number, job.digests)
        done += len(clips)
        yield done


@dataclass(frozen=True)
class ShardJob:
    """A shard to be written: its number, and the indices and digests of its clips."""

    number: int
    indices: range
    digests: tuple[str, ...]


@dataclass(frozen=True)
class ShardPlan:
    """The shards to be written, and how many clips are in the others."""

    written: WrittenShards
    missing: tuple[ShardJob, ...]
    done: int


def plan_shards(
    source: ClipSource, folder: Path, settings: PrepareSettings, *, described: dict[str, Any],
    notify: Callable[[str], None], part: Part, image_tokens: bool,
) -> ShardPlan:  # fmt: skip
    """Write the manifest, or compare with it, and tell which shards of a part are missing."""
    if len(source) == 0:
        raise ValueError("there should be at least one clip to prepare, got none")
    if settings.draw and settings.geometry.temporal_stride != 1:
        raise ValueError("stretches should have one latent a frame, got a temporal stride of "
                         f"{settings.geometry.temporal_stride}")
    if settings.draw and (settings.motion_score or image_tokens):
        raise ValueError("stretches should be without motion score and image tokens, which are of "
                         "one window")
    folder.mkdir(parents=True, exist_ok=True)
    _lock(folder, settings, described, len(source))
    rows = rows_of_shards(len(source), settings.clips_per_shard)
    jobs = [ShardJob(number, clips, tuple(source.source_digest(index) for index in clips))
            for number, clips in enumerate(rows) if part.holds(shard_path(folder, number).name)]
    written = WrittenShards(folder, settings.draw, part)
    # Of a bucket this is a request for each thousand shards, rather than two for each.
    states = {path: path.stat() for path in folder.glob("shard-*.safetensors")}
    missing = tuple(job for job in jobs
                    if (state := states.get(shard_path(folder, job.number))) is None
                    or not written.holds(job.number, state, job.digests, notify))
    return ShardPlan(written, missing, sum(len(job.indices) for job in jobs)
                     - sum(len(job.indices) for job in missing))


def write_job(
    folder: Path, job: ShardJob, clips: Sequence[ShardClip], settings: PrepareSettings
) -> None:
    """Write a shard, whole or not at all."""
    write = write_shard if settings.draw is None else write_stretches
    write(shard_path(folder, job.number), clips, job.digests)


def _single_thread(worker: int) -> None:
    """Keep OpenCV to one thread in a worker: it would start one for each core."""
    cv2.setNumThreads(1)


def _lock(
    folder: Path, settings: PrepareSettings, described: dict[str, Any], clips: int
) -> None:
    """Write the manifest, or compare with the one that is there.

    A folder of a version with fewer settings was made with the values that they had then.
    """
    manifest = {
        "clips": clips,
        "clips_per_shard": settings.clips_per_shard,
        "heatmap": vars(settings.heatmap),
        "geometry": settings.geometry.to_json(),
        "source": described,
        **({"drawn": vars(settings.draw)} if settings.draw else {}),
    }
    path = folder / MANIFEST
    if path.exists():
        read_manifest(folder)  # refuses a damaged one
    # Through JSON, which makes tuples lists.
    lock_settings(path, parse_json(json.dumps(manifest, sort_keys=True)), upgrade=_upgraded)


def _upgraded(manifest: dict[str, Any]) -> dict[str, Any]:
    return {**manifest, "heatmap": vars(settings_from(manifest["heatmap"]))}


def encode_item(
    item: dict[str, Any], autoencoder: AutoencoderKL, settings: PrepareSettings,
    image_encoder: CLIPVisionModelWithProjection | None,
) -> ShardClip:  # fmt: skip
    """Encode what a shard holds of one clip."""
    video = item["frames"].permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    latents = encode(autoencoder, video.to(autoencoder.device), settings.frames_per_chunk)
    motion = item["motion"]
    if motion is None:
        mask = None if item["mask"] is None else item["mask"].numpy()
        clip = CaptionedClip(item["frames"].numpy(), item["caption"], item["fps"], mask)
        motion = _motion(clip, settings, str(autoencoder.device))
    tokens = None if image_encoder is None else encode_images(image_encoder, video[:, :, 0])[0]
    return ShardClip(latents[0].float().cpu(), motion[0], torch.tensor(item["fps"]),
                     item["caption"], None if tokens is None else tokens.float().cpu(), motion[1])
