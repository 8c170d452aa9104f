"""Fine-tune a tiny Wan that moves with lambda = 0 and 1, on synthetic scenes, and write the page.

    python scripts/finetune_scenes.py -o out/finetune-scenes

From nothing but this project: scenes are drawn; an autoencoder of Wan's class is trained on them;
every weight of a small Wan 2.1 I2V is trained on its latents until videos move; LoRAs of that base
are trained on other scenes with `--motif-weight 0,1`; `ab.html` sets them side by side on scenes
that neither saw. All but the autoencoder goes through `motifocal prepare` and `motifocal train`.
Each stage goes on where it was stopped; `stages.jsonl` has the time of each start. A folder is of
one `--autoencoder` and one `--base`, which `lengths.json` keeps; `--lora` and `--videos` may grow.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from finetune_scenes_model import build_pipeline

from motifocal.cli.finetune.ab_scenes import STANDS_STILL, scene_scores
from motifocal.cli.finetune.ab_videos import newest_videos
from motifocal.data.caption_formats import METADATA
from motifocal.files.atomic import write_text
from motifocal.files.settings import lock_settings
from motifocal.metrics import over_images
from motifocal.scenes.export import MANIFEST
from motifocal.scenes.stage import SCENARIOS as ALL_SCENARIOS
from motifocal.training.finetune.cache import ClipCache

SIZE, FRAMES, FPS = 64, 9, 8
# A few kinds of scenes with large motions, and many clips of each: of fewer clips the transformer
# learns each one, and does not move what it has not seen.
SCENARIOS = ("duck", "golf", "sun")
SCENES = {  # clips, split, seed
    "pretrain": (600, "train", 0), "finetune": (120, "train", 1), "held-out": (48, "eval", 2),
}  # fmt: skip
PIXELS = ("--evidence", "pixels", "--dis-preset", "medium")  # how heatmaps are made


@dataclass(frozen=True)
class Lengths:
    """Optimiser steps of the autoencoder, of the base and of each LoRA; the videos sampled."""

    autoencoder: int = 900
    base: int = 800
    lora: int = 100
    videos: int = 48


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("-o", "--output", type=Path, default=Path("out/finetune-scenes"))
    for name, value in vars(Lengths()).items():
        options.add_argument(f"--{name}", type=int, default=value, help=f"default: {value}")
    given = vars(options.parse_args(arguments))
    folder = given.pop("output")
    folder.mkdir(parents=True, exist_ok=True)
    lengths = Lengths(**given)
    try:
        keep_lengths(folder, lengths)
    except ValueError as error:
        options.error(str(error))
    for name, stage in stages(folder, lengths).items():
        began = time.monotonic()
        stage()
        with (folder / "stages.jsonl").open("a") as file:
            file.write(json.dumps({"stage": name, "seconds": time.monotonic() - began}) + "\n")


def keep_lengths(folder: Path, lengths: Lengths) -> None:
    """Write what the base is trained for; ValueError where the folder's is trained for another.

    A schedule is made for its length, and the LoRAs are of the base that is there.
    """
    of_base = {"autoencoder": lengths.autoencoder, "base": lengths.base}
    lock_settings(folder / "lengths.json", of_base)


def stages(folder: Path, lengths: Lengths) -> dict[str, Callable[[], Any]]:
    """Return what is done, in order; each does nothing where it was done before."""
    still, moving = folder / "untrained", folder / "base"
    return {
        "scenes": lambda: export_scenes(folder),
        "pipeline": lambda: build_pipeline(
            folder / "scenes" / "pretrain", folder / "autoencoder", still, lengths.autoencoder),
        "caches": lambda: [prepare(folder, name, still) for name in SCENES],
        "base": lambda: train_base(folder, still, moving, lengths),
        "motion": lambda: report_motion(folder),
        "ab": lambda: train_loras(folder, moving, lengths),
    }


def motifocal(*arguments: object) -> None:
    """Run a command; its messages go where this script's go."""
    subprocess.run([sys.executable, "-m", "motifocal", *map(str, arguments)], check=True)


