"""Clips with captions become shards on disk: latents, pooled heatmaps, captions, frame rates.

Letters: N clips in a shard, F frames, F' latent frames, C channels, H W pixels, h w latents.
A shard is one safetensors file (latents float16, heatmaps uint8, fps float32) whose header holds
the captions, so that a training reads any clip without decoding or encoding anything twice.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from safetensors import safe_open
from safetensors.torch import save
from torch.utils.data import DataLoader, Dataset, Subset

from motifocal.files import replacing, write_text
from motifocal.geometry import LatentGeometry, pool
from motifocal.heatmap import HeatmapSettings, clip_heatmap, settings_from
from motifocal.models.autoencoder import encode
from motifocal.raft import NETWORKS

MANIFEST = "prepared.json"


@dataclass(frozen=True)
class CaptionedClip:
    """What a source gives for one index: frames (F, H, W, 3) uint8, a caption, frames a second."""

    frames: npt.NDArray[np.uint8]
    caption: str
    fps: float


class ClipSource(Protocol):
    """Anything with a length whose items are `CaptionedClip`s, the same for the same index."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> CaptionedClip: ...


@dataclass(frozen=True)
class PrepareSettings:
    """What decides the contents of shards besides the clips: written to the manifest."""

    heatmap: HeatmapSettings
    geometry: LatentGeometry
    clips_per_shard: int
    frames_per_chunk: int


class _Weighted(Dataset[dict[str, Any]]):
    """A source's clips with their pooled heatmaps: the part that runs in worker processes."""

    def __init__(self, source: ClipSource, settings: PrepareSettings) -> None:
        self.source, self.settings = source, settings

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        clip = self.source[index]
        # A worker process was forked and cannot use an accelerator that its parent uses: RAFT
        # waits for `_write`.
        here = self.settings.heatmap.source not in NETWORKS
        return {
            "frames": torch.from_numpy(np.ascontiguousarray(clip.frames)),
            "heatmap": _weights(clip.frames, self.settings) if here else None,
            "caption": clip.caption,
            "fps": clip.fps,
        }


def _weights(
    frames: npt.NDArray[np.uint8], settings: PrepareSettings, device: str | None = None
) -> torch.Tensor:
    """Frames (F, H, W, 3) become pooled heat (F', h, w) uint8, 255 is 1."""
    heatmap = torch.from_numpy(clip_heatmap(frames, settings.heatmap, workers=1, device=device))
    return (pool(heatmap, settings.geometry)[0, 0] * 255).round().to(torch.uint8)


