"""A clip becomes samples as a trainer makes them, and each sample becomes a mask or a weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from motifocal.bridges.export_table import Clip, Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from motifocal.data.clip_files import ClipHashes
    from motifocal.data.selection import Selection
    from motifocal.data.trainer_rules import Request
    from motifocal.loss.latent_grid import LatentGeometry
    from motifocal.media.arrays import Image
    from motifocal.motion.heatmap import HeatmapSettings

CLIP_CRF = 8  # of a clip that is written beside its mask: hardly to be told from the source


@dataclass(frozen=True)
class How:
    """What decides the files, and where they go.

    values: "loss" for masks that a trainer multiplies its loss by, "heat" for the plain heatmap.
    """

    output: Path
    kind: str
    family: str
    trainer: str
    request: Request
    settings: HeatmapSettings
    values: str
    motif_weight: float
    with_clips: bool

    @property
    def geometry(self) -> LatentGeometry:
        from motifocal.loss.latent_grid import FAMILIES

        return FAMILIES[self.family]


# The option of each setting of a Request, and the rate of musubi-tuner's models by family.
_OPTIONS = {"buckets": "--frames", "extraction": "--rule", "step": "--step",
            "samples": "--samples", "fps": "--fps", "source_fps": "--source-fps",
            "max_pixels": "--max-pixels"}  # fmt: skip
_MUSUBI_NAMES = {"wan": "wan", "hunyuan": "hv", "hunyuan-1.5": "hv15"}


def asked(trainer: str, family: str | None, request: Request) -> Request:
    """The request with musubi-tuner's rate; BadParameter for what the trainer would not heed."""
    from motifocal.data.trainer_rules import MUSUBI_FPS, TRAINERS, musubi_bucket, unread

    for name in unread(trainer, request):
        fault = "can be given once for" if name == "buckets" else "is not read by"
        raise click.BadParameter(f"{fault} {TRAINERS[trainer].title}",
                                 param_hint=_OPTIONS[name])  # fmt: skip
    if trainer == "musubi" and request.bucketed:
        try:
            musubi_bucket(1, 1, request.buckets[0][1:])
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--size") from error
    if trainer != "musubi" or (request.fps is None) == (request.source_fps is None):
        return request
    if request.source_fps is None:
        raise click.BadParameter("musubi-tuner resamples only with --source-fps",
                                 param_hint="--fps")  # fmt: skip
    if family is None or family not in _MUSUBI_NAMES:
        wanted = f"--fps for {family}" if family else "--fps or --family"
        raise click.BadParameter(f"needs {wanted}", param_hint="--source-fps")
    return replace(request, fps=MUSUBI_FPS[_MUSUBI_NAMES[family]])


def exported(
    clip: Clip, how: How, hashes: ClipHashes, before: Sequence[Row], threads: int
) -> list[Row]:
    """Write what is missing of a clip; `before` are its rows from an earlier run.

    Raises VideoError where the clip cannot be read, is too short or becomes samples that the
    family cannot take.
    """
    from motifocal.media.picture import VideoError, one_line

    try:
        digest = hashes.of(clip.path)
    except OSError as error:
        raise VideoError(f"{clip.path}: cannot be read ({one_line(error)})") from error
    same = bool(before) and all(row.sha256 == digest for row in before)
    if same and all((how.output / name).exists() for row in before for name in files_of(row, how)):
        return list(before)
    # A mask is known by its name, so one of a clip that has changed since must go at once.
    for row in before if how.kind == "masks" and not same else ():
        for name in files_of(row, how):
            (how.output / name).unlink(missing_ok=True)
    found = selections(clip, how)
    # By what is asked and not by what this clip gives: a short a_000.mp4 is not a.mp4's first.
    several = how.request.extraction in ("chunk", "slide", "uniform") or (
        how.trainer == "musubi" and len(how.request.buckets) > 1
    )
    names = [f"{clip.stem}_{number:03d}" if several else clip.stem for number in range(len(found))]
    return [
        sample(clip, digest, selection, name, how, threads)
        for selection, name in zip(found, names, strict=True)
    ]


def files_of(row: Row, how: How) -> list[str]:
    """The files that belong to a row, relative to the folder."""
    return [row.file, row.file.replace("masks/", "clips/", 1)] if how.with_clips else [row.file]