def export_scenes(folder: Path) -> None:
    """Draw captioned clips: to train the base, to fine-tune, and those held out."""
    for name, (clips, split, seed) in SCENES.items():
        drawn, kept = folder / "drawn" / name, folder / "scenes" / name
        if (kept / METADATA).exists():
            continue
        every = clips * len(ALL_SCENARIOS) // len(SCENARIOS)
        motifocal("scenes", "export", "-o", drawn, "--clips", every, "--size", SIZE, "--frames",
                  FRAMES, "--split", split, "--seed", seed)  # fmt: skip
        rows = [row for row in (drawn / METADATA).read_text().splitlines()
                if json.loads(row)["scenario"] in SCENARIOS]  # fmt: skip
        (kept / "videos").mkdir(parents=True, exist_ok=True)
        for file in (MANIFEST, *(json.loads(row)["file_name"] for row in rows)):
            shutil.copyfile(drawn / file, kept / file)
        write_text(kept / METADATA, "\n".join(rows) + "\n")


def prepare(folder: Path, name: str, model: Path) -> None:
    """Encode one of `SCENES`."""
    motifocal("prepare", folder / "scenes" / name, "-o", folder / "caches" / name, "--model", model,
              "--frames", FRAMES, "--size", f"{SIZE}x{SIZE}", "--fps", FPS, "--precision",
              "float32", "--device", "cpu", "--floor", 0.05, *PIXELS)  # fmt: skip


def train_base(folder: Path, still: Path, moving: Path, lengths: Lengths) -> None:
    """Train every weight of the transformer; `moving` is the pipeline that comes out."""
    run = folder / "base-run"
    settings = {"steps": lengths.base, "learning_rate": 3e-3, "warmup": 50, "global_batch": 16,
                "micro_batch": 16, "cooldown": lengths.base // 2, "save_every": 25,
                "optimizer": "muon", "validate_every": max(1, lengths.base // 2)}  # fmt: skip
    train(folder, "pretrain", run, still, settings, "--full", "--motif-weight", 0, "--samples",
          lengths.videos)  # fmt: skip
    if not (moving / "model_index.json").exists():
        for part in still.iterdir():
            if part.is_dir() and part.name != "transformer":
                shutil.copytree(part, moving / part.name, dirs_exist_ok=True)
        shutil.copytree(run / "full" / "transformer", moving / "transformer", dirs_exist_ok=True)
        shutil.copy(still / "model_index.json", moving)


def report_motion(folder: Path) -> None:
    """Say whether the base's videos of held-out scenes move, and write it to `motion.json`.

    A video moves where a true clip of its picture, of whatever sentence, is nearer than the
    picture standing still.
    """
    clips = ClipCache(folder / "caches" / "held-out")
    made, _ = scene_scores(clips, {"base": newest_videos(folder / "base-run")})
    values = {name: np.array(of_clips, dtype=float) for name, of_clips in made["base"].items()}
    values["moves"] = 1 - values.pop(STANDS_STILL)
    means = {name: asdict(over_images(of_clips, [*map(str, range(len(of_clips)))]))
             for name, of_clips in values.items()}  # fmt: skip
    write_text(folder / "motion.json", json.dumps(means, indent=1) + "\n")
    for name, mean in means.items():
        print(f"base: {name} {mean['mean']:.3g} ({mean['low']:.3g} to {mean['high']:.3g})")


def train_loras(folder: Path, base: Path, lengths: Lengths) -> None:
    """Train a LoRA with each lambda, from the same draws, and write the page."""
    settings = {"steps": lengths.lora, "learning_rate": 1e-3, "warmup": 20, "global_batch": 8,
                "micro_batch": 8, "save_every": 50, "validate_every": lengths.lora}  # fmt: skip
    train(folder, "finetune", folder / "ab", base, settings, "--lora", 16, "--motif-weight", "0,1",
          "--samples", lengths.videos)  # fmt: skip


def train(
    folder: Path, name: str, run: Path, model: Path, settings: dict[str, Any], *more: object
) -> None:
    """Run `motifocal train` on the cache of one of `SCENES`."""
    settings = {"precision": "float32", "gradient_checkpointing": False, "sample_steps": 12,
                "sample_guidance": 1, **settings}  # fmt: skip
    motifocal("train", folder / "caches" / name, "-o", run, "--model", model, "--held-out",
              folder / "caches" / "held-out", "--device", "cpu", "--log-with", "none", *more,
              *(part for key, value in settings.items()
                for part in ("--set", f"{key}={json.dumps(value)}")))  # fmt: skip


if __name__ == "__main__":
    main()
