"""`motifocal prepare`: write captioned clips, or synthetic scenes, as shards for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.clips import heatmap_options, settings_of
from motifocal.cli.options.declare import Size
from motifocal.cli.options.device import chosen_device, device_option, precision_option
from motifocal.cli.options.priors import prior_option
from motifocal.cli.options.scenes import variant_of, variant_options
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import announce, phase, progress, quiet_option, tracked

if TYPE_CHECKING:
    from motifocal.data.captions import CaptionedVideo, Rejected
    from motifocal.data.prepare import ClipSource
    from motifocal.data.shards import Shards
    from motifocal.motion.heatmap import HeatmapSettings
    from motifocal.scenes.variant import SceneVariant

SCENES = "scenes"
#: Precisions, and what they are called in the manifest of shards.
IN_MANIFEST = {"float32": "no", "bfloat16": "bf16"}


@click.command(epilog="""\b
Examples:
  motifocal prepare clips/ -o shards/ --model base/ --size 320x512 --max-stride 4
  motifocal prepare clips/ -o shards/ --model base/ --source raft-large --raft-weights raft.pth
  motifocal prepare scenes -o shards/ --model base/ --size 64 --clips 7200
  motifocal prepare scenes -o held-out/ --model base/ --size 64 --clips 480 --split eval --seed 1
  motifocal prepare scenes -o living/ --model base/ --size 64 --background living --level lively
