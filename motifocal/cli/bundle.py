"""`motifocal bundle`: combine a run and the model folder it started from into one model folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import FOLDER, LocalPath, Size, output_option
from motifocal.cli.options.device import precision_option
from motifocal.cli.options.renamed import old_option
from motifocal.cli.options.run_file import RUN_FILE
from motifocal.cli.output.progress import announce, phase, quiet_option
from motifocal.files.json_text import parse_json, read_json_object
from motifocal.models.folder_files import weights_digest

if TYPE_CHECKING:
    import torch

    from motifocal.models.card import FollowsText
    from motifocal.models.pipeline import TI2VPipeline
    from motifocal.models.unet import TI2VUNet
    from motifocal.training.presets import TrainingSettings

LOG_LINES = 500  # at most, spread evenly over the training

#: Sections of the report of `scenes eval` that the card repeats: all but the single scenarios.
SECTIONS = 3

TRAINING = """Trained for {step} steps of {batch} clips with the motion focal loss (lambda
{weight:g}, variant "{variant}"){start}. The weights are the average over
the training, stored as {dtype}. `training.json` holds every setting, `log.jsonl` the losses."""


@click.command(epilog="""\b
Example:
  motifocal bundle run/ base/ -o model/
  motifocal bundle run/ base/ -o published/ --license apache-2.0 --scores scores/
