"""What is trained and measured side by side: all that is not there, and nothing that is."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import ablations
import ablations_gpu
import ablations_plan
from ablations_inputs import Batch

from motifocal.training.checkpoint import save_checkpoint


def trained(runner: ablations.Runner, job: ablations_plan.Job) -> None:
    """Leave what a run leaves that has ended."""
    runner.result(job).parent.mkdir(parents=True, exist_ok=True)
    runner.result(job).touch()
    save_checkpoint(runner.folder(job) / "checkpoints", 4, {})


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_not_there_is_trained_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool,
) -> None:
    class Trainer:
        def __init__(self, runner: ablations.Runner, model: Path, ended: object, device: object,
                     ) -> None:
            self.runner, self.ended = runner, ended

        def train(self, groups: list[Batch]) -> None:
            for job in [job for group in groups for job in group.jobs][fails:]:
                trained(self.runner, job)
                self.ended(job)  # type: ignore[operator]

    monkeypatch.setattr(ablations_gpu, "Trainer", Trainer)
    monkeypatch.setattr(ablations_gpu.signal, "signal", lambda *given: None)
    runner = ablations.Runner(tmp_path / "work", tmp_path / "results", ablations_plan.QUICK, "cpu")
    jobs = ablations_plan.plan(ablations_plan.QUICK, ["lively"])
    complete, unmeasured, *new = jobs
    for job in (complete, unmeasured):
        trained(runner, job)
    runner.figure6(complete).touch()
    runner.sampled(complete, "end").touch()
    asked: list[tuple[str, str]] = []

    def begin(part: str, name: str) -> bool:
        asked.append((part, name))
        return True

    assert ablations_gpu.train_side_by_side(runner, jobs, Path("model"), begin) is not fails
    expected = [unmeasured, *new[fails:]]
    assert complete.name not in {name for part, name in asked}
    for part in ("figure6", "sample"):
        assert sorted(n for p, n in asked if p == part) == sorted(job.name for job in expected)
