"""Drawn pictures become videos, one for each of their sentences, and a picture that shows them all.

Letters: F frames, H W pixels. Needs no network: the pictures are drawn here, at seeds that no
training ever saw, and the model comes with the package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from rich.console import Console
from rich.progress import Progress

from motifocal.files.names import slug
from motifocal.media.picture import Pixels
from motifocal.media.sheet import contact_sheet, moving_grid
from motifocal.media.video import resize_crop, write_image, write_video
from motifocal.scenes.render import first_image
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.world import Stage

if TYPE_CHECKING:
    from motifocal.models.pipeline import TI2VPipeline

PICTURES = ("balloons", "bulbs", "bird", "candle")
ENLARGED = 4  # 64 pixels are few on a screen


@dataclass(frozen=True)
class Animated:
    """A drawn picture (H, W, 3) and its videos by sentence, each (F, H, W, 3) uint8."""

    name: str
    picture: Pixels
    videos: dict[str, Pixels]


@click.command()
@click.argument("scenarios", nargs=-1, type=click.Choice(sorted(SCENARIOS)))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("out/demo"),
    show_default=True,
    help="Folder; old files are replaced.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Model folder.  [default: the bundled model]",
)
@click.option("--steps", type=click.IntRange(1), help="Denoising steps.  [default: the model's]")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Of the drawn pictures and of the sampling.",
)
def demo(
    scenarios: tuple[str, ...], output: Path, model: Path | None, steps: int | None, seed: int
) -> None:
    """Animate a few drawn pictures as all their sentences say.

    SCENARIOS name the pictures; four of them by default.
    """
    console = Console(stderr=True)
    with console.status("loading the model"):
        from motifocal.models.pipeline import TI2VPipeline

        pipeline = TI2VPipeline.from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    steps = steps or int(pipeline.config["sample_steps"])
    stages = {name: make_stage(name, "eval", seed) for name in scenarios or PICTURES}
    with Progress(console=console) as progress:
        task = progress.add_task("animating", total=len(stages) * steps)

        def animated(name: str, stage: Stage) -> Animated:
            return animate(
                pipeline, f"{name}{seed}", stage, steps, seed, lambda *step: progress.advance(task)
            )

        made = [animated(name, stage) for name, stage in stages.items()]
    output.mkdir(parents=True, exist_ok=True)
    for path in write(made, output, seed, pipeline.config["sample_fps"]):
        click.echo(path)


def animate(
    pipeline: TI2VPipeline, name: str, stage: Stage, steps: int, seed: int,
    advance: Callable[..., Any],
) -> Animated:  # fmt: skip
    """All videos of one picture in a batch, from the same noise: only the sentence differs."""
    from motifocal.models.noise import noise_generator

    size = pipeline.sample_size
    picture = resize_crop(first_image(stage, max(size)), *size)
    sentences = [action.sentence for action in stage.actions]
    made = pipeline(
        picture, sentences, num_inference_steps=steps, callback_on_step_end=advance,
        generator=[noise_generator(seed) for _ in sentences], output_type="uint8",
    ).frames  # fmt: skip
    return Animated(name, picture, dict(zip(sentences, made, strict=True)))


def write(made: list[Animated], output: Path, seed: int, fps: float) -> Iterator[Path]:
    """Write pictures, videos, the moving grid and the sheet; yields what to look at, sheet last."""
    for one in made:
        write_image(output / f"{one.name}.png", one.picture)
        for sentence, frames in one.videos.items():
            path = output / f"{one.name}_{slug(sentence)}_{seed}.mp4"
            height, width = (side * ENLARGED for side in one.picture.shape[:2])
            write_video(path, resize_crop(frames, height, width), fps)
            yield path
    grid = output / "all.gif"
    write_video(grid, moving_grid([list(one.videos.items()) for one in made]), fps)
    yield grid
    sheet = output / "all.png"
    blocks = [
        (
            f"{one.name}: the picture, then frames of each video",
            [(s, [np.concatenate([one.picture[None], v])]) for s, v in one.videos.items()],
        )
        for one in made
    ]
    write_image(sheet, contact_sheet(blocks))
    yield sheet


if __name__ == "__main__":
    demo()
