"""Drawn clips with faults built in are examined, and the page becomes the picture in the docs.

Letters: F frames, H W pixels. Needs Chromium (scripts/install_chromium.sh) and Playwright; the text
is in the fonts of the machine.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from motifocal.cli.inspect import inspect
from motifocal.media.picture import Pixels, read_image
from motifocal.media.video import write_video
from motifocal.scenes.export import recipe
from motifocal.scenes.render import render

ROOT = Path(__file__).parents[1]
CLIPS = 60
SIZE = 192  # pixels
SEED = 5
RATES = (8.0, 8.0, 12.0)  # frames/s
FRAMES = (25, 33, 41, 57)
WIDTH, HEIGHT = 1280, 1290
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def drawn(index: int) -> tuple[Pixels, str]:
    """(F, H, W, 3) and its caption; a third are upright, a third wide, a third square."""
    made = recipe(index, "train", SEED, "mixed")
    clip = render(made.stage, made.action, size=SIZE, frames=FRAMES[index % len(FRAMES)],
                  camera=made.camera)
    margin = SIZE // 8
    rows, columns = ((0, 0), (margin, 0), (0, margin))[index % 3]
    frames = clip.frames[:, rows : SIZE - rows, columns : SIZE - columns]
    return np.ascontiguousarray(frames), made.text


def still(frames: Pixels, _other: Pixels) -> Pixels:
    return np.repeat(frames[:1], len(frames), axis=0)


def cut(frames: Pixels, other: Pixels) -> Pixels:
    """The first third of one clip, then the rest of another."""
    height, width = (min(pair) for pair in zip(frames.shape[1:3], other.shape[1:3], strict=True))
    third = len(frames) // 3
    return np.concatenate([clip[:, :height, :width] for clip in (frames[:third], other[third:])])


def short(frames: Pixels, _other: Pixels) -> Pixels:
    return frames[:7]


# Which clips have what done to their frames, and which to their file or their caption.
SPOILT: dict[int, Callable[[Pixels, Pixels], Pixels]] = {
    4: cut, 9: still, 17: short, 22: cut, 31: still, 38: cut, 44: short, 53: still}
UNREADABLE, UNLISTED, SILENT, AGAIN = (13, 47), (6,), (15, 27), {35: 2, 57: 20}


def write_clips(folder: Path) -> None:
    """The clips, and `metadata.jsonl` with their captions."""
    folder.mkdir()
    made = [drawn(index) for index in range(CLIPS)]
    lines = []
    for index, (frames, caption) in enumerate(made):
        name = f"clip_{index:03d}.mp4"
        if index in SPOILT:
            frames = SPOILT[index](frames, made[index + 1][0])
        write_video(folder / name, frames, RATES[index % len(RATES)], crf=18)
        if index not in UNLISTED:
            text = "" if index in SILENT else caption
            lines.append(json.dumps({"file_name": name, "text": text}) + "\n")
    for index in UNREADABLE:
        path = folder / f"clip_{index:03d}.mp4"
        path.write_bytes(path.read_bytes()[:2000])
    for copy, source in AGAIN.items():
        shutil.copyfile(folder / f"clip_{source:03d}.mp4", folder / f"clip_{copy:03d}.mp4")
    (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")


def examine(folder: Path, output: Path) -> Path:
    """The page that the command itself makes."""
    size = str(SIZE - 2 * (SIZE // 8))
    inspect.main([str(folder), "-o", str(output), "--frames", "17", "--size", f"{size}x{size}",
                  "--fail-on", "never"], standalone_mode=False)
    return output / "inspect.html"


def photograph(page_file: Path, ready: Callable[[Page], None], **options: Any) -> Image.Image:
    """The page in Chromium, once `ready` has brought it to what is to be seen."""
    found = subprocess.run([ROOT / "scripts" / "install_chromium.sh"], check=True,
                           stdout=subprocess.PIPE, text=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found.stdout.strip(), args=FLAGS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT},
                                reduced_motion="reduce", **options)
        page.goto(page_file.as_uri())
        ready(page)
        # Not wait_for_function: it needs eval, which the page's policy forbids.
        # Images below what is seen are loaded when one scrolls to them.
        while not page.evaluate("[...document.images].every((one) => one.naturalWidth"
                                " || one.getBoundingClientRect().top > innerHeight)"):
            page.wait_for_timeout(50)
        page.wait_for_timeout(200)
        shot = page.screenshot()
        browser.close()
    return Image.open(io.BytesIO(shot)).convert("RGB")


def with_overlays(page: Page) -> None:
    """Heat on all clips, as it is on the one that is hovered over."""
    page.get_by_role("button", name="Overlays").click()


@click.command()
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
              default=ROOT / "docs" / "images" / "inspect.png", help="The picture.")
@click.option("--dark", is_flag=True, help="In the dark colours.")
def main(output: Path, dark: bool) -> None:
    """Draw docs/images/inspect.png anew."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        write_clips(home / "balloons and ducks")
        page = examine(home / "balloons and ducks", home / "inspected")
        picture = photograph(page, with_overlays, color_scheme="dark" if dark else "light")
    picture.save(output, optimize=True)
    click.echo(f"{output}: {read_image(output).shape}, {output.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
