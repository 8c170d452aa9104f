"""Commands over a few drawn clips, and the files that they write, to compare runs of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from doctor_clips import moving, save


def drawn(folder: Path, count: int) -> Path:
    for number in range(count):
        clip = moving(number, frames=6, height=48, width=64, speed=2.0 + number % 3)
        save(folder / f"{number:03d}.mp4", clip)
        (folder / f"{number:03d}.txt").write_text(f"a square, number {number}")
    return folder


def invoke(command: Any, *arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, f"{result.output} {result.exception!r}"
    return result


def files(folder: Path, *patterns: str) -> dict[str, bytes]:
    paths = [path for pattern in patterns for path in folder.glob(pattern)]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


OF_INSPECT = ("inspect.json", "inspect.html", "thumbs/*.webp")  # not what a killed worker wrote to
INSPECT = ("--frames", 5, "--size", "48x64", "--fail-on", "never", "-q")
EXPORT = ("--as", "latents", "--family", "wan", "--size", "48x64", "--frames", 5, "-q")
PREPARE = ("--size", "48x64", "--frames", 4, "--max-stride", 1, "--clips-per-shard", 2, "-q")
