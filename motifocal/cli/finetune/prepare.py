"""`motifocal prepare --model` with a diffusers model: encode clips and captions for `train`."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.finetune.ab_scenes import SCENES, exported_scenes
from motifocal.cli.finetune.model import opened
from motifocal.cli.options.clips import settings_of
from motifocal.cli.options.declare import check_multiples
from motifocal.cli.options.device import chosen_device
from motifocal.cli.options.finetune import was_given
from motifocal.cli.output.cropping import note_turned
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, progress, tracked
from motifocal.files.atomic import write_text
from motifocal.files.names import printable
from motifocal.files.remote import is_remote

if TYPE_CHECKING:
    from motifocal.data.captions import CaptionedVideo, Rejected
    from motifocal.training.families.base import Family
    from motifocal.training.finetune.cache import CachedClip, CacheSettings
    from motifocal.training.finetune.prepare import Sample


def prepare_cache(options: dict[str, Any]) -> None:
    """Write the cache of a folder of captioned clips, and print where it lies."""
    context = click.get_current_context()
    _check_given(context, options)
    heatmap = settings_of(options)
    precision = options["precision"] if was_given(context, "precision") else "bfloat16"
    announce("loading")
    from motifocal.data.captions import read_captions
    from motifocal.files.atomic import remove_temporaries
    from motifocal.training.finetune.cache import CacheSettings
    from motifocal.training.finetune.parts import digest_of
    from motifocal.training.finetune.prepare import FOLDERS, lock_cache

    folder, family = opened(options["model"])
    height, width = options["size"]
    check_size(family, options["frames"], height, width)
    device, output = chosen_device(options["device"]), options["output"]
    lock_output(output)
    for place in (output, *(output / name for name in FOLDERS)):
        remove_temporaries(place)
    captioned, fps = read_captions(options["clips_at"]), options["fps"] or family.fps
    settings = CacheSettings(
        str(options["model"]), family.name,
        digest_of(folder, (*family.text_parts, *family.clip_parts)), precision,
        options["frames"], height, width, fps, options["windows"], heatmap,
        tiled=family.tiled,
    )  # fmt: skip
    lock_cache(output, settings)
    samples, rejected = _select(captioned.videos, settings, family, options["workers"])
    rejected = [*captioned.rejected, *rejected]
    note_turned([sample.video for sample in samples], (height, width))
    note_repeated(samples, fps)
    samples, damaged = _encode(samples, settings, folder, family, output, device,
                               options["workers"])  # fmt: skip
    entries = [sample.entry(settings, family.text_sees_image) for sample in samples]
    _finish(entries, [*rejected, *damaged], settings, output, options["clips_at"])


def _check_given(context: click.Context, options: dict[str, Any]) -> None:
    """Refuse what models of diffusers do not have, and a command that leaves out what they need."""
    if not all(was_given(context, name) for name in ("frames", "size")):
        raise click.UsageError("give the length and the size to train at, height x width, e.g. "
                               "--frames 49 --size 480x832")
    if options["windows"] == "all":
        raise click.UsageError("--windows all is not for models of diffusers: give a number")
    if options["clips_at"] == "scenes":
        raise click.UsageError("write the synthetic scenes as clips first, `motifocal scenes "
                               "export`, then prepare that folder")
    for place in (options["clips_at"], str(options["output"])):
        if is_remote(place):
            raise click.UsageError(f"a cache for fine-tuning is made of local clips in a local "
                                   f"folder, got {place}")
    if not Path(options["clips_at"]).exists():
        raise click.BadParameter(f"{options['clips_at']} is not there", param_hint="CLIPS")


def check_size(family: Family, frames: int, height: int, width: int) -> None:
    """Refuse a size or a length that the model cannot take; BadParameter names those it can."""
    check_multiples((height, width), family.size_multiple, family.name)
    try:
        family.check_clip(frames, height, width)
    except ValueError as error:
        raise click.BadParameter(f"{family.name}: {error}",
                                 param_hint=["--frames", "--size"]) from error  # fmt: skip


def _select(
    videos: tuple[CaptionedVideo, ...], settings: CacheSettings, family: Family, workers: int
) -> tuple[list[Sample], list[Rejected]]:
    """Select the frames of every clip."""
    from motifocal.data.captions import Rejected
    from motifocal.training.finetune.prepare import samples_of

    samples: list[Sample] = []
    rejected: list[Rejected] = []
    found = samples_of(videos, settings, family.geometry.temporal_stride, workers)
    for finding in tracked(found, "reading clips", len(videos)):
        if isinstance(finding, Rejected):
            rejected.append(finding)
        else:
            samples += finding
    return samples, rejected


def note_repeated(samples: list[Sample], fps: float) -> None:
    """Say in how many clips `fps` frames per second repeat frames, as a lower rate has fewer."""
    from motifocal.data.clip_files import timeline_of
    from motifocal.inspection.diagnose import MOST_BY_RATE

    clips = {sample.video.path for sample in samples}
    slow = {sample.video.path for sample in samples
            if sample.selection.repeated > MOST_BY_RATE}  # fmt: skip
    if not slow:
        return
    lowest = min(timeline_of(path).fps for path in slow)
    change = f", or give --fps {lowest:g}, the lowest rate among them" if lowest < fps else ""
    click.echo(f"warning: at {fps:g} frames/s, {len(slow)} of {len(clips)} clips have frames used "
               "twice in a row, which teaches the model to stand still: leave these clips out"
               f"{change}", err=True)


def _encode(
    samples: list[Sample], settings: CacheSettings, folder: Path, family: Family, output: Path,
    device: str, workers: int,
) -> tuple[list[Sample], list[Rejected]]:  # fmt: skip
    """Encode captions, then clips, with only the parts that each needs in memory."""
    import torch

    from motifocal.training.finetune.parts import loaded_parts
    from motifocal.training.finetune.prepare import encode_clips, encode_texts, texts_of

    place = torch.device(device)
    captions = texts_of(samples, settings, family)
    with ExitStack() as stack, progress("encoding captions", len(captions)) as bar:
        texts = loaded_parts(folder, family, family.text_parts, place, settings.precision)
        for done in encode_texts(output, captions, family, lambda: stack.enter_context(texts)):
            bar.reach(done)
    good, damaged = [], []
    with ExitStack() as stack, progress("encoding clips", len(samples)) as bar:
        clips = loaded_parts(folder, family, family.clip_parts, place, settings.precision)
        outcomes = encode_clips(output, samples, settings, family,
                                lambda: stack.enter_context(clips), workers)  # fmt: skip
        for sample, reason in zip(samples, outcomes, strict=True):
            if reason is None:
                good.append(sample)
            else:
                damaged.append(reason)
            bar.advance()
    return good, damaged


def _finish(
    entries: list[CachedClip], rejected: list[Rejected], settings: CacheSettings, output: Path,
    clips: str,
) -> None:  # fmt: skip
    """Write the index; say what was left out, and how to look at the frames."""
    from motifocal.training.finetune.cache import REJECTED
    from motifocal.training.finetune.prepare import write_index

    if rejected:
        click.echo(f"left out, {len(rejected)} clips (kept in {output / REJECTED}):", err=True)
    for clip in rejected:
        click.echo(printable(f"  {clip.name}: {clip.reason}"), err=True)
    if not entries:
        raise ValueError(f"{clips} should hold clips that can be used, got none")
    if (scenes := exported_scenes(Path(clips))) is not None:
        write_text(output / SCENES, json.dumps(scenes, indent=1) + "\n")
    write_index(output, entries, rejected)
    spread = f" --rule uniform --samples {settings.windows}" if settings.windows > 1 else ""
    announce(f"{len(entries)} samples; to see their frames: motifocal inspect {clips} --frames "
             f"{settings.frames} --size {settings.height}x{settings.width} --fps "
             f"{settings.fps:g}{spread}")  # fmt: skip
    click.echo(output)