""")
@click.argument("run", type=FOLDER)
@click.argument("base", type=FOLDER)
@output_option("Model folder to write; must not exist.", type=LocalPath())
@click.option("--step", type=click.IntRange(1), help="Take the weights that `train --keep-every` "
              "kept at this step.  [default: the newest]")
@precision_option("What the weights are stored in.", default="float16")
@old_option("--dtype", "--precision", "precision")
@click.option("--size", type=Size(),
              help="Height x width that a call makes by default. [default: that of the shards]")
@click.option("--frames", type=click.IntRange(1),
              help="Frames that a call makes by default. [default: that of the shards]")
@click.option("--fps", type=click.FloatRange(0, min_open=True),
              help="Frames per second that a call asks for by default. [default: that of BASE, "
              "else 8]")
@click.option("--domain-check", is_flag=True,
              help="Store the words and image quality of the synthetic scenes, by which `animate` "
              "tells that a prompt or an image is unlike what the model was trained on.")
@old_option("--drawn-world", "--domain-check", "domain_check", True)
@click.option("--steps", type=click.IntRange(1, 1000),
              help="Denoising steps that a call takes by default. [default: that of BASE, else 50]")
@click.option("--guidance", type=click.FloatRange(0, 100),
              help="Guidance scale of a call by default. [default: that of BASE, else 7.5]")
@click.option("--guidance-rescale", type=click.FloatRange(0, 1),
              help="How much of the contrast that guidance adds a call removes by default. "
              "[default: that of BASE, else 0]")
@click.option("--license", "license_id", default="unknown", show_default=True,
              help="Licence of the weights, as the Hugging Face hub names it, e.g. apache-2.0.")
@click.option("--scores", type=FOLDER,
              help="What `scenes eval` wrote for a bundle of the same weights: its scores are "
              "shown in README.md.")
@quiet_option
def bundle(run: Path, base: Path, output: Path, step: int | None, precision: str,
           size: tuple[int, int] | None, frames: int | None, domain_check: bool, license_id: str,
           scores: Path | None, **call: float | None) -> None:
    """Put the averaged weights of RUN and the other parts of BASE together as one model folder.

    The folder has the diffusers layout (safetensors), with training.json, a thinned log.jsonl and
    a model card, README.md, so that it can be put on the Hugging Face hub as it is. Prints the
    folder.
    """
    from motifocal.models.card import model_card
    from motifocal.training.conditions import check_conditions
    from motifocal.training.folders import (
        call_of,
        check_base,
        check_parts,
        check_run,
        settings_path,
    )
    from motifocal.training.presets import read_settings

    if output.exists():
        raise click.BadParameter(f"{output} should not exist", param_hint="--output")
    check_run(run)
    check_parts(base, "vae", "text_encoder", "tokenizer")
    network = read_settings(settings_path(run)).unet
    check_conditions(network, base, ())
    check_base(run, base, network.latent_channels)
    rows = [] if scores is None else _read_scores(scores)
    announce("loading")
    import torch

    from motifocal.training.run_folder import load_averaged, load_clip_size

    unet, settings, step = load_averaged(run, step)
    if size is None or frames is None:
        known = load_clip_size(run)
        if known is None:
            raise click.UsageError(f"{run} does not say its clips' size: give --size and --frames")
        size, frames = size or known[1:], frames or known[0]
    sample = {"sample_height": size[0], "sample_width": size[1], "sample_frames": frames,
              **call_of(base)}
    sample |= {f"sample_{name}": value for name, value in call.items() if value is not None}
    pipeline = _pipeline(unet, settings, base, sample)
    _cast(pipeline, getattr(torch, precision))
    if step < settings.steps:
        click.echo(f"note: {run} is not finished: its weights are those of step {step} of "
                   f"{settings.steps}", err=True)
    training = TRAINING.format(
        step=step if step == settings.steps else f"{step} of {settings.steps}",
        batch=settings.global_batch, weight=settings.motif_weight,
        variant=settings.motif_variant, start=_start(run), dtype=precision,
    )
    card = model_card(output.resolve().name, pipeline.config, pipeline.text_limit.tokens,
                      license_id=license_id, training=training, scores=rows)
    with phase(f"writing {output}"):
        write_folder(output, pipeline, run, card, scores)
    if domain_check:
        _write_domain(output)
    stored = sum(p.stat().st_size for p in output.rglob("*") if p.is_file())
    click.echo(f"{stored / 1e6:.1f} MB, step {step}", err=True)
    click.echo(output)


def _start(run: Path) -> str:
    """Say that a run began with the weights of a model folder; nothing where that has gone."""
    from motifocal.files.toml_text import parse_toml

    path = run / RUN_FILE
    try:
        options = parse_toml(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"{path} should be TOML, got: {error}") from error
    model = options.get("model")
    if options.get("fresh", True) or not isinstance(model, str):
        return ""
    return ", from the weights of an earlier model" if (run / model / "unet").is_dir() else ""


def _write_domain(folder: Path) -> None:
    """Measured on the weights as they are stored."""
    from motifocal.generate.domain import measure_synthetic_scenes, write_domain
    from motifocal.training.run_folder import load_vae

    size = parse_json((folder / "model_index.json").read_text())["sample_height"]
    write_domain(folder, measure_synthetic_scenes(load_vae(folder), size))


def _pipeline(
    unet: TI2VUNet, settings: TrainingSettings, base: Path, sample: Mapping[str, Any],
) -> TI2VPipeline:
    """The trained network among the parts of the base; `sample`: the defaults of a call."""
    import torch

    from motifocal.models.folder import load_image_encoder
    from motifocal.models.pipeline import TI2VPipeline
    from motifocal.training.run_folder import build_sampler, load_text, load_vae

    text, tokens = load_text(base), unet.unet_config.takes_encoded_tokens
    tower = load_image_encoder(base, torch.float32) if tokens else None
    return TI2VPipeline(unet, load_vae(base), text.text_encoder, text.tokenizer,
                        build_sampler(settings, base), image_encoder=tower, **sample)


def _cast(pipeline: TI2VPipeline, dtype: torch.dtype) -> None:
    """Store all weights as `dtype`. ValueError where one does not fit into it."""
    from torch import nn

    parts = ("unet", "vae", "text_encoder", "image_encoder")
    for part in (name for name in parts if getattr(pipeline, name) is not None):
        # Not the parts' own `to`, which warns of modules to keep wide even where there are none.
        model = nn.Module.to(getattr(pipeline, part), dtype)
        for name, tensor in model.state_dict().items():
            if not bool(tensor.isfinite().all()):
                raise ValueError(f"{part}'s {name} should be finite as {dtype}, but overflows")


def _read_scores(folder: Path) -> list[FollowsText]:
    """The rows of a report of `scenes eval` that a model card shows."""
    from motifocal.models.card import FollowsText

    path = folder / "report.json"
    report, rows, sections = read_json_object(path), [], 0
    try:
        if not report["complete"]:
            raise ValueError(f"{path} should be complete, but videos are missing")
        for group in report["groups"]:
            follows = group["measures"]["made"]["follows"]
            rows.append(FollowsText(group["name"], group["pairs"], follows["mean"], follows["low"],
                                    follows["high"], group["chance"]))
            sections += group["ends_section"]
            if sections == SECTIONS:
                break
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} should be a report of `scenes eval`: {error!r}") from error
    return rows


def check_scored(scores: Path, model: Path) -> None:
    """Raise ValueError where the scores are of other weights than those of a model folder."""
    scored = read_json_object(scores / "videos" / "made.json").get("weights")
    if scored != weights_digest(model):
        raise ValueError(f"{scores} should hold the scores of these weights, but they are of "
                         "others, or of another --precision")


def write_folder(
    output: Path, pipeline: TI2VPipeline, run: Path, card: str, scores: Path | None = None
) -> None:
    """Save the pipeline with what tells how it was made; the folder appears whole or not at all."""
    from motifocal.files.atomic import replacing_folder
    from motifocal.training.log import read_log

    with replacing_folder(output) as temporary:
        pipeline.save_pretrained(temporary, safe_serialization=True)
        if scores is not None:
            check_scored(scores, temporary)
        shutil.copyfile(run / "training.json", temporary / "training.json")
        lines = thinned(read_log(run / "log.jsonl"), LOG_LINES)
        (temporary / "log.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
        (temporary / "README.md").write_text(card, encoding="utf-8")


def thinned(lines: list[dict[str, float]], most: int) -> list[dict[str, float]]:
    """At most `most` of the lines, the first and the last among them, spread evenly."""
    if len(lines) <= most:
        return lines
    return [lines[round(k * (len(lines) - 1) / (most - 1))] for k in range(most)]
