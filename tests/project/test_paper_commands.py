"""Every row of docs/paper.md has a command, and each of them runs on small stand-ins."""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import document_commands
import document_stand_ins
import numpy as np
import pytest
import tiny
import yaml
from document_blocks import ROOT
from tiny_clip import write_clip
from torchvision_shim import installed

sys.path.insert(0, str(ROOT / "scripts"))
paper_docs = importlib.import_module("paper_docs")

COMMANDS = dict.fromkeys(row[-1] for rows in paper_docs.TABLES.values() for row in rows)
#: Commands that read what others write: by how they begin, what is run before them.
BEFORE = {
    "motifocal figure6 run/": [paper_docs.TRAIN],
    "motifocal study report study.db": [
        next(command for command in COMMANDS if command.startswith("motifocal study create"))],
}
#: Commands that need released weights, and a test that runs the same import on a file of its size.
ELSEWHERE = {"motifocal import videocrafter2 ": ("test_bundle.py", '"import", "videocrafter2"'),
             "motifocal import dynamicrafter ": ("test_released_i2v.py", "DYNAMICRAFTER_BASE")}
#: What runs a command in a process whose torchvision lies apart, with random weights of RAFT.
WITH_TORCHVISION = """
import sys
from pathlib import Path
from torchvision_shim import make_importable
make_importable(Path(sys.argv[1]))
import torch
from torchvision.models.optical_flow import raft_large
torch.manual_seed(0)
torch.save(raft_large(weights=None).state_dict(), "raft.pth")
from motifocal.cli import cli
cli(sys.argv[3:])
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read: clips, their masks, models, shards, a benchmark and results."""
    folder = tmp_path_factory.mktemp("paper")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        document_stand_ins.make_stand_ins(folder)
        tiny.tiny_image_encoder().save_pretrained(folder / "base" / "image_encoder")
        document_stand_ins.run(
            "prepare", "scenes", "-o", "shards", "--model", "base", "--size", 32, "--frames", 4,
            "--clips", 4, "--workers", 0, "--device", "cpu", "--image-tokens", "--prior",
            "score")  # fmt: skip
        (folder / "masks").mkdir()
        for clip in sorted((folder / "clips").glob("*.mp4")):
            shape = (document_stand_ins.FRAMES, document_stand_ins.SIDE, document_stand_ins.SIDE)
            np.savez(folder / "masks" / f"{clip.stem}.npz", mask=np.ones(shape, np.uint8))
        write_clip(folder / "clip")
        _write_animate_bench(folder / "AnimateBench")
    return folder


def _write_animate_bench(folder: Path) -> None:
    """7 models x 5 images x 3 prompts, of which two are sampled."""
    for model in "abcdefg":
        (folder / "img" / model).mkdir(parents=True)
        for number in range(1, 6):
            shutil.copy("picture.png", folder / "img" / model / f"{number}.png")
        (folder / "configs").mkdir(exist_ok=True)
        prompts = [[f"{word} {number}" for word in ("smiling", "crying", "running")]
                   for number in range(5)]
        (folder / "configs" / f"{model}.yaml").write_text(yaml.safe_dump({"prompts": prompts}))


@pytest.fixture
def workspace(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(prepared, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(command: str) -> None:
    """Run a command of the page, only smaller."""
    words = shlex.split(command)
    if "--raft-weights" in words:
        run_with_torchvision(words)
    elif "--cost" in words:
        document_stand_ins.run(*words[1:])
    elif "AnimateBench" in words:
        document_commands.run_command([*words, "--limit", "2"])
    else:
        document_commands.run_command(words)
    if words[1:3] == ["study", "create"]:
        document_stand_ins.judge(Path("study.db"))


def run_with_torchvision(words: list[str]) -> None:
    folder = installed()
    if folder is None:
        pytest.skip("torchvision is not installed apart")
    done = subprocess.run(
        [sys.executable, "-c", WITH_TORCHVISION, str(folder), *words, "--device", "cpu", "--size",
         "128", "--raft-iterations", "1"], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'tests' / 'support'}:{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_every_row_of_the_page_has_a_command() -> None:
    rows = [row for rows in paper_docs.TABLES.values() for row in rows]
    assert [row[0] for row in rows if not row[-1].startswith("motifocal ")] == []
    text = paper_docs.PATH.read_text(encoding="utf-8")
    assert [command for command in COMMANDS if f"| `{command}` |" not in text] == []


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(command: str, workspace: Path) -> None:
    for begin, (test, words) in ELSEWHERE.items():
        if command.startswith(begin):
            assert words in next((ROOT / "tests").rglob(test)).read_text("utf-8")
            return
    for begin, commands in BEFORE.items():
        if command.startswith(begin):
            for before in commands:
                run(before)
    run(command)
