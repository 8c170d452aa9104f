"""`motifocal prepare`: write captioned clips or synthetic scenes as shards for training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.clips import heatmap_options, prior_option, settings_of
from motifocal.cli.options.declare import NEW_LOCATION, Size, check_multiples, location
from motifocal.cli.options.device import chosen_device, device_option, precision_option
from motifocal.cli.options.finetune import (
    PREPARE,
    PREPARE_SHARED,
    ModelName,
    fps_option,
    was_given,
    with_finetuning,
)
from motifocal.cli.options.masks import object_ids
from motifocal.cli.options.scale import GPU_SHARE, part_of, scale_options, workers_of
from motifocal.cli.options.scenes import clips_variant_options, variant_of
from motifocal.cli.output.clip_source import (
    SCENES,
    check_masks,
    check_part,
    check_windows,
    folder_clips,
    scene_clips,
    windows,
)
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.prepared_shards import show_shards
from motifocal.cli.output.progress import announce, phase, progress, quiet_option
from motifocal.files.remote import RemotePath

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from transformers import CLIPVisionModelWithProjection

    from motifocal.data.prepare import ClipSource, PrepareSettings
    from motifocal.data.workers.items import Part, Workers
    from motifocal.motion.heatmap import HeatmapSettings

#: Precisions, and what they are called in the manifest of shards.
IN_MANIFEST = {"float32": "no", "bfloat16": "bf16"}


@click.command(epilog="""\b
Examples:
  motifocal prepare clips/ -o cache/ --model Lightricks/LTX-Video --frames 49 --size 480x832
  motifocal prepare clips/ -o shards/ --model base/ --size 320x512 --max-stride 4
  motifocal prepare clips/ -o shards/ --model base/ --strides all --windows all
  motifocal prepare clips/ -o shards/ --model base/ --source raft-large --raft-weights raft.pth
  motifocal prepare clips/ -o shards/ --model base/ --masks segmented/ --objects 1,3
  motifocal prepare scenes -o shards/ --model base/ --size 64 --clips 7200
  motifocal prepare scenes -o held-out/ --model base/ --size 64 --clips 480 --split eval --seed 1
  motifocal prepare scenes -o living/ --model base/ --size 64 --background living --level lively
  motifocal prepare scenes -o mixed/ --model base/ --size 64 --background mixed
