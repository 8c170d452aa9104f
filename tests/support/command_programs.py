"""A program that stands in for somebody's model, and behaves as a test asks it to."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from motifocal.generate.model import Job

FRAMES = 6
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="signals, and /proc to look")
HEAD = """
import argparse, json, os, pathlib, shutil, subprocess, sys, time
parser = argparse.ArgumentParser()
for name in ("image", "prompt", "out", "seed", "batch"):
    parser.add_argument("--" + name)
given = parser.parse_args()
"""
OPTIONS = " --image {image} --prompt={prompt} --out {output} --seed {seed}"
#: What a program does, chosen by its sentence.
BEHAVES = """
out = pathlib.Path(given.out)
def copy(name, to=out):
    shutil.copy(pathlib.Path(STOCK, name), to)
def crash():
    copy("good.mp4")
    print("loading", flush=True)
    raise RuntimeError("CUDA out of memory")
def truncated():
    data = pathlib.Path(STOCK, "good.mp4").read_bytes()
    out.write_bytes(data[:len(data) // 2])
def folder():
    out.mkdir()
    copy("picture.png", out / "0.png")
    copy("picture.png", out / "1.png")
{
    "good": lambda: copy("good.mp4"),
    "matroska": lambda: copy("other.mkv"),
    "crash": crash,
    "nothing": lambda: print("finished"),
    "empty": lambda: out.touch(),
    "rubbish": lambda: out.write_text("no video at all" * 99),
    "truncated": truncated,
    "still": lambda: copy("still.mp4"),
    "elsewhere": lambda: copy("good.mp4", out.with_name("sample_0.mp4")),
    "link": lambda: out.symlink_to(pathlib.Path(STOCK, "good.mp4")),
    "folder": folder,
    "killed": lambda: os.kill(os.getpid(), 9),
}[given.prompt]()
"""


def jobs_of(tmp_path: Path, stock: Path, *prompts: str) -> list[Job]:
    (tmp_path / "videos").mkdir(exist_ok=True)
    return [Job(stock / "picture.png", prompt, number, tmp_path / "videos" / f"v_{number}.mp4")
            for number, prompt in enumerate(prompts)]


HOSTILE = [
    'a "quoted" duck', "it's a duck", "$(touch pwned) `touch pwned` $HOME", "; touch pwned #",
    "& touch pwned | cat > pwned", "two\nlines\r\nand a\ttab", "--help", "-h", "",
    "{image} {0} {{seed}} {", "é 猫 🦆 \u202e", "\\ \\\\ \\n", "*", "~", "%PATH%", "  spaces  ",
]
LIMITS = (2, 10, 60)  # seconds, each tried where a busy machine does not get as far within the last
