"""A small folder that holds what the documents name: clips, models, videos, a benchmark.

Everything is of the real classes and formats, only small: clips of 17 frames of 64 x 64 pixels,
models with random weights, two pairs in place of 320.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import tiny_study
import torch
from click.testing import CliRunner
from document_blocks import ROOT
from tiny_model import tiny_folder
from tiny_vaes import tiny_vae

from motifocal.cli import cli
from motifocal.data.sources import SceneClips
from motifocal.loss.latent_grid import FAMILIES
from motifocal.media.video import write_image, write_video
from motifocal.scenes.render import render
from motifocal.scenes.stage import make_stage
from motifocal.study.store.store import Store

FRAMES, SIDE, FPS = 17, 64, 16.0


def run(*words: object) -> None:
    """A command of ours that has to succeed."""
    done = CliRunner().invoke(cli, [str(word) for word in words])
    assert done.exit_code == 0, (words, done.output, done.exception)


def make_stand_ins(folder: Path) -> None:
    """Fill the folder that every page starts from, which has to be the current one."""
    _write_clips(folder / "clips")
    stage = make_stage("balloons", "eval", 1)
    for name in ("image.png", "picture.png"):
        write_image(folder / name, render(stage, stage.actions[0], size=64).frames[0])
    for name in ("base", "videocrafter2"):
        tiny_folder(folder / name)
    (folder / "held-out-cache").mkdir()
    (folder / "cache").mkdir()  # of a published model, which no document reads, like its LoRA
    (folder / "run" / "lora").mkdir(parents=True)
    (folder / "model.ckpt").touch()  # of released weights, which no document reads
    run("prepare", "scenes", "-o", "held-out", "--model", "base", "--size", 32, "--frames", 4,
        "--clips", 4, "--split", "eval", "--workers", 0, "--device", "cpu")  # fmt: skip
    run("scenes", "export", "-o", "TI2V-Bench", "--kind", "benchmark", "--truth", "--pairs", 2,
        "--size", 32)  # fmt: skip
    for name in ("outputs/ours", "outputs/theirs", "outputs/cinemo", "outputs/motif",
                 "videos/motif"):  # fmt: skip
        shutil.copytree(folder / "TI2V-Bench" / "videos", folder / name)
    (folder / "dataset" / ".precomputed").mkdir(parents=True)
    (folder / "dataset.toml").write_text("")
    for table in (ROOT / "runs" / "ablations" / "hard").glob("*.csv.gz"):  # true results
        place = folder / "runs" / "ablations" / "hard" / table.name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(table, place)
    (folder / "answers").mkdir()
    (folder / "answers" / "answers-1.json").write_text("{}")


def _write_clips(folder: Path) -> None:
    """Three captioned clips in a folder, and a table of them beside it."""
    folder.mkdir()
    rows = []
    clips = SceneClips(3, "train", SIDE, FRAMES, seed=0)
    for index in range(len(clips)):
        path = folder / f"clip{index}.mp4"
        write_video(path, clips[index].frames, FPS)
        path.with_suffix(".txt").write_text(clips[index].caption)
        rows.append({"video_path": f"clips/{path.name}", "caption": clips[index].caption})
    folder.with_suffix(".jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def make_results(folder: Path) -> None:
    """A folder of results, as `bench run` makes it of a model whose weights are not here."""
    if not folder.exists():
        run("bench", "ingest", "outputs/ours", "--bench", "TI2V-Bench", "--name", folder.name,
            "-o", folder)  # fmt: skip


def judge(study: Path) -> None:
    """The votes that people cast while `study serve` runs."""
    with Store(study) as store:
        tiny_study.finish(store)


def python_names(block_text: str) -> dict[str, Any]:
    """What a block of Python takes as given: frames, a heatmap, a prediction in the block's layout.

    Latents are those of the family that the block names, in the order of axes that it says.
    """
    torch.manual_seed(0)
    frames = SceneClips(1, "train", SIDE, FRAMES, seed=0)[0].frames
    family = next((name for name in sorted(FAMILIES, key=len, reverse=True)
                   if f'"{name}"' in block_text), "wan")  # fmt: skip
    geometry = FAMILIES[family]
    count, side = geometry.latent_frames(FRAMES), SIDE // geometry.spatial_stride
    shape: tuple[int, ...] = (1, 4, count, side, side)
    if "(B, F', 1, h, w)" in block_text:
        shape = (1, count, 4, side, side)
    if "(B, N, 1)" in block_text:
        shape = (1, count * side * side, 4)
    return {
        "frames": frames, "clip": "clips/clip0.mp4", "heatmap": torch.rand(1, FRAMES, SIDE, SIDE),
        "prediction": torch.randn(shape, requires_grad=True), "target": torch.randn(shape),
        "vae": tiny_vae("sd"), "sigma": torch.rand(1) + 0.5, "weighting": torch.rand(1) + 0.5,
    }  # fmt: skip
