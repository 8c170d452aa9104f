"""The benchmark of a GPU runs through on a CPU with tiny shapes, and reports what fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from script_module import module_at

FOLDER = Path(__file__).parents[2] / "benchmarks"
WITHOUT_PYAV = """
import runpy, sys
sys.modules["av"] = None
sys.path.insert(0, sys.argv[1])
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, beside which the others are found."""
    monkeypatch.syspath_prepend(FOLDER)
    return module_at(FOLDER / "gpu.py")


@pytest.mark.slow
def test_all_parts_run_on_a_cpu_without_pyav(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    command = [sys.executable, "-c", WITHOUT_PYAV, str(FOLDER), str(FOLDER / "gpu.py"), "--tiny",
               "--out", str(out), "--tflops", "0.5", "--seconds", "100000"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert list(found["parts"]) == ["paper", "loss", "finetune"]
    assert "error" not in json.dumps(found), done.stderr
    first, second = found["parts"]["paper"]["cases"]
    assert (first["gradient_checkpointing"], second["gradient_checkpointing"]) == (True, False)
    for case in (first, second):
        assert case["ratio_low"] <= case["ratio"] <= case["ratio_high"]
        assert case["predicted_bytes"] > 0 < case["samples_a_second"]
        assert set(case["losses"]) == {"lambda 0", "lambda 1"}
    assert first["model_utilisation"] == pytest.approx(first["utilisation"] * 3 / 4)
    assert found["parts"]["loss"]["share_of_a_paper_step"] < 1
    assert [case["storage"] for case in found["parts"]["finetune"]["cases"]] == ["full", "fp8"]
    assert all(case["predicted_seconds"] > 0 for case in found["parts"]["finetune"]["cases"])
    again = subprocess.run([sys.executable, str(FOLDER / "gpu.py"), "--table", str(out)],
                           capture_output=True, text=True, check=True)  # fmt: skip
    assert again.stdout == done.stdout
    assert "| 2, checkpointing | " in done.stdout


def test_a_part_that_fails_is_reported_and_the_next_one_runs(
    gpu: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def broken(*given: Any) -> dict[str, Any]:
        raise MemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setitem(gpu.PARTS, "paper", broken)
    out = tmp_path / "gpu.json"
    gpu.main(["--tiny", "--parts", "loss,paper", "--out", str(out)])
    found = json.loads(out.read_text())["parts"]
    assert found["paper"]["error"] == "MemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    assert found["loss"]["seconds_motif"] > 0
    assert found["loss"]["share_of_a_paper_step"] is None
    printed = capsys.readouterr().out
    assert "paper: MemoryError: CUDA out of memory" in printed
    assert "times torch's mse_loss" in printed


def test_a_case_without_figures_is_a_row_that_says_why(gpu: ModuleType) -> None:
    part = {"cases": [{"storage": "full", "error": "E: a | b. Much more\nlines"}]}
    (table,) = gpu.finetune_table(part)
    assert table.splitlines()[-1] == "| bfloat16 | E: a / b |  |  |  |  |  |"


def test_an_unknown_part_and_a_machine_without_a_gpu_are_refused(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--parts", "paper,heat"])
    assert "should be of paper, loss, finetune, got 'heat'" in capsys.readouterr().err
    monkeypatch.setattr(gpu.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="a GPU is needed"):
        gpu.main([])
