"""Preparing scenes, training on them and probing read no video, so they need no PyAV."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from motifocal.models.pipeline import BUNDLED

RUN = """
import sys
sys.modules["av"] = None  # importing it fails
from motifocal.cli import main
sys.argv = ["motifocal", *sys.argv[1:]]
main()
"""
COMMAND_MODULES = ("motifocal.cli.prepare", "motifocal.cli.train", "motifocal.cli.scenes.probe",
                   "motifocal.training.loop", "motifocal.training.measurement.probe",
                   "motifocal.data.sources", "motifocal.models.pipeline")


def test_modules_of_training_on_scenes_import_no_pyav() -> None:
    code = "import sys; sys.modules['av'] = None\n"
    code += "".join(f"import {name}\n" for name in COMMAND_MODULES)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120,
                          check=False)
    assert done.returncode == 0, done.stderr


def test_scenes_are_prepared_without_pyav(tmp_path: Path) -> None:
    arguments = ["prepare", "scenes", "--size", "64", "--clips", "2", "--model", str(BUNDLED),
                 "--masks", "moving", "--device", "cpu", "-o", str(tmp_path / "shards")]
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], capture_output=True, text=True,
                          timeout=300, check=False)
    assert done.returncode == 0, done.stderr
