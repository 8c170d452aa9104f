"""Export a clip: select the samples as a trainer does, and make a mask or a weight of each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from motifocal.bridges.export_table import ExportTable, SampleRow
from motifocal.bridges.mask_video import heat_of, loss_mask, spread, write_mask
from motifocal.bridges.weight_cache import (
    WeightKey,
    find_weight,
    read_weight,
    weight_key,
    write_weight,
)
from motifocal.data.captions import CaptionedFolder, CaptionedVideo
from motifocal.data.clip_files import HashRow, hash_row, selection_heatmap, timeline_of
from motifocal.data.selection import Selection, frames_of
from motifocal.data.trainer_rules import TRAINERS, Request, misread, trained_on
from motifocal.files.json_lines import LineWriter
from motifocal.files.remote import fetched
from motifocal.loss.latent_grid import FAMILIES, LatentGeometry, pool
from motifocal.media.arrays import Frames
from motifocal.media.codec import FINE_CRF, stored_display
from motifocal.media.picture import VideoError, one_line
from motifocal.media.video import read_frames, write_video
from motifocal.motion.heatmap import HeatmapSettings
from motifocal.motion.heatmap_files import load_heatmap


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
        return FAMILIES[self.family]


@dataclass(frozen=True)
class ExportJob:
    """A clip to be exported, with its rows and its hash from an earlier run."""

    clip: CaptionedVideo
    before: tuple[SampleRow, ...] = ()
    known: HashRow | None = None


def export_clip(
    job: ExportJob, config: ExportConfig, threads: int
) -> tuple[list[SampleRow], HashRow]:
    """Write what is missing of a clip; return its rows and its hash.

    Raises VideoError where the clip cannot be read, is too short or becomes samples that the
    family cannot take.
    """
    clip, before = job.clip, job.before
    try:
        hashed = hash_row(clip.path, job.known)
    except OSError as error:
        raise VideoError(f"{clip.path}: cannot be read ({one_line(error)})") from error
    digest = str(hashed[-1])
    same = bool(before) and all(row.sha256 == digest for row in before)
    files = [config.output / name for row in before for name in files_of(row, config)]
    if same and all(file.exists() for file in files):
        return [replace(row, caption=clip.caption) for row in before], hashed
    # A mask is known by its name, so one of a clip that has changed since must go at once.
    for file in files if config.kind == "masks" and not same else ():
        file.unlink(missing_ok=True)
    with fetched(clip.path) as path:
        return _write_samples(replace(clip, path=path), digest, config, threads), hashed


def _write_samples(
    clip: CaptionedVideo, digest: str, config: ExportConfig, threads: int
) -> list[SampleRow]:
    """Write the samples of a clip, and return their rows."""
    selections = select_samples(clip, config)
    # By what is asked and not by what this clip gives: a short a_000.mp4 is not a.mp4's first.
    several = config.request.extraction in ("chunk", "slide", "uniform") or (
        config.trainer == "musubi" and len(config.request.buckets) > 1
    )
    write = write_latents if config.kind == "latents" else write_masks
    rows = []
    # A row holds the name of its file without folder and suffix until the file is written.
    for number, selection in enumerate(selections):
        row = SampleRow(f"{clip.stem}_{number:03d}" if several else clip.stem, clip.name, digest,
                        clip.caption, selection.indices, selection.fps, selection.height,
                        selection.width, selection.resize, mean_weight=0.0)
        written, mean = write(clip.path, row, config, threads)
        rows.append(replace(row, file=written, mean_weight=mean))
    return rows


def forget_gone(
    table: ExportTable, journal: LineWriter, folder: CaptionedFolder, config: ExportConfig
) -> list[str]:
    """Take clips that are not in the folder any more out of the table; return their names.

    Their masks go too, which a trainer would read. A weight stays: it may be that of another clip
    of the same bytes, and nothing finds it for other ones.
    """
    gone = [clip for clip in table.rows if not folder.may_hold(clip)]
    for clip in gone:
        files = [name for row in table.rows[clip] for name in files_of(row, config)]
        for name in files if config.kind == "masks" else ():
            (config.output / name).unlink(missing_ok=True)
        table.forget(journal, clip)
    return gone


def files_of(row: SampleRow, config: ExportConfig) -> list[str]:
    """List the files that belong to a row, relative to the folder."""
    return [row.file, row.file.replace("masks/", "clips/", 1)] if config.with_clips else [row.file]


def select_samples(clip: CaptionedVideo, config: ExportConfig) -> list[Selection]:
    """Select the samples that the trainer makes of a clip, at least one.

    Raises VideoError where the family's autoencoder does not take one of them.
    """
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
        try:
            config.geometry.check_size(selection.height, selection.width)
            config.geometry.latent_frames(len(selection.indices))
        except ValueError as error:
            raise VideoError(f"{clip.path}: the sample's {error}") from error
    return selections


def _selection_of(row: SampleRow) -> Selection:
    return Selection(row.indices, row.fps, row.height, row.width, row.resize)


def _key_of(row: SampleRow, config: ExportConfig) -> WeightKey:
    return weight_key(row.sha256, _selection_of(row), config.family, config.settings)


def write_latents(
    clip: Path, row: SampleRow, config: ExportConfig, threads: int
) -> tuple[str, float]:
    """Write a weight at latent resolution, unless it is there; return its file and its mean."""
    key = _key_of(row, config)
    path = find_weight(config.output, key)
    if path is None:
        heatmap = selection_heatmap(clip, _selection_of(row), config.settings, workers=threads)
        path = write_weight(config.output, key, pool(heatmap, config.geometry))
    return path.name, float(read_weight(config.output, key).mean())


def write_masks(
    clip: Path, row: SampleRow, config: ExportConfig, threads: int
) -> tuple[str, float]:
    """Write a grey video, and the clip's frames if asked; return the file and the mean weight."""
    selection = _selection_of(row)
    frames = frames_of(clip, selection) if config.with_clips else None
    heatmap = selection_heatmap(clip, selection, config.settings, frames, workers=threads)
    weight = pool(heatmap, config.geometry)
    mask = heatmap
    if config.values == "loss":
        mask = loss_mask(spread(weight, config.geometry, len(heatmap)), config.motif_weight)
    file = f"masks/{row.file}.mp4"
    for name in files_of(replace(row, file=file), config):
        (config.output / name).parent.mkdir(parents=True, exist_ok=True)
    if frames is not None:
        write_video(config.output / "clips" / f"{row.file}.mp4", frames, row.fps, crf=FINE_CRF)
    write_mask(config.output / file, mask, row.fps)
    return file, float(weight.mean())


def frames_and_heatmap(
    row: SampleRow, clip: CaptionedVideo, config: ExportConfig
) -> tuple[Frames, NDArray[np.float32]]:
    """Read a sample's frames (F, H, W, 3), and the heatmap (F, H, W) that its file holds."""
    with fetched(clip.path) as path:
        frames = frames_of(path, _selection_of(row))
    if config.kind == "latents":
        weight = read_weight(config.output, _key_of(row, config))
        return frames, spread(weight, config.geometry, len(frames))
    mask, _ = load_heatmap(config.output / row.file)
    return frames, heat_of(mask, config.motif_weight) if config.values == "loss" else mask