""")
@click.argument("clips_at", metavar="CLIPS")
@click.option("-o", "--output", type=NEW_LOCATION, required=True,
              help="Folder of the shards or the cache; run again to resume.")
@click.option("--model", type=ModelName(), required=True, metavar="MODEL",
              help="Model folder whose vae/ encodes the clips; or a diffusers image-to-video "
              "pipeline to fine-tune, by folder or hub id (owner/name).")
@click.option("--size", type=Size(), default="320x512", show_default=True,
              help="Height x width in pixels; required for diffusers models.")
@click.option("--frames", type=click.IntRange(2), default=16, show_default=True,
              help="Frames per clip; required for diffusers models.")
@click.option("--max-stride", type=click.IntRange(1), default=4, show_default=True,
              help="Frame strides are drawn from 1 to this (folders).")
@click.option("--strides", type=click.Choice(["once", "all"]), default="once", show_default=True,
              help="all: keep what every stride and window needs, so that training draws both anew "
              "in every epoch (folders).")
@click.option("--windows", type=windows, metavar="N|all", default="1", show_default=True,
              help="Clips cut from each video, or with --strides all the segments to draw from; "
              "all: one clip, drawn from all frames of the video (folders).")
@click.option("--clips", type=click.IntRange(1), default=2400, show_default=True,
              help="Number of clips to draw (scenes).")
@click.option("--split", type=click.Choice(["train", "eval"]), default="train", show_default=True,
              help="Which part of the synthetic scenes (scenes).")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Seed of windows and strides, or of the drawn clips.")
@clips_variant_options
@click.option("--masks", metavar="FOLDER|objects|moving", default="none", show_default=True,
              help="Use masks instead of flow: those in FOLDER, as `heatmap --masks` does; for "
              "scenes, the exact masks of all objects, or of what moves. Not for diffusers "
              "models.")
@click.option("--objects", type=object_ids, metavar="IDS",
              help="The masks contain object ids: which of them count, e.g. 1,3, or all "
              "(folders).")
@click.option("--static", is_flag=True, help="Clips in which nothing moves, with captions that "
              "describe motion: a network learns to copy the image from them (scenes).")
@heatmap_options
@click.option("--image-tokens", is_flag=True, help="Also store the first frame's tokens from the "
              "model folder's image_encoder/, for `train --image-condition cross-attention`.")
@prior_option("Store what `train --prior` needs: score, how much a clip moves. For mask, where it "
              "moves, the heatmaps are enough.")
@click.option("--workers", type=click.IntRange(0), default=2, show_default=True,
              help="Processes that read clips and estimate motion.")
@click.option("--clips-per-shard", type=click.IntRange(1), default=64, show_default=True,
              help="Clips in one file.")
@precision_option("Data type of the autoencoder; for diffusers models also of the text encoder, "
                  "and bfloat16 unless given.", choices=tuple(IN_MANIFEST),
                  before={old: new for new, old in IN_MANIFEST.items()})
@device_option("Where the autoencoder and RAFT compute")
@fps_option
@scale_options
@click.option("--webdataset", is_flag=True, help="Also write each shard as a WebDataset tar; with "
              "--shard, the final command without it writes them.")
@click.option("--check-only", is_flag=True, help="Only check the clips. Run this for all parts of "
              "--shard first, so that no part has to check the others' clips (folders).")
@quiet_option
@with_finetuning("motifocal.cli.finetune.prepare:prepare_cache", PREPARE, PREPARE_SHARED)
def prepare(clips_at: str, output: Path, model: Path, **options: Any) -> None:
    """Encode CLIPS once for `train`: latents, motion heatmaps and captions.

    CLIPS is a folder of captioned clips in the format of any common trainer, a table of captions
    beside its clips, or the word "scenes" for synthetic scenes. With a diffusers pipeline as
    --model it writes a cache for fine-tuning. With a Motifocal model folder it writes shards, and a
    picture of a few clips with their heatmaps to check. It prints the paths of what it wrote.
    """
    from motifocal.scenes.variant import SceneVariant

    given = dict(options)
    heatmap, variant = settings_of(options), variant_of(options)
    if clips_at != SCENES and (variant != SceneVariant() or options["static"]):
        raise click.UsageError("--background, --difficulty and --static go with the synthetic "
                               "scenes")
    if clips_at == SCENES and options["check_only"]:
        raise click.UsageError("--check-only goes with folders")
    if options["webdataset"] and isinstance(output, RemotePath):
        raise click.UsageError("--webdataset goes with a local folder of shards")
    check_windows(clips_at, options)
    _check_inputs(clips_at, model, options)
    check_masks(clips_at, options, given.keys() - options.keys())
    announce("loading")
    from motifocal.files.atomic import remove_temporaries

    options["device"] = chosen_device(options["device"])
    part = part_of(options["shard"])
    lock_output(output, part.word)
    if part.word is None:
        remove_temporaries(output)
    workers = _workers(options)
    if options["check_only"]:
        check_part(clips_at, output, workers, part)
        return
    clips, described = (
        scene_clips(options, variant) if clips_at == SCENES
        else folder_clips(clips_at, output, model, heatmap, options, workers, part)
    )
    _write_shards(clips, described, output, model, heatmap, options, workers, part)
    if part.word:
        return
    if isinstance(output, RemotePath):  # shards are not read back from a bucket
        click.echo(f"{len(clips)} clips", err=True)
        click.echo(output)
    else:
        show_shards(output, webdataset=options["webdataset"])
    with phase("drawing a picture of a few clips"):
        look = _picture(clips, heatmap, output / "look.png", options)
    click.echo(look)


def _workers(options: dict[str, Any]) -> Workers:
    """Return what checks clips, and on a cluster encodes them too."""
    from motifocal.data.workers.threads import Threads

    count = max(1, options["workers"])
    given = count if was_given(click.get_current_context(), "workers") else None
    return workers_of(options["ray"], given, Threads(count),
                      gpus=GPU_SHARE if options["device"] == "cuda" else 0)


def load_encoders(
    model: Path, device: str, image_tokens: bool
) -> tuple[AutoencoderKL, CLIPVisionModelWithProjection | None]:
    """Load the autoencoder of a model folder, and its image encoder if asked for."""
    import torch

    from motifocal.models.folder import load_image_encoder
    from motifocal.training.run_folder import load_vae

    vae = load_vae(model)
    torch.nn.Module.to(vae, device)
    if not image_tokens:
        return vae, None
    tower = load_image_encoder(model, torch.float32)
    torch.nn.Module.to(tower, device)  # type: ignore[type-var]
    return vae, tower


def _check_inputs(clips_at: str, model: Path, options: dict[str, Any]) -> None:
    """Raise BadParameter or ValueError for inputs of which it is plain that they will not do."""
    from motifocal.training.folders import check_parts

    size = options["size"]
    check_parts(model, "vae", *(["image_encoder"] if options["image_tokens"] else []))
    if clips_at != SCENES:
        if not location(clips_at).exists():
            raise click.BadParameter(f"{clips_at} is not there", param_hint="CLIPS")
    elif size[0] != size[1]:
        raise click.BadParameter(f"synthetic scenes are square, got {size[0]}x{size[1]}",
                                 param_hint="--size")


def _write_shards(
    clips: ClipSource, described: dict[str, Any], output: Path, model: Path,
    heatmap: HeatmapSettings, options: dict[str, Any], workers: Workers, part: Part,
) -> None:
    from motifocal.data.prepare import PrepareSettings
    from motifocal.training.run_folder import fingerprint, geometry_of, weights_fingerprint

    vae, tower = load_encoders(model, options["device"], options["image_tokens"])
    geometry = geometry_of(vae)
    check_multiples(options["size"], geometry.spatial_stride, "this model")
    described = {**described, "autoencoder": fingerprint(vae),
                 "precision": IN_MANIFEST[options["precision"]]}
    if tower is not None:
        described["image_encoder"] = weights_fingerprint(tower)
    if "score" in options["prior"]:
        described["motion_score"] = True
    settings = PrepareSettings(heatmap, geometry, options["clips_per_shard"], frames_per_chunk=16,
                               motion_score="score" in options["prior"],
                               draw=getattr(clips, "draw", None))
    with progress("encoding clips", len(clips)) as bar:
        for done in _made(clips, output, model, settings, described, (vae, tower), options,
                          workers, part, bar.say):  # fmt: skip
            bar.reach(done)


def _made(
    clips: ClipSource, output: Path, model: Path, settings: PrepareSettings,
    described: dict[str, Any], encoders: tuple[AutoencoderKL, CLIPVisionModelWithProjection | None],
    options: dict[str, Any], workers: Workers, part: Part, notify: Callable[[str], None],
) -> Iterator[int]:  # fmt: skip
    """Write shards here or on a cluster; yields the clips done so far."""
    from contextlib import nullcontext
    from functools import partial

    import torch

    from motifocal.data.prepare import plan_shards
    from motifocal.data.prepare import prepare as write_shards

    vae, tower = encoders
    bf16, device = options["precision"] == "bfloat16", options["device"]
    if options["ray"] is None:
        with torch.autocast(device, torch.bfloat16) if bf16 else nullcontext():
            yield from write_shards(clips, output, vae, settings, described=described,
                                    workers=options["workers"], notify=notify,
                                    image_encoder=tower, part=part)  # fmt: skip
        return
    from motifocal.data.preparing.on_workers import prepare_on

    plan = plan_shards(clips, output, settings, described=described, notify=notify, part=part,
                       image_tokens=tower is not None)
    load = partial(load_encoders, model.absolute(), device, tower is not None)
    yield from prepare_on(workers, clips, plan, output.absolute(), settings, load, bfloat16=bf16)


def _picture(
    clips: ClipSource, heatmap: HeatmapSettings, path: Path, options: dict[str, Any]
) -> Path:
    """Write a picture of a few clips spread over the source, frames over heatmaps."""
    import numpy as np

    from motifocal.media.sheet import labelled
    from motifocal.media.video import write_image
    from motifocal.motion.overlay import filmstrip

    rows = []
    for index in np.unique(np.linspace(0, len(clips) - 1, 6).astype(int)):
        clip = clips[int(index)]
        begin = clip.part(slice(options["frames"]))  # of a stretch
        frames = begin.frames
        maps = begin.heatmap(heatmap, options["device"])[: len(frames)]
        rows.append((clip.caption, filmstrip(frames, maps, columns=8)))
    write_image(path, labelled(rows))
    return path