def prepare(
    source: ClipSource,
    folder: Path,
    autoencoder: AutoencoderKL,
    settings: PrepareSettings,
    *,
    described: dict[str, Any],
    workers: int = 1,
) -> Iterator[int]:
    """Write the shards that are still missing; yields the number of clips done after each.

    `described` says what the clips are; it is kept in the manifest, and a folder whose manifest
    says something else is refused rather than mixed. Raises ValueError for that, and for an empty
    source.
    """
    if len(source) == 0:
        raise ValueError("there should be at least one clip to prepare, got none")
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder, settings, described, len(source))
    per = settings.clips_per_shard
    numbers = [n for n in range(-(-len(source) // per)) if not _shard(folder, n).exists()]
    wanted = [i for n in numbers for i in range(n * per, min((n + 1) * per, len(source)))]
    loader = DataLoader(Subset(_Weighted(source, settings), wanted), batch_size=None,
                        num_workers=workers, prefetch_factor=8 if workers else None,
                        worker_init_fn=_single_thread)
    with _opencv_in_one_thread():
        items = iter(loader)  # the workers start here
    done = len(source) - len(wanted)
    for number in numbers:
        count = min((number + 1) * per, len(source)) - number * per
        _write(_shard(folder, number), [next(items) for _ in range(count)], autoencoder, settings)
        done += count
        yield done


def _single_thread(worker: int) -> None:
    """OpenCV would start a thread a core in each worker; one that was forked has one already."""
    cv2.setNumThreads(1)


@contextmanager
def _opencv_in_one_thread() -> Iterator[None]:
    """Processes are to be forked here: one that gives up its parent's threads waits forever."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _shard(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:05d}.safetensors"


def _claim(
    folder: Path, settings: PrepareSettings, described: dict[str, Any], clips: int
) -> None:
    """Write the manifest, or compare with the one that is there."""
    manifest = {
        "clips": clips,
        "clips_per_shard": settings.clips_per_shard,
        "heatmap": vars(settings.heatmap),
        "geometry": vars(settings.geometry),
        "source": described,
    }
    text = json.dumps(manifest, indent=1, sort_keys=True)
    path = folder / MANIFEST
    if not path.exists():
        write_text(path, text + "\n")
        return
    before, now = json.loads(path.read_text()), json.loads(text)
    # A folder of a time with fewer settings was made with the values that they had then.
    before["heatmap"] = vars(settings_from(before["heatmap"]))
    changed = sorted(key for key in before | now if before.get(key) != now.get(key))
    if changed:
        raise ValueError(
            f"{path} was begun with other settings ({', '.join(changed)}); use another folder"
        )


def _write(
    path: Path, items: list[dict[str, Any]], autoencoder: AutoencoderKL, settings: PrepareSettings
) -> None:
    latents, heatmaps = [], []
    for item in items:
        video = item["frames"].permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        made = encode(autoencoder, video.to(autoencoder.device), settings.frames_per_chunk)
        latents.append(made[0].float().cpu())
        heatmap = item["heatmap"]
        if heatmap is None:
            heatmap = _weights(item["frames"].numpy(), settings, str(autoencoder.device))
        heatmaps.append(heatmap)
    tensors = {
        "latents": torch.stack(latents).half(),  # (N, C, F', h, w)
        "heatmap": torch.stack(heatmaps),  # (N, F', h, w)
        "fps": torch.tensor([item["fps"] for item in items], dtype=torch.float32),
    }
    captions = json.dumps([item["caption"] for item in items])
    with replacing(path) as temporary:
        # Not save_file, whose files nobody but their owner may read.
        temporary.write_bytes(save(tensors, {"captions": captions}))


@dataclass(frozen=True)
class LatentBatch:
    """latents (B, C, F', h, w) float32, heatmap (B, 1, F', h, w) in [0, 1], captions, fps (B,)."""

    latents: torch.Tensor
    heatmap: torch.Tensor
    captions: list[str]
    fps: torch.Tensor


class Shards:
    """The prepared clips in a folder, read lazily from memory-mapped shards.

    Raises ValueError when the folder was not prepared to the end.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / MANIFEST
        if not path.exists():
            raise ValueError(f"{folder} should hold {MANIFEST}: it is no prepared folder")
        self.manifest = json.loads(path.read_text())
        count = -(-self.manifest["clips"] // self.manifest["clips_per_shard"])
        missing = [n for n in range(count) if not _shard(folder, n).exists()]
        if missing:
            raise ValueError(f"{folder} lacks {len(missing)} of {count} shards; prepare it again")
        self.files = [safe_open(_shard(folder, n), "pt") for n in range(count)]
        self.captions = [json.loads(f.metadata()["captions"]) for f in self.files]
        self.ends = list(np.cumsum([len(c) for c in self.captions]))

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """(C, F', h, w)."""
        return tuple(self.files[0].get_slice("latents").get_shape()[1:])

    @property
    def clip_size(self) -> tuple[int, int, int]:
        """(F', H, W) of the clips; F' is F where the autoencoder has one latent a frame."""
        _, frames, height, width = self.latent_shape
        stride = self.manifest["geometry"]["stride"]
        return frames, height * stride, width * stride

    def hot_share(self) -> npt.NDArray[np.float64]:
        """(clips,): how much of each clip's latents is hot, above 0.5."""
        shares = [(f.get_tensor("heatmap") > 127).double().flatten(1).mean(1) for f in self.files]
        return np.asarray(torch.cat(shares).numpy())

    def batch(self, indices: list[int]) -> LatentBatch:
        """The clips with these indices."""
        places = []
        for index in indices:
            shard = bisect.bisect_right(self.ends, index)
            places.append((shard, index - (int(self.ends[shard - 1]) if shard else 0)))
        rows = {key: torch.stack([self.files[s].get_slice(key)[i] for s, i in places])
                for key in ("latents", "heatmap", "fps")}
        return LatentBatch(
            latents=rows["latents"].float(),
            heatmap=rows["heatmap"].float()[:, None] / 255,
            captions=[self.captions[s][i] for s, i in places],
            fps=rows["fps"],
        )


def indices_of_step(step: int, clips: int, batch: int, seed: int) -> list[int]:
    """The clips of global batch `step`: every epoch is a permutation of its own."""
    chosen = []
    for position in range(step * batch, (step + 1) * batch):
        epoch, place = divmod(position, clips)
        chosen.append(int(_permutation(clips, seed, epoch)[place]))
    return chosen


_PERMUTATIONS: dict[tuple[int, int, int], npt.NDArray[np.int64]] = {}


def _permutation(clips: int, seed: int, epoch: int) -> npt.NDArray[np.int64]:
    key = (clips, seed, epoch)
    if key not in _PERMUTATIONS:
        if len(_PERMUTATIONS) > 2:
            _PERMUTATIONS.clear()
        _PERMUTATIONS[key] = np.random.default_rng([seed, epoch]).permutation(clips)
    return _PERMUTATIONS[key]
