"""`motifocal animate`: a picture and sentences become videos, and a sheet that shows them all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from motifocal.commands.size import Size

if TYPE_CHECKING:
    import numpy as np

    from motifocal.picture import Pixels
    from motifocal.pipeline import TI2VPipeline

VIDEO_SUFFIXES = (".mp4", ".gif")
LEAST_SIDE = 256  # pixels: what --scale enlarges to unless it is given
SHEET_COLUMNS, SHEET_SIDE = 7, 160
LONGEST_SLUG = 120  # bytes; file systems allow names of 255


@dataclass(frozen=True)
class Wanted:
    """One video to make."""

    sentence: str
    seed: int
    path: Path


def parse_device(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """Refuses an accelerator that is not there; torch is not even looked at for the CPU."""
    if value != "cpu":
        import torch

        there: dict[str, Callable[[], bool]]
        there = {"cuda": torch.cuda.is_available, "mps": torch.backends.mps.is_available}
        if not there[value]():
            raise click.BadParameter(f"should be a device of this machine, got {value}")
    return value


# fmt: off
@click.command(epilog="""\b
Examples:
  motifocal animate balloons.png "the blue balloon dips down" -o balloon.mp4
  motifocal animate balloons.png "the blue balloon dips down" "the red balloon rises" -o videos/
  motifocal animate duck.png "the duck swims to the left" --number 4 --seed 10
  motifocal animate photo.jpg "a boat sails away" --model videocrafter2/ --device cuda
""")
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("sentences", nargs=-1, required=True, metavar="SENTENCE...")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path(),
              help="An .mp4 or .gif file for one video, or a folder.  [default: this folder]")
@click.option("--model", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Model folder.  [default: the bundled model of the drawn world]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True,
              help="Of the first video of each sentence.")
@click.option("--number", type=click.IntRange(1, 100), default=1, show_default=True,
              help="Videos a sentence, with the seeds from --seed on.")
@click.option("--steps", type=click.IntRange(1, 1000),
              help="Denoising steps; the paper takes 50.  [default: what the model is made for]")
@click.option("--guidance", type=click.FloatRange(0, 100),
              help="How much the sentence counts; 1 is no guidance, and twice as fast; the paper "
              "takes 7.5.  [default: what the model is made for]")
@click.option("--guidance-rescale", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="How much of the contrast that guidance adds is taken out.")
@click.option("--fps", type=click.FloatRange(1, 120), help="[default: what the model is made for]")
@click.option("--frames", type=click.IntRange(1, 1000),
              help="[default: what the model is made for]")
@click.option("--size", type=Size(), metavar="HEIGHTxWIDTH",
              help="Of the picture that is animated.  [default: what the model is made for]")
@click.option("--scale", type=click.IntRange(1, 64), metavar="FACTOR",
              help="Enlarge the frames for viewing (cubic).  "
              f"[default: as far as the shorter side needs to reach {LEAST_SIDE}]")
@click.option("--batch", type=click.IntRange(1, 64), default=4, show_default=True,
              help="Videos made at once: memory against speed; does not change them.")
@click.option("--device", type=click.Choice(["cpu", "cuda", "mps"]), default="cpu",
              show_default=True, callback=parse_device, help="Where to compute.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16"]), default="float32",
              show_default=True, help="What to compute in.")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
def animate(picture: Path, sentences: tuple[str, ...], output: Path, model: Path | None,
            seed: int, number: int, scale: int | None, batch: int, device: str, dtype: str,
            overwrite: bool, **options: Any) -> None:
    # fmt: on
    """Animate PICTURE as each SENTENCE says, and print the paths of the videos.

    The picture may have any size: it is scaled and cropped to the model's. Several videos are
    named after picture, sentence and seed, and come with a contact sheet, a picture of them all.
    """
    from motifocal.video import read_image

    wanted, sheet = plan(picture, sentences, output, seed, number)
    if not overwrite:
        refuse_existing([w.path for w in wanted] + ([sheet] if sheet else []))
    pixels = read_image(picture)

    with phase("load"):
        pipeline = load(model, dtype, device)
        size = options["size"] or pipeline.sample_size
        shown = fit(pipeline, pixels, size)
        say_kindly(pipeline, model, shown, sentences)
    with phase("sample"):
        videos = sample(pipeline, shown, wanted, batch, options)
    with phase("write"):
        rate = options["fps"] or pipeline.config["sample_fps"]
        factor = scale or math.ceil(LEAST_SIDE / min(size))
        for one, frames in zip(wanted, videos, strict=True):
            write(one.path, frames, rate, factor)
            click.echo(one.path)
        if sheet is not None:
            write_sheet(sheet, shown, wanted, videos)
            click.echo(sheet)


def plan(
    picture: Path, sentences: tuple[str, ...], output: Path, seed: int, number: int
) -> tuple[list[Wanted], Path | None]:
    """Which videos to make under which names, and the contact sheet where there are several.

    Names follow TI2V-Bench: the picture's, the sentence in lower case without punctuation and
    with _ for spaces, the seed.
    """
    from motifocal.scenes.evaluate import slug

    spoken = [" ".join(sentence.split()) for sentence in sentences]
    slugs = [slug(s).encode()[:LONGEST_SLUG].decode(errors="ignore") for s in spoken]
    for sentence, name in zip(spoken, slugs, strict=True):
        if not name:
            raise click.BadParameter(f"should hold words, got {sentence!r}", param_hint="SENTENCE")
        if slugs.count(name) > 1:
            raise click.BadParameter(
                f"should differ, got {sentence!r} twice", param_hint="SENTENCE"
            )
    several = len(sentences) * number > 1
    if output.suffix.lower() in VIDEO_SUFFIXES and not output.is_dir():
        if several:
            raise click.BadParameter(
                f"should be a folder for several videos, got {output}", param_hint="--output"
            )
        return [Wanted(spoken[0], seed, output)], None
    if output.suffix and not output.is_dir():
        raise click.BadParameter(
            f"should be a folder or end in .mp4 or .gif, got {output}", param_hint="--output"
        )
    wanted = [
        Wanted(sentence, s, output / f"{picture.stem}_{name}_{s}.mp4")
        for sentence, name in zip(spoken, slugs, strict=True)
        for s in range(seed, seed + number)
    ]
    return wanted, output / f"{picture.stem}_sheet_{seed}.png" if several else None


def refuse_existing(paths: list[Path]) -> None:
    """Raise ValueError where one of the files to write is there already."""
    there = [path for path in paths if path.exists()]
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise click.BadParameter(
            f"{there[0]}{more} should not exist, or add --overwrite", param_hint="--output"
        )


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Says on stderr how long a part of the work took."""
    began = time.perf_counter()
    yield
    click.echo(f"{name}: {time.perf_counter() - began:.1f} s", err=True)


