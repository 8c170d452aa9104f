"""Read musubi-tuner's dataset configuration and latent caches, and write weights into them.

Letters: F' latent frames, h w latents, W H pixels. musubi-tuner caches each sample of a clip as
``<clip>_<first frame>-<frames>_<W>x<H>_<model>.safetensors`` with the tensor
``latents_<F'>x<h>x<w>_<type>``, and every tensor of the file comes back in the training batch
under its name without the type. So the weight is one more tensor there, ``motifocal_weight``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save

from motifocal.bridges.cached_latents import Job, sample_weight, weight_note
from motifocal.data.clip_files import timeline_of
from motifocal.data.musubi_config import clips_in, video_datasets
from motifocal.data.selection import Selection, Timeline, format_indices
from motifocal.data.trainer_rules import MUSUBI_FPS, Request, musubi_frames, trained_on
from motifocal.files.atomic import write_bytes
from motifocal.files.json_text import parse_json, parse_json_at
from motifocal.files.tensor_file import open_safetensors
from motifocal.files.toml_text import parse_toml
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry
from motifocal.media.picture import PICTURE_SUFFIXES, natural_key
from motifocal.motion.heatmap import HeatmapSettings

#: The name in a training batch.
BATCH_KEY = "motifocal_weight"
_STORED_KEY = f"{BATCH_KEY}_float16"
_NOTE = "motifocal"

#: Latent grids of the models, by the short name that ends their cache files. musubi-tuner noises
#: and counts every latent: HunyuanVideo is trained from text, and Wan and HunyuanVideo 1.5 get
#: the image as further channels.
GRIDS: dict[str, LatentGeometry] = {
    "wan": FAMILIES["wan"],  # 2.1 and 2.2-A14B
    "hv": replace(FAMILIES["hunyuan"], conditioned_first=False),
    "hv15": FAMILIES["hunyuan-1.5"],
}

_NAME = re.compile(r"(.+)_(\d+)-(\d+)(-\d+)?_(\d+)x(\d+)_[^_]+\.safetensors", re.DOTALL)
_LATENTS = re.compile(r"latents_(\d+)x(\d+)x(\d+)_[^_]+")


@dataclass(frozen=True)
class VideoDataset:
    """One [[datasets]] of videos: where its clips and caches are, and which frames it takes."""

    clips: tuple[Path, ...]
    cache: Path
    request: Request


def read_datasets(config: str | Path, family: str) -> list[VideoDataset]:
    """Read the data sets of videos in a dataset_config (TOML or JSON); images have no motion.

    Raises ValueError where it is not such a file, or a data set has no folder of caches.
    """
    config = Path(config)
    parsed = _parsed(config)
    general, datasets = parsed.get("general", {}), parsed.get("datasets")
    if not isinstance(datasets, list) or not isinstance(general, dict):
        raise ValueError(f"{config} should have [[datasets]], got {sorted(parsed)}")
    found = []
    for number, values in video_datasets(parsed):
        clips, cache = _clips_of(values), values.get("cache_directory")
        cache = cache or values.get("video_directory")
        if cache is None:
            raise ValueError(f"{config}: datasets[{number}] should have a cache_directory")
        found.append(VideoDataset(clips, Path(cache), _request_of(values, family)))
    if not found:
        raise ValueError(f"{config} should have a data set of videos, got none")
    return found


def weight_jobs(config: str | Path, family: str, settings: HeatmapSettings) -> list[Job]:
    """Make one job for each cached sample of the configuration's videos, single frames left out.

    Raises ValueError for an unknown family, or a configuration without videos or caches.
    """
    if family not in GRIDS:
        raise ValueError(f"family should be one of {', '.join(GRIDS)}, got {family!r}")
    datasets = read_datasets(config, family)
    jobs = [job for dataset in datasets for job in _dataset_jobs(dataset, family, settings)]
    if not jobs:
        folders = ", ".join(str(dataset.cache) for dataset in datasets)
        raise ValueError(f"no latents of videos are cached for {family} in {folders}")
    return jobs


def missing_weights(config: str | Path, family: str) -> list[str]:
    """List the files of cached clips that have no weight yet. Reads headers only."""
    return [
        path.name
        for dataset in read_datasets(config, family)
        for path in _cached_clips(dataset, family)
        if not _has_weight(path)
    ]


def _cached_clips(dataset: VideoDataset, family: str) -> Iterator[Path]:
    for path in sorted(dataset.cache.glob(f"*_{family}.safetensors"), key=natural_key):
        name = _NAME.fullmatch(path.name)
        if name is not None and int(name[3]) > 1:  # else an image: nothing moves
            yield path


def _has_weight(path: Path) -> bool:
    with open_safetensors(path, "pt") as file:
        return _STORED_KEY in file.keys()  # noqa: SIM118


def _dataset_jobs(dataset: VideoDataset, family: str, settings: HeatmapSettings) -> Iterator[Job]:
    by_stem: dict[str, list[Path]] = {}
    for clip in dataset.clips:
        by_stem.setdefault(os.path.splitext(clip.name)[0], []).append(clip)
    for path in _cached_clips(dataset, family):
        find = partial(_sample, dataset, by_stem, family, path)
        done = partial(_is_done, path, find, family, settings)
        yield Job(path.name, done, partial(_make, path, find, family, settings))


def _sample(
    dataset: VideoDataset, by_stem: Mapping[str, list[Path]], family: str, path: Path
) -> tuple[Path, Selection]:
    """Find the clip and the frames that a cache file is of; ValueError where they do not fit."""
    name = _NAME.fullmatch(path.name)
    assert name is not None  # _cached_clips has seen to it
    stem, section = name[1], name[4]
    start, frames, width, height = (int(name[i]) for i in (2, 3, 5, 6))
    clips = by_stem.get(stem, [])
    if len(clips) != 1:
        got = ", ".join(map(str, clips)) or "none"
        raise ValueError(f"the configuration should have one clip named {stem}, got {got}")
    if section:
        raise ValueError(f"{path.name} is section {section[1:]} of a clip: not supported")
    _check_grid(path, family, frames, height, width)
    timeline, planned = _planned(clips[0], clips[0].stat().st_mtime_ns, dataset.request)
    indices = musubi_frames(timeline, dataset.request, start, frames)
    if indices not in planned:
        taken = ", ".join(map(format_indices, list(planned)[:8])) or "none"
        raise ValueError(
            f"frames differ: {format_indices(indices)} of the clip are cached, the configuration "
            f"now takes {taken} (frames, extraction or source_fps have changed); cache the "
            "latents anew"
        )
    return clips[0], Selection(indices, planned[indices], height, width, "half-up")


def _check_grid(path: Path, family: str, frames: int, height: int, width: int) -> None:
    """Raise ValueError unless the cached latents are of so many frames and such a size."""
    grid = GRIDS[family]
    with open_safetensors(path, "pt") as file:
        names = [match for key in file.keys() if (match := _LATENTS.fullmatch(key))]  # noqa: SIM118
    if len(names) != 1:
        raise ValueError(f"{path.name} should hold latents of one video, got {len(names)}")
    got = tuple(int(size) for size in names[0].groups())
    stride = grid.spatial_stride
    expected = (grid.latent_frames(frames), height // stride, width // stride)
    if got[0] != expected[0]:
        raise ValueError(f"frames differ: {frames} make {expected[0]} latents, {got[0]} are cached")
    if got[1:] != expected[1:]:
        sizes = f"{expected[1]}x{expected[2]} latents, {got[1]}x{got[2]} are cached"
        raise ValueError(f"size differs: {height}x{width} pixels make {sizes}")


def _is_done(path: Path, find: Any, family: str, settings: HeatmapSettings) -> bool:
    if not _has_weight(path):
        return False
    with open_safetensors(path, "pt") as file:
        note = (file.metadata() or {}).get(_NOTE)
    return bool(note == weight_note(find()[1], GRIDS[family], settings))


def _make(path: Path, find: Any, family: str, settings: HeatmapSettings) -> None:
    clip, selection = find()
    weight = sample_weight(clip, selection, GRIDS[family], settings)
    with open_safetensors(path, "pt") as file:
        metadata = dict(file.metadata() or {})
    tensors = load_file(path)
    tensors[_STORED_KEY] = weight
    metadata[_NOTE] = weight_note(selection, GRIDS[family], settings)
    write_bytes(path, save(tensors, metadata))


@lru_cache(maxsize=16)  # the samples of a clip follow one another
def _planned(
    clip: Path, changed: int, request: Request
) -> tuple[Timeline, dict[tuple[int, ...], float]]:
    """Return a clip's times, and the samples that are configured of it: indices -> rate."""
    timeline = _timeline(clip)
    samples = trained_on("musubi", timeline, 1, 1, request)
    return timeline, {sample.indices: sample.fps for sample in samples}


