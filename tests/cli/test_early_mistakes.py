"""Mistakes that cost nothing to find are found before torch, which takes seconds, is loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_bench import write_benchmark

from motifocal.media.video import write_image

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "diffusers", "transformers", "accelerate")
# Runs each of the command lines in one interpreter, and says after each whether anything heavy was
# loaded by it.
PROGRAM = """
import contextlib, io, json, sys
from motifocal.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["motifocal", *words]
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
    loaded = sorted(set(json.loads(HEAVY)) & set(sys.modules))
    print(json.dumps([code, said.getvalue(), loaded]))
""".replace("HEAVY", repr(json.dumps(HEAVY)))

TRAIN = ("train", "shards", "-o", "run", "--model", "base")
MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "animate: no such model": (
        ("animate", "duck.png", "it rises", "--model", "nosuchfolder"),
        "nosuchfolder should be a model folder or a hub id like owner/name"),
    "animate: a folder of something else": (
        ("animate", "duck.png", "it rises", "--model", "base"), "got no model_index.json in it"),
    "animate: a device that is none": (
        ("animate", "duck.png", "it rises", "--device", "gpu"), "should be auto, cpu, cuda"),
    "animate: a motion score for a model that knows none": (
        ("animate", "duck.png", "it rises", "--motion", "0.5"),
        "--motion should go with a model trained with `motifocal train --prior score`"),
    "train: a prior that is none": (
        (*TRAIN, "--preset", "scenes", "--prior", "speed"), "should be score or mask or both"),
    "train: tokens without an image encoder": (
        (*TRAIN, "--preset", "scenes", "--set", "unet.image_condition=both",
         "--set", "unet.image_token_dim=9"), "base should hold an image_encoder/"),
    "prepare: tokens without an image encoder": (
        ("prepare", "clips", "-o", "out", "--model", "base", "--image-tokens"),
        "should hold a folder image_encoder/"),
    "train: an unknown setting": (
        (*TRAIN, "--preset", "scenes", "--set", "stpes=3"), "there is no setting 'stpes'"),
    "train: a bad value": (
        (*TRAIN, "--preset", "scenes", "--set", "steps=0"), "steps should be greater than 0"),
    "train: a rate that is never reached": (
        (*TRAIN, "--preset", "scenes", "--set", "steps=30"), "warmup=2 and cooldown=17"),
    "train: no preset": (TRAIN, "give --preset scenes (a network of 7.3 million parameters"),
    "train: clips in place of shards": (
        ("train", "clips", "-o", "run", "--model", "base", "--preset", "scenes"),
        "clips should hold prepared.json: it is no prepared folder"),
    "train: a model folder in parts": (
        ("train", "shards", "-o", "run", "--model", "clips", "--preset", "scenes"),
        "clips should hold a folder vae/"),
    "prepare: no such clips": (
        ("prepare", "nosuchclips", "-o", "out", "--model", "base"), "nosuchclips is not there"),
    "prepare: a model folder in parts": (
        ("prepare", "clips", "-o", "out", "--model", "clips"), "should hold a folder vae/"),
    "prepare: synthetic scenes that are not square": (
        ("prepare", "scenes", "-o", "out", "--model", "base", "--size", "32x64"), "are square"),
    "prepare: a setting that cannot be": (
        ("prepare", "clips", "-o", "out", "--model", "base", "--slope", "0"),
        "slope should be positive, got 0.0"),
    "heatmap: a setting that cannot be": (
        ("heatmap", "clips", "-o", "out", "--noise", "-1"), "noise should be at least 0"),
    "figure6: a run that is none": (
        ("figure6", "clips", "shards", "-o", "out", "--text", "base"), "should be a run or"),
    "figure6: no text encoder": (
        ("figure6", "run0", "shards", "-o", "out"), "a run has none: name its base folder"),
    "bundle: a run that is none": (
        ("bundle", "clips", "base", "-o", "out"), "should hold training.json"),
    "bundle: an output that is there": (
        ("bundle", "run0", "base", "-o", "clips"), "clips should not exist"),
    "base: a decoder of nothing": (
        ("base", "--decoder-of", "clips", "-o", "out"), "clips should hold a folder vae/"),
    "bench run: no such model": (
        ("bench", "run", "--bench", "bench", "--own-pairs", "--model", "nosuch", "-o", "out"),
        "nosuch should be a model folder or a hub id"),
    "bench run: no model at all": (
        ("bench", "run", "--bench", "bench", "--own-pairs", "-o", "out"),
        "give either --model or --command"),
    "bench run: a benchmark that is not here": (
        ("bench", "run", "--bench", "TI2V-Bench", "--model", "bundled", "-o", "out"),
        "'TI2V-Bench' does not exist. TI2V-Bench is published at https://"),
    "inspect: a model by its id": (
        ("inspect", "clips", "--model", "owner/name"), "hf download OWNER/NAME --local-dir"),
    "inspect: a folder without videos": (
        ("inspect", "clips"), "clips should hold videos (.mp4, .mov,"),
    "prepare: an open model without a length": (
        ("prepare", "clips", "-o", "out", "--model", "owner/name", "--size", "480x832"),
        "e.g. --frames 49 --size 480x832"),
    "animate: no image": (
        ("animate", "shards/prepared.json", "it rises"), "in a known format (PNG, JPEG,"),
    "scenes eval: no such folder": (("scenes", "eval", "nosuch"), "nosuch is no folder"),
}  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, list[str]]]:
    """For each mistake: the exit code, what was said, what was loaded by then."""
    folder = tmp_path_factory.mktemp("mistakes")
    write_image(folder / "duck.png", np.zeros((32, 32, 3), np.uint8))
    write_benchmark(folder / "bench")
    for name in ("clips", "base/vae", "base/tokenizer", "base/text_encoder", "shards",
                 "run0/checkpoints"):  # fmt: skip
        (folder / name).mkdir(parents=True)
    (folder / "shards/prepared.json").write_text("{}")
    (folder / "run0/training.json").write_text("{}")
    lines = json.dumps([list(words) for words, _ in MISTAKES.values()])
    done = subprocess.run([sys.executable, "-c", PROGRAM, lines], cwd=folder, check=True,
                          capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(MISTAKES, answers, strict=True))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_cheap_mistake_is_told_before_anything_heavy_is_loaded(
    mistake: str, outcomes: dict[str, tuple[int, str, list[str]]]
) -> None:
    code, said, loaded = outcomes[mistake]
    assert MISTAKES[mistake][1] in " ".join(said.split())
    assert code in (1, 2)
    assert loaded == []