def load(model: Path | None, dtype: str, device: str) -> TI2VPipeline:
    """The pipeline of a model folder, or of the bundled model, without bars of its own."""
    import torch

    from motifocal.pipeline import TI2VPipeline

    pipeline = TI2VPipeline.from_pretrained(model, torch_dtype=getattr(torch, dtype)).to(device)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def fit(pipeline: TI2VPipeline, pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture as the model will see it, (H, W, 3) uint8."""
    from motifocal.video import resize_crop

    divisor = pipeline.divisor
    if min(size) < 1 or any(side % divisor for side in size):
        raise click.BadParameter(
            f"should be multiples of {divisor}, got {size[0]}x{size[1]}", param_hint="--size"
        )
    return resize_crop(pixels, *size)


def say_kindly(
    pipeline: TI2VPipeline, model: Path | None, shown: Pixels, sentences: tuple[str, ...]
) -> None:
    """A line on stderr where the model is asked for what it never saw; it still does its best."""
    from motifocal.familiar import notes, read_familiar
    from motifocal.pipeline import BUNDLED

    familiar = read_familiar(model or BUNDLED)
    if familiar is not None:
        for note in notes(familiar, pipeline.vae, shown, sentences):
            click.echo(f"note: {note}", err=True)


def sample(
    pipeline: TI2VPipeline, shown: Pixels, wanted: list[Wanted], batch: int,
    options: dict[str, Any],
) -> list[np.ndarray]:  # fmt: skip
    """The videos, each (F, H, W, 3) uint8, with a bar over the steps."""
    import torch
    from rich.console import Console
    from rich.progress import Progress

    from motifocal.video import to_frames

    videos: list[np.ndarray] = []
    steps = options["steps"] or pipeline.config["sample_steps"]
    groups = [wanted[start : start + batch] for start in range(0, len(wanted), batch)]
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("animating", total=len(groups) * steps)

        def advance(*step: Any) -> None:
            progress.advance(task)

        for group in groups:
            made = pipeline(
                shown,
                [one.sentence for one in group],
                height=shown.shape[0],
                width=shown.shape[1],
                num_frames=options["frames"],
                fps=options["fps"],
                num_inference_steps=steps,
                guidance_scale=options["guidance"],
                guidance_rescale=options["guidance_rescale"],
                generator=[torch.Generator().manual_seed(one.seed) for one in group],
                callback_on_step_end=advance,
            ).frames
            videos += [to_frames(video) for video in made]
    return videos


def write(path: Path, frames: np.ndarray, fps: float, factor: int) -> None:
    """Write the frames, enlarged, into a folder that is made where it is missing."""
    from motifocal.video import resize_crop, write_video

    path.parent.mkdir(parents=True, exist_ok=True)
    _, height, width, _ = frames.shape
    write_video(path, resize_crop(frames, height * factor, width * factor), fps)


def write_sheet(
    path: Path, shown: Pixels, wanted: list[Wanted], videos: list[np.ndarray]
) -> None:
    """A row a video, under its sentence: the picture, then frames spread over the video."""
    import numpy as np

    from motifocal.data.labelled import labelled, side_by_side
    from motifocal.video import resize_crop, write_image

    factor = SHEET_SIDE / min(shown.shape[:2])
    height, width = (round(side * factor) for side in shown.shape[:2])
    rows = []
    for one, frames in zip(wanted, videos, strict=True):
        pictures = resize_crop(np.concatenate([shown[None], frames]), height, width)
        rows.append((f"{one.sentence} (seed {one.seed})", side_by_side(pictures, SHEET_COLUMNS)))
    write_image(path, labelled(rows))
