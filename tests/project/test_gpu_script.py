"""`runs/gpu.sh`: stages by name, an end in time, and results that are there whatever happens."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "runs" / "gpu.sh"


def run(output: Path, *stages: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *stages], capture_output=True, text=True,
        env={**os.environ, "PYTHON": sys.executable, "OUT": str(output),
             "WORK": str(output / "work"), "BENCHMARKS": "--tiny --parts loss", **environment})


def test_a_stage_that_is_none_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "benchmarks", "nonsense")
    assert done.returncode == 2
    assert "there are: benchmarks ablations bundled" in done.stderr
    assert not (tmp_path / "out" / "gpu.json").exists()


@pytest.mark.slow
def test_a_stage_leaves_its_results_and_its_log(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "benchmarks")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "gpu.json").exists()
    with tarfile.open(tmp_path / "out" / "logs.tgz") as archive:
        assert "logs/benchmarks.log" in archive.getnames()


@pytest.mark.slow
def test_without_time_it_ends_with_code_1_and_what_there_is_is_packed(tmp_path: Path) -> None:
    done = run(tmp_path / "out", "benchmarks", "ablations", SECONDS_LEFT="2",
               ABLATIONS="--quick --only adamw")
    assert done.returncode == 1
    assert "benchmarks failed or was ended" in done.stderr
    assert "ablations failed or was ended" in done.stderr
    for name in ("ablations.tgz", "logs.tgz"):
        assert (tmp_path / "out" / name).exists()
