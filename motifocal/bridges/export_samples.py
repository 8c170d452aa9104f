"""Export a clip: make the samples that a trainer makes of it, and a mask or a weight of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from motifocal.bridges.export_table import SampleRow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from motifocal.data.captions import CaptionedVideo
    from motifocal.data.clip_files import ClipHashes
    from motifocal.data.selection import Selection
    from motifocal.data.trainer_rules import Request
    from motifocal.loss.latent_grid import LatentGeometry
    from motifocal.media.arrays import Frames
    from motifocal.motion.heatmap import HeatmapSettings



@dataclass(frozen=True)
class ExportConfig:
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


def export_clip(
    clip: CaptionedVideo, config: ExportConfig, hashes: ClipHashes, before: Sequence[SampleRow],
    threads: int,
) -> list[SampleRow]:  # fmt: skip
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
    files = [config.output / name for row in before for name in files_of(row, config)]
    if same and all(file.exists() for file in files):
        return list(before)
    # A mask is known by its name, so one of a clip that has changed since must go at once.
    for file in files if config.kind == "masks" and not same else ():
        file.unlink(missing_ok=True)
    selections = select_samples(clip, config)
    # By what is asked and not by what this clip gives: a short a_000.mp4 is not a.mp4's first.
    several = config.request.extraction in ("chunk", "slide", "uniform") or (
        config.trainer == "musubi" and len(config.request.buckets) > 1
    )
    numbers = range(len(selections))
    names = [f"{clip.stem}_{number:03d}" if several else clip.stem for number in numbers]
    return [
        write_sample(clip, digest, selection, name, config, threads)
        for selection, name in zip(selections, names, strict=True)
    ]


def files_of(row: SampleRow, config: ExportConfig) -> list[str]:
    """List the files that belong to a row, relative to the folder."""
    return [row.file, row.file.replace("masks/", "clips/", 1)] if config.with_clips else [row.file]


def select_samples(clip: CaptionedVideo, config: ExportConfig) -> list[Selection]:
    """Select the samples that the trainer makes of a clip, at least one."""
    from motifocal.data.clip_files import timeline_of
    from motifocal.data.trainer_rules import TRAINERS, misread, trained_on
    from motifocal.media.codec import stored_display
    from motifocal.media.picture import VideoError
    from motifocal.media.video import read_frames

    timeline = timeline_of(clip.path)
    # What is written beside a mask is as shown, so there nothing is left to be misread.
    reason = misread(TRAINERS[config.trainer], stored_display(clip.path))
    if reason and not config.with_clips:
        raise VideoError(f"{clip.path}: {reason}")
    height, width = read_frames(clip.path, [0]).shape[1:3]
    selections = trained_on(config.trainer, timeline, height, width, config.request)
    count, fps = len(timeline.starts), timeline.fps
    if not selections:
        raise VideoError(f"{clip.path}: too short, it has {count} frames at {fps:.4g} frames/s")
    for selection in selections:
        check_grid(clip, selection, config.geometry)
    return selections


def check_grid(clip: CaptionedVideo, selection: Selection, geometry: LatentGeometry) -> None:
    """Raise VideoError where the family's autoencoder does not take the trainer's sample."""
    from motifocal.media.picture import VideoError

    try:
        geometry.check_size(selection.height, selection.width)
        geometry.latent_frames(len(selection.indices))
    except ValueError as error:
        raise VideoError(f"{clip.path}: the sample's {error}") from error


def write_sample(
    clip: CaptionedVideo, digest: str, selection: Selection, name: str, config: ExportConfig,
    threads: int,
) -> SampleRow:
    """Write one sample's file or files; return its row."""
    write = {"latents": write_latents, "masks": write_masks}[config.kind]
    file, mean = write(clip, digest, selection, name, config, threads)
    return SampleRow(file, clip.name, digest, clip.caption, selection.indices, selection.fps,
               selection.height, selection.width, selection.resize, mean)  # fmt: skip


def write_latents(
    clip: CaptionedVideo, digest: str, selection: Selection, name: str, config: ExportConfig,
    threads: int,
) -> tuple[str, float]:
    """Write a weight at latent resolution, unless it is there; return its file and its mean."""
    from motifocal.bridges.weight_cache import find_weight, read_weight, weight_key, write_weight
    from motifocal.data.selection import frames_of
    from motifocal.loss.latent_grid import pool
    from motifocal.motion.heatmap import clip_heatmap

    key = weight_key(digest, selection, config.family, config.settings)
    path = find_weight(config.output, key)
    if path is None:
        frames = frames_of(clip.path, selection)
        heatmap = clip_heatmap(frames, config.settings, workers=threads)
        path = write_weight(config.output, key, pool(heatmap, config.geometry))
    return path.name, float(read_weight(config.output, key).mean())


def write_masks(
    clip: CaptionedVideo, digest: str, selection: Selection, name: str, config: ExportConfig,
    threads: int,
) -> tuple[str, float]:
    """Write a grey video, and the clip's frames if asked; return the file and the mean weight."""
    from motifocal.bridges.mask_video import loss_mask, spread, write_mask
    from motifocal.data.selection import frames_of
    from motifocal.loss.latent_grid import pool
    from motifocal.media.codec import FINE_CRF
    from motifocal.media.video import write_video
    from motifocal.motion.heatmap import clip_heatmap

    frames = frames_of(clip.path, selection)
    heatmap = clip_heatmap(frames, config.settings, workers=threads)
    weight = pool(heatmap, config.geometry)
    mask = heatmap
    if config.values == "loss":
        mask = loss_mask(spread(weight, config.geometry, len(frames)), config.motif_weight)
    path = config.output / "masks" / f"{name}.mp4"
    if config.with_clips:
        beside = config.output / "clips" / f"{name}.mp4"
        beside.parent.mkdir(parents=True, exist_ok=True)
        write_video(beside, frames, selection.fps, crf=FINE_CRF)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_mask(path, mask, selection.fps)
    return f"masks/{name}.mp4", float(weight.mean())


def frames_and_heatmap(
    row: SampleRow, clip: CaptionedVideo, config: ExportConfig
) -> tuple[Frames, NDArray[np.float32]]:
    """Read a sample's frames (F, H, W, 3), and the heatmap (F, H, W) that its file holds."""
    from motifocal.bridges.mask_video import heat_of, spread
    from motifocal.bridges.weight_cache import read_weight, weight_key
    from motifocal.data.selection import Selection, frames_of
    from motifocal.motion.heatmap_files import load_heatmap

    selection = Selection(row.indices, row.fps, row.height, row.width, row.resize)
    frames = frames_of(clip.path, selection)
    if config.kind == "latents":
        key = weight_key(row.sha256, selection, config.family, config.settings)
        return frames, spread(read_weight(config.output, key), config.geometry, len(frames))
    mask, _ = load_heatmap(config.output / row.file)
    return frames, heat_of(mask, config.motif_weight) if config.values == "loss" else mask
