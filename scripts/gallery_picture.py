"""Drawn pairs and three kinds of videos become a gallery, and its page the picture in the docs.

Letters: F frames, H W pixels. Truth, the bundled model, and the image repeated. Needs Chromium
(scripts/install_chromium.sh) and Playwright; the text is in the fonts of the machine.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from motifocal.bench.gallery.page import compare_results, write_gallery
from motifocal.bench.pairs import Benchmark, Pair
from motifocal.bench.results import Results, claim_results
from motifocal.media.codec import FINE_CRF
from motifocal.media.picture import Pixels, read_image
from motifocal.media.video import write_image, write_video
from motifocal.models.noise import noise_generator
from motifocal.models.pipeline import TI2VPipeline
from motifocal.scenes.evaluation.evaluate import EvalPair, eval_pairs, truth_of
from motifocal.scenes.render import FPS, FRAMES
from motifocal.scenes.stage import make_stage

ROOT = Path(__file__).parents[1]
PICTURES = ("bulbs0", "balloons0", "butterfly0")
SIZE = 64  # pixels; what the bundled model makes
SHOWN = 11  # the frame that the picture shows
WIDTH, HEIGHT = 1280, 1140
ROW_WIDTH = 780
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")

Make = Callable[[EvalPair], Pixels]


def truth(pair: EvalPair) -> Pixels:
    """(F, H, W, 3): what the prompt says."""
    stage = make_stage(pair.scenario, "eval", pair.seed)
    return truth_of(stage, size=SIZE, frames=FRAMES).clips[pair.action]


def still(pair: EvalPair) -> Pixels:
    return np.repeat(pair.image()[None], FRAMES, axis=0)


def bundled() -> Make:
    """The bundled model, as it samples by default."""
    pipe = TI2VPipeline.from_pretrained()
    pipe.set_progress_bar_config(disable=True)

    def made(pair: EvalPair) -> Pixels:
        frames: Pixels = pipe(pair.image(), pair.prompt, generator=noise_generator(0),
                              output_type="uint8").frames[0]
        return frames

    return made


def results(folder: Path, model: str, pairs: list[EvalPair], make: Make) -> Results:
    """One model's videos of all pairs."""
    named = tuple(Pair(pair.scenario, pair.image_id, pair.prompt) for pair in pairs)
    benchmark = Benchmark("Synthetic scenes", named, len(named))
    held = Results(folder, model, {}, benchmark, (0,), None)
    claim_results(held)
    for pair, wanted in zip(pairs, held.expected(), strict=True):
        write_image(held.image(wanted.pair), pair.image())
        write_video(wanted.path, make(pair), FPS, crf=FINE_CRF)
    return held


def photograph(page_file: Path, width: int = WIDTH, *, row: bool = False,
               **options: Any) -> Image.Image:
    """The page in Chromium, its videos standing on the same frame; of a `row`, the first alone."""
    found = subprocess.run([ROOT / "scripts" / "install_chromium.sh"], check=True,
                           stdout=subprocess.PIPE, text=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": HEIGHT},
                                reduced_motion="reduce", **options)
        page.goto(page_file.as_uri())
        page.wait_for_selector("video")
        # Not wait_for_function: it needs eval, which the page's policy forbids.
        while not page.evaluate("cards.every(({ row, seen }) => !seen || row?.frames > 1)"):
            page.wait_for_timeout(50)
        page.evaluate(f"cards.forEach((card) => card.row?.show({SHOWN}))")
        page.wait_for_timeout(1500)
        shot = page.locator(".pair").first.screenshot() if row else page.screenshot()
        browser.close()
    return Image.open(io.BytesIO(shot)).convert("RGB")


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              default=ROOT / "docs" / "images" / "gallery.png", help="The picture.")
@click.option("--dark", is_flag=True, help="In the dark colours.")
@click.option("--first-row", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Draw the first row of this gallery instead, as in docs/tutorials/compare.md.")
def main(output: Path, dark: bool, first_row: Path | None) -> None:
    """Draw docs/images/gallery.png anew."""
    colours = {"color_scheme": "dark" if dark else "light"}
    if first_row is not None:
        picture = photograph(first_row / "index.html", ROW_WIDTH, row=True, **colours)
        picture.save(output, optimize=True)
        return click.echo(output)
    pairs = [pair for pair in eval_pairs(80, SIZE) if pair.image_id in PICTURES]
    pairs.sort(key=lambda pair: (pair.action, PICTURES.index(pair.image_id)))
    makers = {"truth": truth, "Motifocal, bundled": bundled(), "still image": still}
    with TemporaryDirectory() as folder:
        home = Path(folder)
        held = [results(home / str(number), name, pairs, make)
                for number, (name, make) in enumerate(makers.items())]
        list(write_gallery(compare_results(held), home / "gallery"))
        picture = photograph(home / "gallery" / "index.html", **colours)
    picture.save(output, optimize=True)
    click.echo(f"{output}: {read_image(output).shape}, {output.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
