"""`motifocal scenes eval`: score a model, or a folder of videos, on the synthetic scenes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.clips import prior_option
from motifocal.cli.options.declare import output_option
from motifocal.cli.options.device import chosen_device, device_option
from motifocal.cli.options.scenes import BUNDLED, SIZE, source_folder, variant_of, variant_options
from motifocal.cli.output.console import table_console
from motifocal.cli.output.locking import lock_output
from motifocal.cli.output.progress import phase, quiet_option, tracked
from motifocal.cli.output.unread import note_unread

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    from motifocal.generate.model import Job
    from motifocal.generate.motifocal_model import MotifocalModel
    from motifocal.scenes.evaluation.evaluate import EvalPair, Frames, Reference, Scored, Truth
    from motifocal.scenes.evaluation.report import Report

SHEET_PAIRS = 12  # how many of the scored pairs the contact sheet shows
FILE_NAME = "file-name"
NOISES = ("seed", FILE_NAME)


@click.command("eval", epilog="""
\b
Examples:
  motifocal scenes eval bundled -o report
  motifocal scenes eval runs/mine/model --pairs 80 --steps 25
  motifocal scenes eval bench/videos/other-model --size 256
  motifocal scenes eval bundled --background living --level lively -o living
""")
@click.argument("source", type=str, metavar="VIDEOS")
@output_option("The folder for the report, and for a model's videos: run again to continue.",
               required=False, default=Path("report"), show_default=True)
@click.option("--pairs", type=click.IntRange(min=1), default=320, show_default=True,
              help="How many images with a prompt.")
@click.option("--size", type=SIZE, help="Side of the images, pixels; videos of other sizes are "
              "scaled and cropped to it.  [default: the model's, or 64]")
@click.option("--steps", type=click.IntRange(min=1),
              help="Model: denoising steps.  [default: the model's own]")
@click.option("--guidance", type=float,
              help="Model: guidance scale.  [default: the model's own]")
@click.option("--seed", default=0, show_default=True, help="Model: of the noise. It ends the file "
              "names, so a folder of videos is read for this seed.")
@click.option("--noise", type=click.Choice(NOISES), default=NOISES[0], show_default=True,
              help="Model: what decides a video's start noise: the seed alone, as in `animate` and "
              "`bench run`, or the name of its file, which the published scores rest on.")
@click.option("--batch", type=click.IntRange(min=1), default=8, show_default=True,
              help="Model: videos made at once.")
@device_option("Model: where to compute")
@click.option("--autoencoder", is_flag=True,
              help="Model: also score the true clips passed through its autoencoder.")
@click.option("--allow-missing", is_flag=True,
              help="Score although videos are missing; the report lists them and says INCOMPLETE.")
@prior_option("Model trained with `train --prior`: tell it what holds for all prompts of an image, "
              "as `scenes probe` does: the mean motion score of the true clips, the area where any "
              "of them moves.")
@variant_options
@quiet_option
def evaluate(
    source: str, output: Path, pairs: int, seed: int, noise: str, batch: int, autoencoder: bool,
    allow_missing: bool, prior: tuple[str, ...], **options: Any,
) -> None:
    """Score VIDEOS: how often does a video follow its prompt?

    VIDEOS is `bundled`, a model folder, or a folder of videos named as in the pairs.csv that
    `motifocal scenes export --kind benchmark` writes. Videos of other tools may have any size and
    length: 16 frames spread over the whole video are scored, scaled and cropped to the square.
    """
    folder = source_folder(source)
    from motifocal.scenes.evaluation.evaluate import REFERENCES, eval_pairs, score
    from motifocal.scenes.evaluation.report import summarise

    variant = variant_of(options)
    references = dict(REFERENCES)
    lock_output(output)
    if source == BUNDLED or (folder / "model_index.json").exists():
        with phase("loading the model"):
            model = _open(folder, options)
        for note in model.notes:
            click.echo(f"note: {note}", err=True)
        chosen = eval_pairs(pairs, model.format.height, variant)
        note_unread(model.text_limit, (pair.prompt for pair in chosen))
        videos = output / "videos"
        _animate_missing(model, folder, chosen, videos, seed, noise, batch, prior)
        if autoencoder:
            references["truth through the autoencoder"] = _through_autoencoder(model.pipeline.vae)
    elif autoencoder or prior:
        option = "--autoencoder" if autoencoder else "--prior"
        raise click.UsageError(f"{option} needs a model, VIDEOS is a folder of videos")
    else:
        chosen, videos = eval_pairs(pairs, options["size"] or 64, variant), folder
    bad: list[str] = []
    scorable = tracked(_videos(chosen, videos, seed, bad), "scoring", len(chosen))
    scored = score(scorable, chosen, references=references, allow_missing=allow_missing)
    report = summarise(scored, folder.name)
    with phase("writing the report"):
        _write_report(report, videos, seed, output)
    if bad:
        raise click.ClickException(f"{len(bad)} videos could not be read")


def _open(folder: Path, options: Mapping[str, Any]) -> MotifocalModel:
    """Load a model folder, to sample squares of the length and rate of the scenes."""
    from motifocal.generate.model import Sampling
    from motifocal.generate.motifocal_model import MotifocalModel
    from motifocal.models.folder_files import read_index
    from motifocal.scenes.render import FPS, FRAMES

    side = options["size"] or int(read_index(folder).get("sample_height", 320))  # TI2VPipeline's
    sampling = Sampling(options["steps"], options["guidance"], FRAMES, (side, side), FPS,
                        device=chosen_device(options["device"]))
    return MotifocalModel(str(folder), folder, sampling, weights="")


def _animate_missing(
    model: MotifocalModel, folder: Path, pairs: Sequence[EvalPair], videos: Path, seed: int,
    noise: str, batch: int, prior: Sequence[str],
) -> None:  # fmt: skip
    """Make the videos that are not there yet; the noise of each does not depend on the batch."""
    from motifocal.files.settings import lock_settings
    from motifocal.models.folder_files import weights_digest
    from motifocal.models.pipeline_parts import check_priors
    from motifocal.scenes.variant import STANDARD

    check_priors(model.pipeline.unet.unet_config, 0.0 if "score" in prior else None,
                 "mask" if "mask" in prior else None)
    settings = {"weights": weights_digest(folder),
                "size": pairs[0].size, "steps": model.settings["steps"],
                "guidance": model.settings["guidance"], "seed": seed}
    # Folders of version 0.1 say nothing of what was not a choice then.
    if noise != FILE_NAME:
        settings["noise"] = noise
    if prior:
        settings["prior"] = sorted(prior)
    if pairs[0].variant != STANDARD:
        settings |= asdict(pairs[0].variant)
    lock_settings(videos / "made.json", settings)
    missing = [pair for pair in pairs if not (videos / pair.file(seed)).exists()]
    batches = [missing[at : at + batch] for at in range(0, len(missing), batch)]
    with TemporaryDirectory() as images:
        for chunk in tracked(batches, "animating", len(batches)):
            jobs = [_job(pair, seed, noise, Path(images), videos, prior) for pair in chunk]
            if reasons := [reason for reason in model.animate(jobs) if reason is not None]:
                raise ValueError(reasons[0])


def _job(
    pair: EvalPair, seed: int, noise: str, images: Path, videos: Path, prior: Sequence[str]
) -> Job:
    """Return the video of a pair; its image and the mask of its `prior` go to the folder `images`.

    Both, and the motion score, are the same for all prompts of an image.
    """
    import numpy as np

    from motifocal.generate.model import Job
    from motifocal.media.picture import write_image

    image, name = images / f"{pair.image_id}.png", pair.file(seed)
    if not image.exists():
        write_image(image, pair.image())
    start = zlib.crc32(name.encode()) if noise == FILE_NAME else seed
    job = Job(image, pair.prompt, start, videos / name)
    if not prior:
        return job
    from motifocal.scenes.evaluation.evaluate import truth_of_pair
    from motifocal.training.measurement.probe import mean_score

    truth, mask = truth_of_pair(pair), image.with_suffix(".mask.png")
    if "score" in prior:
        job = replace(job, motion=mean_score(truth))
    if "mask" in prior:
        write_image(mask, np.repeat(np.uint8(255) * truth.region[..., None], 3, -1))
        job = replace(job, motion_mask=mask)
    return job


def _through_autoencoder(vae: AutoencoderKL) -> Reference:
    """The true clips encoded and decoded: the best that a model with this autoencoder can do."""
    import torch

    from motifocal.media.video import to_frames, to_tensor
    from motifocal.models.autoencoder import decode, encode

    @torch.no_grad()
    def reconstruct(truth: Truth, action: int) -> Frames:
        latents = encode(vae, to_tensor(truth.clips[action])[None].to(vae.device), 8)
        return to_frames(decode(vae, latents, frames_per_chunk=8)[0].clamp(-1, 1))

    return reconstruct


def _videos(
    pairs: Sequence[EvalPair], folder: Path, seed: int, bad: list[str]
) -> Iterator[tuple[EvalPair, Frames]]:
    """The videos that are there; one that cannot be read counts as missing and is named."""
    from motifocal.media.video import VideoError, read_video

    for pair in pairs:
        path = folder / pair.file(seed)
        if path.exists():
            try:
                frames = read_video(path).frames
            except VideoError as error:
                bad.append(path.name)
                click.echo(f"left out: {error}", err=True)
            else:
                yield pair, frames


def _write_report(report: Report, videos: Path, seed: int, output: Path) -> None:
    """Print the table, write it with all scores and a contact sheet, and print where."""
    from motifocal.files.atomic import write_text
    from motifocal.media.video import write_image
    from motifocal.scenes.evaluation.report import incomplete_line, to_csv, to_json, to_markdown

    output.mkdir(parents=True, exist_ok=True)
    texts = {"report.json": to_json, "report.md": to_markdown, "pairs.csv": to_csv}
    for name, text in texts.items():
        write_text(output / name, text(report))
    write_image(output / "sheet.png", _sheet(report.scored, videos, seed))
    _print_table(report)
    if not report.complete:
        click.echo(incomplete_line(report), err=True)
    for name in (*texts, "sheet.png"):
        click.echo(output / name)


def _sheet(scored: Scored, videos: Path, seed: int) -> Frames:
    """Return some of the pairs, spread over all: the true clip, and below it the video."""
    from motifocal.media.sheet import contact_sheet
    from motifocal.media.video import read_video
    from motifocal.scenes.evaluation.evaluate import fit, truth_of

    blocks = []
    step = max(1, len(scored.pairs) // SHEET_PAIRS)
    for index in range(0, len(scored.pairs), step)[:SHEET_PAIRS]:
        pair, judged = scored.pairs[index], scored.scores["made"][index]
        truth = truth_of(pair.stage(), size=pair.size).clips[pair.action]
        made = fit(read_video(videos / pair.file(seed)).frames, len(truth), pair.size)
        verdict = "follows" if judged.follows else "does not follow"
        blocks.append((f"{pair.image_id}: {pair.prompt}",
                       [("above the truth, below the video, which " + verdict, [truth, made])]))
    return contact_sheet(blocks, side=96)


def _print_table(report: Report) -> None:
    from rich.table import Table

    from motifocal.scenes.evaluation.report import cells, headings

    table = Table(title=report.title)
    for name in headings(report):
        table.add_column(name, justify="right" if name else "left", no_wrap=not name)
    for group in report.groups:
        table.add_row(*cells(group), end_section=group.ends_section)
    table_console(140).print(table)