""")
@click.argument("clips_at", metavar="CLIPS")
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
              help="Which part of the synthetic scenes (scenes).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Of windows and strides, or of the drawn clips.")
@variant_options
@click.option("--masks", type=click.Choice(["none", "objects", "moving"]), default="none",
              show_default=True, help="Exact masks in place of heatmaps from flow: of all objects, "
              "or of what moves (scenes).")
@click.option("--static", is_flag=True, help="Clips in which nothing moves, captioned as if it "
              "did: a network learns to copy the image from them (scenes).")
@heatmap_options
@click.option("--image-tokens", is_flag=True, help="Store each first frame's tokens by the model "
              "folder's image_encoder/ too, for `train --image-condition cross-attention`.")
@prior_option("Store what `train --prior` tells of the motion: score, how much a clip moves. For "
              "mask, where it moves, heatmaps suffice.")
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True,
              help="Processes that read clips and estimate motion.")
@click.option("--clips-per-shard", type=click.IntRange(1), default=64, show_default=True,
              help="Clips in one file.")
@precision_option("What the autoencoder computes in.", choices=tuple(IN_MANIFEST),
                  before={old: new for new, old in IN_MANIFEST.items()})
@device_option("Where the autoencoder and RAFT compute")
@quiet_option
def prepare(clips_at: str, output: Path, model: Path, **options: Any) -> None:
    """Turn CLIPS into shards of latents, heatmaps and captions.

    CLIPS is a folder of captioned clips in the format of any common trainer, a table of captions
    beside its clips, or the word "scenes" for synthetic scenes. Prints where the shards lie, and a
    picture of a few clips with their heatmaps: look at it.
    """
    from motifocal.scenes.variant import SceneVariant

    heatmap, variant = settings_of(options), variant_of(options)
    for_scenes = variant != SceneVariant() or options["masks"] != "none" or options["static"]
    if clips_at != SCENES and for_scenes:
        raise click.UsageError("--background, --difficulty, --masks and --static go with the "
                               "synthetic scenes")
    _check_inputs(clips_at, model, options)
    announce("loading")
    from motifocal.data.shards import Shards
    from motifocal.files.atomic import remove_temporaries

    options["device"] = chosen_device(options["device"])
    lock_output(output)
    remove_temporaries(output)
    clips, described = (
        _scenes(options, variant) if clips_at == SCENES
        else _folder(clips_at, output, model, options)
    )
    _write_shards(clips, described, output, model, heatmap, options)
    _show_moving_fractions(Shards(output))
    click.echo(output)
    with phase("drawing a picture of a few clips"):
        look = _picture(clips, heatmap, output / "look.png", options["device"])
    click.echo(look)


def _check_inputs(clips_at: str, model: Path, options: dict[str, Any]) -> None:
    """Raise BadParameter or ValueError for inputs of which it is plain that they will not do."""
    from motifocal.training.folders import check_parts

    size = options["size"]
    check_parts(model, "vae", *(["image_encoder"] if options["image_tokens"] else []))
    if clips_at != SCENES:
        if not Path(clips_at).exists():
            raise click.BadParameter(f"{clips_at} is not there", param_hint="CLIPS")
    elif size[0] != size[1]:
        raise click.BadParameter(f"synthetic scenes are square, got {size[0]}x{size[1]}",
                                 param_hint="--size")


def _scenes(
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


def _folder(
    source: str, output: Path, model: Path, options: dict[str, Any]
) -> tuple[ClipSource, dict[str, Any]]:
    import hashlib

    from motifocal.data.captions import read_captions
    from motifocal.data.sources import VideoFolderClips, scan_videos, usable

    captioned = read_captions(source)
    scan = scan_videos(captioned.videos, output / "videos.jsonl", options["workers"])
    scanned = tracked(scan, "checking clips", len(captioned.videos))
    videos, lengths, digests, unusable = usable(scanned, options["frames"])
    _list_rejected((*captioned.rejected, *unusable), output)
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
    from motifocal.cli.output.unread import note_unread
    from motifocal.models.folder import load_text_limit

    if (model / "tokenizer").is_dir() and (model / "text_encoder").is_dir():
        note_unread(load_text_limit(model), (video.caption for video in videos))


def _list_rejected(rejected: tuple[Rejected, ...], output: Path) -> None:
    """Print what is left out, and keep the list beside the shards."""
    import json
    from dataclasses import asdict

    from motifocal.files.atomic import write_text

    path = output / "rejected.jsonl"
    write_text(path, "".join(json.dumps(asdict(r)) + "\n" for r in rejected))
    if rejected:
        click.echo(f"left out, {len(rejected)} clips (kept in {path}):", err=True)
    for clip in rejected:
        click.echo(f"  {clip.name}: {clip.reason}", err=True)


def _write_shards(
    clips: ClipSource, described: dict[str, Any], output: Path, model: Path,
    heatmap: HeatmapSettings, options: dict[str, Any],
) -> None:
    from contextlib import nullcontext

    import torch

    from motifocal.data.prepare import PrepareSettings
    from motifocal.data.prepare import prepare as write_shards
    from motifocal.models.folder import load_image_encoder
    from motifocal.training.run_folder import (
        fingerprint,
        geometry_of,
        load_vae,
        weights_fingerprint,
    )

    vae = load_vae(model)
    tower = load_image_encoder(model, torch.float32) if options["image_tokens"] else None
    geometry = geometry_of(vae)
    stride, (height, width) = geometry.spatial_stride, options["size"]
    if height % stride or width % stride:
        fault = f"should be multiples of {stride} for this model, got {height}x{width}"
        raise click.BadParameter(fault, param_hint="--size")
    described = {**described, "autoencoder": fingerprint(vae),
                 "precision": IN_MANIFEST[options["precision"]]}
    device = torch.device(options["device"])
    torch.nn.Module.to(vae, device)
    if tower is not None:
        described["image_encoder"] = weights_fingerprint(torch.nn.Module.to(tower, device))
    if "score" in options["prior"]:
        described["motion_score"] = True
    settings = PrepareSettings(heatmap, geometry, options["clips_per_shard"], frames_per_chunk=16,
                               motion_score="score" in options["prior"])
    bf16 = options["precision"] == "bfloat16"
    with (progress("encoding clips", len(clips)) as bar,
          torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()):
        made = write_shards(clips, output, vae, settings, described=described,
                            workers=options["workers"], notify=bar.say, image_encoder=tower)
        for done in made:
            bar.reach(done)


def _show_moving_fractions(shards: Shards) -> None:
    share = shards.moving_fractions()
    click.echo(
        f"{len(shards)} clips; moving fraction of a clip: mean {share.mean():.1%}, "
        f"least {share.min():.1%}, most {share.max():.1%}; "
        f"nothing moves in {(share == 0).sum()}, more than half in {(share > 0.5).sum()}",
        err=True,
    )


def _picture(
    clips: ClipSource, heatmap: HeatmapSettings, path: Path, device: str | None
) -> Path:
    """Write a picture of a few clips spread over the source, frames over heatmaps."""
    import numpy as np

    from motifocal.media.sheet import labelled
    from motifocal.media.video import write_image
    from motifocal.motion.overlay import filmstrip

    rows = []
    for index in np.unique(np.linspace(0, len(clips) - 1, 6).astype(int)):
        clip = clips[int(index)]
        maps = clip.heatmap(heatmap, device)
        rows.append((clip.caption, filmstrip(clip.frames, maps, columns=8)))
    write_image(path, labelled(rows))
    return path