def _timeline(clip: Path) -> Timeline:
    if not clip.is_dir():
        return timeline_of(clip)
    images = [file for file in clip.iterdir() if file.suffix.lower() in PICTURE_SUFFIXES]
    if sorted(images, key=lambda file: file.name) != sorted(images, key=natural_key):
        raise ValueError(f"{clip}: number its images with leading zeros, as it sorts by letters")
    return Timeline(tuple(i / 8 for i in range(len(images))), len(images) / 8)


def _request_of(values: Mapping[str, Any], family: str) -> Request:
    """Make a request of the configuration's keys, with musubi-tuner's own defaults."""
    extraction = values.get("frame_extraction", "head")
    frames = values.get("target_frames", (1,))
    if extraction == "full":
        frames = (values.get("max_frames", 129),)
    return Request(
        buckets=tuple((int(count), 16, 16) for count in frames),  # the cache says the size
        extraction=extraction,
        step=values.get("frame_stride", 1),
        samples=values.get("frame_sample", 1),
        fps=MUSUBI_FPS[family],
        source_fps=values.get("source_fps"),
        bucketed=False,
    )


def _clips_of(values: Mapping[str, Any]) -> tuple[Path, ...]:
    """List the clips of a folder (not of folders in it), or of a table in JSON lines."""
    if "video_directory" in values:
        return tuple(clips_in(Path(values["video_directory"])))
    table = Path(values["video_jsonl_file"])
    clips = []
    for number, line in enumerate(table.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        row = parse_json_at(f"{table}, line {number}", line)
        if not isinstance(row, dict) or not isinstance(row.get("video_path"), str):
            raise ValueError(f"{table}, line {number} should have a video_path")
        here = Path(row["video_path"])
        # It looks from where it is started, then from the table's folder.
        clips.append(here if here.exists() else table.parent / here)
    return tuple(clips)


def _parsed(config: Path) -> dict[str, Any]:
    text = config.read_text(encoding="utf-8")
    try:
        values = parse_json(text) if config.suffix.lower() == ".json" else parse_toml(text)
    except ValueError as error:
        raise ValueError(f"{config} should be TOML or JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{config} should be a table, got a {type(values).__name__}")
    return values