def selections(clip: Clip, how: How) -> list[Selection]:
    """The samples that the trainer makes of a clip, at least one."""
    from motifocal.data.clip_files import timeline_of
    from motifocal.data.trainer_rules import TRAINERS, misread, trained_on
    from motifocal.media.codec import stored_display
    from motifocal.media.picture import VideoError
    from motifocal.media.video import read_frames

    timeline = timeline_of(clip.path)
    # What is written beside a mask is as shown, so there nothing is left to be misread.
    reason = misread(TRAINERS[how.trainer], stored_display(clip.path))
    if reason and not how.with_clips:
        raise VideoError(f"{clip.path}: {reason}")
    height, width = read_frames(clip.path, [0]).shape[1:3]
    found = trained_on(how.trainer, timeline, height, width, how.request)
    count, fps = len(timeline.starts), timeline.fps
    if not found:
        raise VideoError(f"{clip.path}: too short, it has {count} frames at {fps:.4g} frames/s")
    for selection in found:
        check_grid(clip, selection, how.geometry)
    return found


def check_grid(clip: Clip, selection: Selection, geometry: LatentGeometry) -> None:
    """VideoError where the trainer's sample is none that the family's autoencoder takes."""
    from motifocal.media.picture import VideoError

    try:
        geometry.check_size(selection.height, selection.width)
        geometry.latent_frames(len(selection.indices))
    except ValueError as error:
        raise VideoError(f"{clip.path}: the sample's {error}") from error


def sample(
    clip: Clip, digest: str, selection: Selection, name: str, how: How, threads: int
) -> Row:
    """Write one sample's file or files; its row."""
    write = {"latents": write_latents, "masks": write_masks}[how.kind]
    file, moves = write(clip, digest, selection, name, how, threads)
    return Row(file, clip.name, digest, clip.caption, selection.indices, selection.fps,
               selection.height, selection.width, selection.resize, moves)  # fmt: skip


def write_latents(
    clip: Clip, digest: str, selection: Selection, name: str, how: How, threads: int
) -> tuple[str, float]:
    """A weight at latent resolution, unless it is there: its file and its mean."""
    from motifocal.bridges.weight_cache import find_weight, read_weight, weight_key, write_weight
    from motifocal.data.selection import frames_of
    from motifocal.loss.latent_grid import pool
    from motifocal.motion.heatmap import clip_heatmap

    key = weight_key(digest, selection, how.family, how.settings)
    path = find_weight(how.output, key)
    if path is None:
        frames = frames_of(clip.path, selection)
        heat = clip_heatmap(frames, how.settings, workers=threads)
        path = write_weight(how.output, key, pool(heat, how.geometry))
    return path.name, float(read_weight(how.output, key).mean())


def write_masks(
    clip: Clip, digest: str, selection: Selection, name: str, how: How, threads: int
) -> tuple[str, float]:
    """A grey video, and the clip's own frames beside it if wanted: the file and the share."""
    from motifocal.bridges.mask_video import loss_mask, spread, write_mask
    from motifocal.data.selection import frames_of
    from motifocal.loss.latent_grid import pool
    from motifocal.media.video import write_video
    from motifocal.motion.heatmap import clip_heatmap

    frames = frames_of(clip.path, selection)
    heat = clip_heatmap(frames, how.settings, workers=threads)
    weight = pool(heat, how.geometry)
    mask = heat
    if how.values == "loss":
        mask = loss_mask(spread(weight, how.geometry, len(frames)), how.motif_weight)
    path = how.output / "masks" / f"{name}.mp4"
    if how.with_clips:
        beside = how.output / "clips" / f"{name}.mp4"
        beside.parent.mkdir(parents=True, exist_ok=True)
        write_video(beside, frames, selection.fps, crf=CLIP_CRF)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mask(path, mask, selection.fps)
    return f"masks/{name}.mp4", float(weight.mean())


def shown(row: Row, clip: Clip, how: How) -> tuple[Image, NDArray[np.float32]]:
    """A sample's frames (F, H, W, 3), and the heat (F, H, W) that its file holds."""
    from motifocal.bridges.mask_video import heat_of, spread
    from motifocal.bridges.weight_cache import read_weight, weight_key
    from motifocal.data.selection import Selection, frames_of
    from motifocal.motion.heatmap import load_heatmap

    selection = Selection(row.indices, row.fps, row.height, row.width, row.resize)
    frames = frames_of(clip.path, selection)
    if how.kind == "latents":
        key = weight_key(row.sha256, selection, how.family, how.settings)
        return frames, spread(read_weight(how.output, key), how.geometry, len(frames))
    mask, _ = load_heatmap(how.output / row.file)
    return frames, heat_of(mask, how.motif_weight) if how.values == "loss" else mask
