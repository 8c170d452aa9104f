"""What CLIPS of `prepare` stands for: synthetic scenes, or a folder with captions and masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.masks import given_masks
from motifocal.cli.output.cropping import note_turned
from motifocal.cli.output.progress import tracked
from motifocal.files.names import printable

if TYPE_CHECKING:
    from motifocal.data.captions import CaptionedVideo, Rejected
    from motifocal.data.clip_masks import ClipMask
    from motifocal.data.prepare import ClipSource
    from motifocal.data.sources import Usable
    from motifocal.data.stretches import Draw
    from motifocal.data.workers.items import Part, Workers
    from motifocal.motion.settings import HeatmapSettings
    from motifocal.scenes.variant import SceneVariant

SCENES = "scenes"
NOTES, REJECTED = "videos.jsonl", "rejected.jsonl"
SCENE_MASKS = ("none", "objects", "moving")


def windows(value: Any) -> int | str:
    """Parse a whole number from 1 up, or `all`."""
    if value == "all":
        return "all"
    return int(click.IntRange(1).convert(value, None, None))


def check_windows(clips_at: str, options: dict[str, Any]) -> None:
    """Raise UsageError for windows and strides that these clips cannot have."""
    if options["windows"] == "all" and options["strides"] == "once":
        raise click.UsageError("--windows all goes with --strides all: what is drawn in every "
                               "epoch is the window and its stride, up to --max-stride")
    if clips_at == SCENES and options["strides"] == "all":
        raise click.UsageError("--strides all goes with folders: scenes are drawn with one window")
    if options["strides"] == "all" and (options["image_tokens"] or "score" in options["prior"]):
        raise click.UsageError("--image-tokens and --prior score are of one window, and --strides "
                               "all draws many; --prior mask goes with it")


def check_masks(clips_at: str, options: dict[str, Any], about_flow: Iterable[str]) -> None:
    """Raise BadParameter or UsageError for masks that these clips cannot have."""
    masks, objects = options["masks"], options["objects"]
    if clips_at == SCENES:
        if masks not in SCENE_MASKS:
            fault = f"of scenes should be one of {', '.join(SCENE_MASKS)}, got {masks!r}"
            raise click.BadParameter(fault, param_hint="--masks")
        if objects is not None:
            raise click.UsageError("--objects is about --masks FOLDER, not about scenes")
        return
    folder = None if masks == "none" else Path(masks)
    if folder is not None and not folder.is_dir():
        raise click.BadParameter(f"{masks} is no folder", param_hint="--masks")
    given_masks(folder, objects, {}, dict.fromkeys(about_flow))


def scene_clips(
    options: dict[str, Any], variant: SceneVariant
) -> tuple[ClipSource, dict[str, Any]]:
    from dataclasses import asdict, fields

    from motifocal.data.sources import SceneClips

    side, _ = options["size"]
    clips = SceneClips(options["clips"], options["split"], side, options["frames"],
                       options["seed"], variant, options["masks"], options["static"])
    # Settings at their defaults are left out: folders of earlier versions say nothing of them.
    defaults = {entry.name: entry.default for entry in fields(clips)}
    named = {key: value for key, value in asdict(clips).items()
             if getattr(clips, key) != defaults[key]}
    return clips, {"scenes": named}


def folder_clips(
    source: str, output: Path, model: Path, heatmap: HeatmapSettings, options: dict[str, Any],
    workers: Workers, part: Part,
) -> tuple[ClipSource, dict[str, Any]]:  # fmt: skip
    import hashlib

    from motifocal.cli.output.clip_table import name_clips
    from motifocal.data.captions import read_captions
    from motifocal.data.sources import VideoFolderClips, scan_videos, usable
    from motifocal.motion.settings import VECTORS

    captioned = read_captions(source)
    scan = scan_videos(captioned.videos, output / NOTES, workers, part)
    scanned = tracked(scan, "checking clips", len(captioned.videos))
    names = name_clips([video.path for video in captioned.videos]) if captioned.videos else {}
    found = usable(scanned, options["frames"])
    if heatmap.source == VECTORS and (options["masks"] == "none" or "score" in options["prior"]):
        found = _with_vectors(found, options["frames"], workers)
    found, masks = _with_masks(found, names, options)
    videos, lengths, digests, unusable = found
    _list_rejected((*captioned.rejected, *unusable), output / part.file(REJECTED))
    if not videos:
        raise ValueError(f"{source} should hold usable clips, got none")
    _note_unread(videos, model)
    height, width = options["size"]
    note_turned(videos, (height, width))
    settings = {"frames": options["frames"], "height": height, "width": width,
                "max_stride": options["max_stride"], "windows": options["windows"],
                "seed": options["seed"]}
    words = "\n".join(f"{v.name}\t{n}\t{v.caption}" for v, n in zip(videos, lengths, strict=True))
    described = {**settings, "videos": hashlib.sha256(words.encode()).hexdigest()}
    if masks:  # their contents are part of each clip's digest
        described["masks"] = {"objects": options["objects"]}
    clips = VideoFolderClips(videos, lengths, digests, **settings, masks=masks,
                             draw=_draw_of(options, bool(masks)))
    return clips, {"folder": described}


def _draw_of(options: dict[str, Any], masks: bool) -> Draw | None:
    """Return what is drawn in every epoch, if that was asked for."""
    from motifocal.data.stretches import Draw

    if options["strides"] == "once":
        return None
    return Draw(options["frames"], options["max_stride"], masks)


def _with_masks(
    found: Usable, names: Mapping[Path, str], options: dict[str, Any]
) -> tuple[Usable, tuple[ClipMask, ...]]:
    """Find the masks of the videos, if a folder of masks is given; those without are left out."""
    from motifocal.data.clip_masks import ClipMask, find_masks

    if options["masks"] == "none" or not found.videos:
        return found, ()
    checked = find_masks(found.videos, found.lengths, Path(options["masks"]), names,
                         options["objects"], options["size"], options["workers"])
    masks = list(tracked(checked, "checking masks", len(found.videos)))
    kept = [place for place, mask in enumerate(masks) if isinstance(mask, ClipMask)]
    rejected = [mask for mask in masks if not isinstance(mask, ClipMask)]
    return _kept(found, kept, rejected), tuple(
        mask for mask in masks if isinstance(mask, ClipMask))  # fmt: skip


def _kept(found: Usable, places: Sequence[int], rejected: Sequence[Rejected]) -> Usable:
    """Return the videos at these places, and those left out with the ones rejected now."""
    from motifocal.data.sources import Usable

    return Usable(tuple(found.videos[place] for place in places),
                  tuple(found.lengths[place] for place in places),
                  tuple(found.digests[place] for place in places), (*found.rejected, *rejected))


def _with_vectors(found: Usable, frames: int, workers: Workers) -> Usable:
    """Leave out the videos without motion vectors."""
    from functools import partial

    from motifocal.data.captions import Rejected
    from motifocal.data.workers.items import in_order

    done = in_order(workers, partial(_why_no_vectors, frames), found.videos)
    reasons = [check.result or check.reason
               for check in tracked(done, "looking for motion vectors", len(found.videos))]
    rejected = [Rejected(video.name, reason)
                for video, reason in zip(found.videos, reasons, strict=True) if reason]
    return _kept(found, [place for place, reason in enumerate(reasons) if not reason], rejected)


def _why_no_vectors(frames: int, video: CaptionedVideo) -> str | None:
    """Say why a video's motion vectors cannot be had, or None."""
    from motifocal.files.remote import fetched
    from motifocal.media.video import VideoError
    from motifocal.motion.vectors import check_vectors

    with fetched(video.path) as path:
        try:
            check_vectors(path, frames)
        except VideoError as error:
            return str(error).removeprefix(f"{path}: ")
    return None


