"""Encode captioned clips for fine-tuning, once; a killed run resumes.

Letters: F frames, H W pixels, F' latent frames, h w latents.

Files are named after the hash of all that decides them, so whatever is there already is right. The
frames of a clip are those that `data.selection` selects, which `motifocal inspect` shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import save
from torch import Tensor

from motifocal.data.captions import CaptionedVideo, Rejected
from motifocal.data.clip_files import selection_heatmap, timeline_of
from motifocal.data.selection import FrameRule, Selection, format_indices, frames_of, selected
from motifocal.files.atomic import sha256_of, write_bytes, write_text
from motifocal.files.json_text import parse_json
from motifocal.files.settings import lock_settings
from motifocal.files.tensor_file import open_safetensors
from motifocal.loss.latent_grid import pool
from motifocal.media.arrays import Frames
from motifocal.media.picture import one_line
from motifocal.media.video import VideoError, to_tensor, write_image
from motifocal.training.checkpoint import mixed_seed
from motifocal.training.families.base import Family
from motifocal.training.finetune.cache import (
    INDEX,
    REJECTED,
    SETTINGS,
    WEIGHT,
    CachedClip,
    CacheSettings,
    clip_path,
    key_of,
    picture_path,
    text_key,
    text_path,
)

FOLDERS = ("clips", "pictures", "texts")
AHEAD = 4  # clips that are decoded and measured while one is encoded


@dataclass(frozen=True)
class Sample:
    """One stretch of a clip that becomes one sample."""

    video: CaptionedVideo
    selection: Selection
    sha256: str

    def entry(self, settings: CacheSettings, text_sees_image: bool = False) -> CachedClip:
        """Name its files: after the clip's bytes, frames, size, model, precision, heatmap.

        Where the text encoder sees the picture, what it makes of a caption is the clip's own.
        """
        chosen = self.selection
        names = ("family", "weights", "precision", "height", "width", "heatmap", "tiled")
        decides = {name: settings.facts[name] for name in names if name in settings.facts}
        if settings.heatmap.evidence == "pixels":  # as files were named when there was no other
            decides["heatmap"] = {name: value for name, value in decides["heatmap"].items()
                                  if name != "evidence"}  # fmt: skip
        clip = key_of({**decides, "clip": self.sha256, "frames": chosen.indices,
                       "fps": chosen.fps})
        text = text_key(self.video.caption, settings.family, settings.weights, settings.precision,
                        clip if text_sees_image else None)  # fmt: skip
        return CachedClip(self.video.name, self.video.caption, chosen.fps,
                          format_indices(chosen.indices), self.sha256, clip, text)


def samples_of(
    videos: Iterable[CaptionedVideo], settings: CacheSettings, later: int, workers: int
) -> Iterator[list[Sample] | Rejected]:
    """Select the frames of every clip; a `Rejected` for what is damaged or too short.

    `later` is how many frames a later latent covers.
    """
    rule = FrameRule("uniform", settings.frames, settings.fps, samples=settings.windows,
                     later=later)

    def select(video: CaptionedVideo) -> list[Sample] | Rejected:
        try:
            timeline = timeline_of(video.path)
            chosen = selected(timeline, rule, settings.height, settings.width)
            if not chosen:
                rate = "" if settings.fps is None else f" at {settings.fps:g} frames/s"
                return Rejected(video.name, f"holds fewer than {settings.frames} frames{rate}")
            digest = sha256_of(video.path)
        except (VideoError, OSError) as error:
            return Rejected(video.name, one_line(error).removeprefix(f"{video.path}: "))
        # Evenly spread stretches of a short clip can be the same one.
        return [Sample(video, selection, digest) for selection in dict.fromkeys(chosen)]

    # Threads: FFmpeg lets go of the interpreter lock while it decodes.
    with ThreadPoolExecutor(max(1, workers)) as threads:
        yield from threads.map(select, videos)


def lock_cache(folder: Path, settings: CacheSettings) -> None:
    """Keep the settings; ValueError where the folder was made with others.

    The model is known by its weights, however it is named now.
    """
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    facts = parse_json(json.dumps(settings.facts))

    def upgrade(stored: dict[str, Any]) -> dict[str, Any]:
        heatmap = stored.get("heatmap")
        if isinstance(heatmap, dict):  # begun when there was no other evidence
            stored = {**stored, "heatmap": {"evidence": "pixels", **heatmap}}
        if settings.tiled:  # begun when no family was encoded in tiles
            stored = {"tiled": False, **stored}
        return {**stored, "model": facts["model"]}

    lock_settings(folder / SETTINGS, facts, upgrade=upgrade)


def texts_of(
    samples: Sequence[Sample], settings: CacheSettings, family: Family
) -> dict[str, tuple[str, Sample]]:
    """Return the captions to encode, by key, each with a sample that has it.

    The empty one is for guidance, where videos are sampled from the cache.
    """
    texts = {sample.entry(settings, family.text_sees_image).text: (sample.video.caption, sample)
             for sample in samples}  # fmt: skip
    if family.prompt_arguments and samples:
        key = text_key("", family.name, settings.weights, settings.precision)
        texts[key] = ("", samples[0])
    return texts


def encode_texts(
    folder: Path, texts: Mapping[str, tuple[str, Sample]], family: Family,
    open_pipe: Callable[[], Any],
) -> Iterator[int]:  # fmt: skip
    """Encode the captions of `texts_of` that are not there yet; yields how many are done.

    A clip whose picture cannot be read is passed over: `encode_clips` says why.
    """
    missing = [key for key in texts if not _is_whole(text_path(folder, key))]
    done = len(texts) - len(missing)
    yield done
    if not missing:
        return
    pipe = open_pipe()
    for key in missing:
        caption, sample = texts[key]
        images: dict[str, Any] = {}
        try:
            if family.text_sees_image:
                images["images"] = [_first_frame(sample)]
        except (VideoError, OSError):
            continue  # the clip is named with the reason where its frames are read
        (tensors,) = family.encode_text(pipe, [caption], **images)
        _write(text_path(folder, key), tensors)
        done += 1
        yield done


def encode_clips(
    folder: Path, samples: list[Sample], settings: CacheSettings, family: Family,
    open_pipe: Callable[[], Any], workers: int,
) -> Iterator[Rejected | None]:  # fmt: skip
    """Encode and measure the samples that are not there yet.

    Yields for each of the samples, in order, None or why it is left out.
    """
    entries = [sample.entry(settings, family.text_sees_image) for sample in samples]
    pending = [not _is_whole(clip_path(folder, entry.clip)) for entry in entries]
    pipe: Any = open_pipe() if any(pending) else None
    missing = [sample for sample, is_pending in zip(samples, pending, strict=True) if is_pending]
    device = None if pipe is None else str(pipe._execution_device)
    with ThreadPoolExecutor(max(1, workers)) as threads:
        read = _ahead(threads, lambda sample: _read(sample, settings, family, device), missing)
        for sample, entry, is_pending in zip(samples, entries, pending, strict=True):
            if not is_pending:
                yield None
                continue
            try:
                frames, weight = next(read).result()
            except (VideoError, OSError) as error:
                yield Rejected(sample.video.name, one_line(error))
                continue
            generator = torch.Generator().manual_seed(mixed_seed(int(entry.clip[:15], 16)))
            video = to_tensor(frames)[None].to(pipe._execution_device)
            tensors = family.encode_clip(pipe, video, sample.selection.fps, generator)
            write_image(picture_path(folder, entry.clip), frames[0])
            _write(clip_path(folder, entry.clip), {**tensors, WEIGHT: weight})
            yield None


def write_index(folder: Path, entries: Iterable[CachedClip], rejected: Iterable[Rejected]) -> None:
    """Write clips.jsonl and rejected.jsonl, which end the preparation."""
    for name, rows in ((REJECTED, rejected), (INDEX, entries)):
        lines = (json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
        write_text(folder / name, "".join(lines))


def _read(
    sample: Sample, settings: CacheSettings, family: Family, device: str | None
) -> tuple[Frames, Tensor]:
    """Decode a sample's frames (F, H, W, 3) and weight each latent by their motion, (F', h, w).

    RAFT, where flow is its, computes on `device`.
    """
    frames = frames_of(sample.video.path, sample.selection)
    heatmap = selection_heatmap(sample.video.path, sample.selection, settings.heatmap, frames,
                                workers=1, device=device)  # fmt: skip
    return frames, pool(torch.from_numpy(heatmap), family.geometry)[0, 0]


def _first_frame(sample: Sample) -> Image.Image:
    """Return the picture that a sample begins with."""
    chosen = sample.selection
    return Image.fromarray(frames_of(
        sample.video.path, replace(chosen, indices=chosen.indices[:1]))[0])  # fmt: skip


def _ahead(
    threads: ThreadPoolExecutor, work: Callable[[Sample], Any], items: list[Sample]
) -> Iterator[Future[Any]]:
    """Yield a future for each item in order, with a few of the next ones begun."""
    waiting = iter(items)
    begun = [threads.submit(work, item) for item in islice(waiting, AHEAD)]
    while begun:
        yield begun.pop(0)
        begun += [threads.submit(work, item) for item in islice(waiting, 1)]


def _is_whole(path: Path) -> bool:
    """Tell whether a file is there and can be opened; files appear whole or not at all."""
    if not path.is_file():
        return False
    try:
        with open_safetensors(path):
            return True
    except ValueError:
        return False


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    write_bytes(path, save({name: tensor.detach().cpu().contiguous()
                            for name, tensor in tensors.items()}))  # fmt: skip
