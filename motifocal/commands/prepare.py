"""`motifocal prepare`: captioned clips, or the drawn world, become shards for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.commands.heatmap_options import heatmap_options, settings_of
from motifocal.commands.size import Size
from motifocal.commands.variant_options import variant_of, variant_options

if TYPE_CHECKING:
    from motifocal.data.captions import CaptionedVideo, Rejected
    from motifocal.data.prepare import ClipSource
    from motifocal.data.shards import Shards
    from motifocal.heatmap import HeatmapSettings
    from motifocal.scenes.variant import SceneVariant

SCENES = "scenes"


@click.command(epilog="""\b
Examples:
  motifocal prepare clips/ -o shards/ --model base/ --size 320x512 --max-stride 4
  motifocal prepare clips/ -o shards/ --model base/ --source raft-large --raft-weights raft.pth
  motifocal prepare scenes -o shards/ --model base/ --size 64 --clips 7200
  motifocal prepare scenes -o held-out/ --model base/ --size 64 --clips 480 --split eval --seed 1
  motifocal prepare scenes -o living/ --model base/ --size 64 --background living --level lively
""")
@click.argument("clips_at", metavar="SOURCE")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True,
              help="Folder of the shards; run again to go on.")
@click.option("--model", type=click.Path(path_type=Path, exists=True, file_okay=False),
              required=True, help="Model folder whose vae/ encodes the clips.")
@click.option("--size", type=Size(), default="320x512", show_default=True,
              help="Height x width in pixels.")
@click.option("--frames", type=click.IntRange(2), default=16, show_default=True,
              help="Frames of a clip.")
@click.option("--max-stride", type=click.IntRange(1), default=4, show_default=True,
              help="Frame strides are drawn from 1 to this (folders).")
@click.option("--windows", type=click.IntRange(1), default=1, show_default=True,
              help="Clips cut from each video (folders).")
@click.option("--clips", type=click.IntRange(1), default=2400, show_default=True,
              help="How many clips to draw (scenes).")
@click.option("--split", type=click.Choice(["train", "eval"]), default="train", show_default=True,
              help="Which part of the drawn world (scenes).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of windows and strides, or of the drawn clips.")
@variant_options
@click.option("--masks", type=click.Choice(["none", "objects", "moving"]), default="none",
              show_default=True, help="Exact masks in place of heatmaps from flow: of all objects, "
              "or of what moves (scenes).")
@click.option("--static", is_flag=True, help="Clips in which nothing moves, captioned as if it "
              "did: a network learns to copy the image from them (scenes).")
@heatmap_options
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True,
              help="Processes that read clips and estimate motion.")
@click.option("--clips-per-shard", type=click.IntRange(1), default=64, show_default=True,
              help="Clips in one file.")
@click.option("--precision", type=click.Choice(["no", "bf16"]), default="no", show_default=True,
              help="What the autoencoder computes in.")
@click.option("--device", default=None, help="cpu, cuda, ... [default: an accelerator if any]")
def prepare(clips_at: str, output: Path, model: Path, **options: Any) -> None:
    """Turn SOURCE into shards of latents, heatmaps and captions.

    SOURCE is a folder of captioned clips in the format of any common trainer, a table of captions
    beside its clips, or the word "scenes" for the drawn world. Prints where the shards lie, and a
    picture of a few clips with their heatmaps: look at it.
    """
    from motifocal.data.shards import Shards
    from motifocal.scenes.variant import SceneVariant

    heatmap, variant = settings_of(options), variant_of(options)
    for_scenes = variant != SceneVariant() or options["masks"] != "none" or options["static"]
    if clips_at != SCENES and for_scenes:
        raise click.UsageError("--background, --difficulty, --masks and --static go with the "
                               "drawn world")
    options["device"] = _device(options["device"])
    output.mkdir(parents=True, exist_ok=True)
    clips, described = (
        _scenes(options, variant) if clips_at == SCENES
        else _folder(clips_at, output, model, options)
    )
    _write_shards(clips, described, output, model, heatmap, options)
    _show_moving_fractions(Shards(output))
    click.echo(output)
    click.echo(_picture(clips, heatmap, output / "look.png", options["device"]))


def _device(given: str | None) -> str:
    """The device's name, an accelerator's if none is given; BadParameter where there is none."""
    import torch

    name = given or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # the latter: a torch without CUDA
        words = f"{name} cannot be used: " + str(error).partition("\n")[0]
        raise click.BadParameter(words, param_hint="--device") from error
    return name


def _scenes(
    options: dict[str, Any], variant: SceneVariant
) -> tuple[ClipSource, dict[str, Any]]:
    from dataclasses import asdict, fields

    from motifocal.data.sources import SceneClips

    height, width = options["size"]
    if height != width:
        raise click.BadParameter(f"the drawn world is square, got {height}x{width}",
                                 param_hint="--size")
    clips = SceneClips(options["clips"], options["split"], height, options["frames"],
                       options["seed"], variant, options["masks"], options["static"])
    # Settings at their defaults are left out: folders of earlier versions say nothing of them.
    defaults = {entry.name: entry.default for entry in fields(clips)}
    named = {key: value for key, value in asdict(clips).items()
             if getattr(clips, key) != defaults[key]}
    return clips, {"scenes": named}


def _folder(
    source: str, output: Path, model: Path, options: dict[str, Any]
) -> tuple[ClipSource, dict[str, Any]]:
    import hashlib

    from rich.progress import track

    from motifocal.data.captions import read_captions
    from motifocal.data.sources import VideoFolderClips, scan_videos, usable

    found = read_captions(source)
    scan = scan_videos(found.videos, output / "videos.jsonl", options["workers"])
    scanned = track(scan, "checking clips", len(found.videos), console=_console())
    videos, lengths, digests, unusable = usable(scanned, options["frames"])
    _list_rejected((*found.rejected, *unusable), output)
    if not videos:
        raise ValueError(f"{source} should hold usable clips, got none")
    _note_unread(videos, model)
    height, width = options["size"]
    settings = {"frames": options["frames"], "height": height, "width": width,
                "max_stride": options["max_stride"], "windows": options["windows"],
                "seed": options["seed"]}
    words = "\n".join(f"{v.name}\t{n}\t{v.caption}" for v, n in zip(videos, lengths, strict=True))
    described = {**settings, "videos": hashlib.sha256(words.encode()).hexdigest()}
    return VideoFolderClips(videos, lengths, digests, **settings), {"folder": described}


def _note_unread(videos: Sequence[CaptionedVideo], model: Path) -> None:
    """Say which captions the text encoder of the model folder, if it has one, will not read."""
    from motifocal.commands.unread import note_unread
    from motifocal.models.folder import load_text_limit

    if (model / "tokenizer").is_dir() and (model / "text_encoder").is_dir():
        note_unread(load_text_limit(model), (video.caption for video in videos))


def _list_rejected(rejected: tuple[Rejected, ...], output: Path) -> None:
    """Print what is left out, and keep the list beside the shards."""
    import json
    from dataclasses import asdict

    from motifocal.files import write_text

    path = output / "rejected.jsonl"
    write_text(path, "".join(json.dumps(asdict(r)) + "\n" for r in rejected))
    if rejected:
        click.echo(f"left out, {len(rejected)} clips (kept in {path}):", err=True)
    for one in rejected:
        click.echo(f"  {one.name}: {one.reason}", err=True)


def _write_shards(
    clips: ClipSource, described: dict[str, Any], output: Path, model: Path,
    heatmap: HeatmapSettings, options: dict[str, Any],
) -> None:
    from contextlib import nullcontext
    from functools import partial

    import torch
    from rich.progress import MofNCompleteColumn, Progress

    from motifocal.data.prepare import PrepareSettings
    from motifocal.data.prepare import prepare as write_shards
    from motifocal.training.base import fingerprint, geometry_of, load_vae, move

    vae = load_vae(model)
    geometry = geometry_of(vae)
    if any(side % geometry.stride for side in options["size"]):
        height, width = options["size"]
        fault = f"should be multiples of {geometry.stride} for this model, got {height}x{width}"
        raise click.BadParameter(fault, param_hint="--size")
    described = {**described, "autoencoder": fingerprint(vae), "precision": options["precision"]}
    device = torch.device(options["device"])
    move(vae, device)
    settings = PrepareSettings(heatmap, geometry, options["clips_per_shard"],
                               frames_per_chunk=16)
    bf16 = options["precision"] == "bf16"
    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with (Progress(*columns, console=_console()) as progress,
          torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()):
        notify = partial(progress.console.print, markup=False, soft_wrap=True)
        task = progress.add_task("encoding clips", total=len(clips))
        made = write_shards(clips, output, vae, settings, described=described,
                            workers=options["workers"], notify=notify)
        for done in made:
            progress.update(task, completed=done)


def _show_moving_fractions(shards: Shards) -> None:
    share = shards.moving_fractions()
    click.echo(
        f"{len(shards)} clips; moving fraction of a clip: mean {share.mean():.1%}, "
        f"least {share.min():.1%}, most {share.max():.1%}; "
        f"nothing hot in {(share == 0).sum()}, more than half hot in {(share > 0.5).sum()}",
        err=True,
    )


def _picture(
    clips: ClipSource, heatmap: HeatmapSettings, path: Path, device: str | None
) -> Path:
    """A few clips spread over the source, frames over heatmaps."""
    import numpy as np

    from motifocal.data.labelled import labelled
    from motifocal.overlay import filmstrip
    from motifocal.video import write_image

    rows = []
    for index in np.unique(np.linspace(0, len(clips) - 1, 6).astype(int)):
        clip = clips[int(index)]
        maps = clip.heatmap(heatmap, device)
        rows.append((clip.caption, filmstrip(clip.frames, maps, columns=8)))
    write_image(path, labelled(rows))
    return path


def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True)