def _note_unread(videos: Sequence[CaptionedVideo], model: Path) -> None:
    """Say which captions the text encoder of the model folder, if it has one, will not read."""
    from motifocal.cli.output.unread import note_unread
    from motifocal.models.folder import load_text_limit

    if (model / "tokenizer").is_dir() and (model / "text_encoder").is_dir():
        note_unread(load_text_limit(model), (video.caption for video in videos))


def check_part(source: str, output: Path, workers: Workers, part: Part) -> None:
    """Decode the videos of a part, and keep what was found beside the shards."""
    from motifocal.data.captions import read_captions
    from motifocal.data.sources import scan_videos

    videos = [video for video in read_captions(source).videos if part.holds(video.name)]
    for _ in tracked(scan_videos(videos, output / NOTES, workers, part), "checking clips",
                     len(videos)):  # fmt: skip
        pass


def _list_rejected(rejected: tuple[Rejected, ...], path: Path) -> None:
    """Print what is left out, and keep the list beside the shards."""
    import json
    from dataclasses import asdict

    from motifocal.files.atomic import write_text

    write_text(path, "".join(json.dumps(asdict(r)) + "\n" for r in rejected))
    if rejected:
        click.echo(f"left out, {len(rejected)} clips (kept in {path}):", err=True)
    for clip in rejected:
        click.echo(printable(f"  {clip.name}: {clip.reason}"), err=True)
