"""Runs that are trained side by side compute what `motifocal train` computes."""

from __future__ import annotations

import sys
from concurrent.futures import Future
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import ablations  # noqa: E402
import ablations_inputs  # noqa: E402
import ablations_plan  # noqa: E402
from replay_optimizer import ReplayOptimizer  # noqa: E402
from replay_trainer import Trainer  # noqa: E402

from motifocal.scenes.evaluation.probe_table import PROBE_TABLE, read_probe_table  # noqa: E402
from motifocal.training.log import read_log  # noqa: E402
from motifocal.training.optimizer import build_optimizer  # noqa: E402
from motifocal.training.run_folder import load_averaged  # noqa: E402

SCALE = replace(ablations_plan.QUICK, clips=16, held_out=8, pairs=5, steps=3, probe_every=2,
                copier_steps=2)


def small_network() -> nn.ModuleDict:
    torch.manual_seed(0)
    return nn.ModuleDict({"conv_in": nn.Conv2d(2, 4, 3), "wide": nn.Linear(4, 8),
                          "also_wide": nn.Linear(4, 8), "tall": nn.Linear(8, 4),
                          "conv": nn.Conv2d(4, 4, 3), "norm": nn.LayerNorm(4)})


@pytest.mark.parametrize("name", ["muon", "adamw"])
def test_the_recordable_optimizer_takes_the_steps_of_the_command_s(name: str) -> None:
    theirs, ours = small_network(), small_network()
    rate = torch.zeros(())
    expected = build_optimizer(name, theirs, 0.02, 0.1, ("conv_in", "conv_out"))
    replayed = ReplayOptimizer(name, ours.named_parameters(), rate, 0.1)
    generator = torch.Generator().manual_seed(1)
    for step in range(4):
        rate.fill_(0.01 * (step + 1))
        expected.param_groups[0]["lr"] = 0.01 * (step + 1)
        for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
            p.grad = torch.randn(p.shape, generator=generator)
            q.grad = p.grad.clone()
        expected.step()
        replayed.step()
    for (key, p), q in zip(theirs.named_parameters(), ours.parameters(), strict=True):
        # Muon's iterations are in bfloat16: batched, they round otherwise.
        exact = name == "adamw" or p.ndim < 2 or key.startswith("conv_in")
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6 if exact else 2e-3)


def test_a_reset_optimizer_takes_the_same_steps_again() -> None:
    network = small_network()
    first = deepcopy(network.state_dict())
    replayed = ReplayOptimizer("muon", network.named_parameters(), torch.tensor(0.02), 0.1)
    ends = []
    for _ in range(2):
        network.load_state_dict(first)
        for p in network.parameters():
            p.grad = torch.ones_like(p)
        replayed.step()
        replayed.step()
        ends.append(deepcopy(network.state_dict()))
        replayed.reset()
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in first)


@pytest.fixture(scope="module")
def jobs() -> list[ablations_plan.Job]:
    by_key = {e.key: e for e in ablations_plan.EXPERIMENTS}
    _, motif = ablations_plan.TWO
    return [ablations_plan.Job(by_key[key], motif, 0) for key in ("still", "adamw", "copier")]


@pytest.fixture(scope="module")
def trained(jobs: list[ablations_plan.Job], tmp_path_factory: pytest.TempPathFactory,
            ) -> tuple[ablations.Runner, ablations.Runner]:
    """The same jobs, trained by the command and side by side."""
    work = tmp_path_factory.mktemp("replay")
    theirs = ablations.Runner(work, work / "results", SCALE, "cpu")
    ours = ablations.Runner(work / "again", work / "results", SCALE, "cpu")
    for job in jobs:
        theirs.prepare(job)
        ablations.call("train", *theirs.train_words(job))
    (work / "again").mkdir()
    (work / "again" / "shards").symlink_to(work / "shards")
    measured: list[str] = []
    trainer = Trainer(ours, ablations.MODEL, lambda job: measured.append(job.name),
                                    torch.device("cpu"))
    trainer.train(ablations_inputs.batches(jobs))
    assert sorted(measured) == sorted(job.name for job in jobs)
    assert all(ours.result(job).exists() for job in jobs)
    return theirs, ours


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 1, 2], ids=["muon", "adamw", "from a copier"])
def test_a_run_beside_others_is_the_run_of_the_command(
    number: int, jobs: list[ablations_plan.Job],
    trained: tuple[ablations.Runner, ablations.Runner],
) -> None:
    job = jobs[number]
    theirs, ours = (runner.folder(job) for runner in trained)
    logs = [read_log(folder / "log.jsonl") for folder in (theirs, ours)]
    assert [line["step"] for line in logs[0]] == [line["step"] for line in logs[1]] == [1, 2, 3]
    for key in ("loss", "diffusion", "motion", "norm"):
        assert [line[key] for line in logs[1]] == pytest.approx(
            [line[key] for line in logs[0]], rel=5e-3)
    (unet, settings, step), (again, also, _) = load_averaged(theirs), load_averaged(ours)
    assert (settings, step) == (also, 3)
    for p, q in zip(unet.parameters(), again.parameters(), strict=True):
        assert (p - q).detach().norm() <= 0.02 * max(1.0, p.detach().norm())
    points = [read_probe_table(folder / PROBE_TABLE) for folder in (theirs, ours)]
    assert [(row.step, row.image_id, row.action) for row in points[0]] == [
        (row.step, row.image_id, row.action) for row in points[1]]
    assert [row.margin for row in points[1]] == pytest.approx(
        [row.margin for row in points[0]], abs=0.02)


@pytest.mark.slow
def test_a_run_that_cannot_be_recorded_is_refused(
    jobs: list[ablations_plan.Job], trained: tuple[ablations.Runner, ablations.Runner],
) -> None:
    _, ours = trained
    trainer = Trainer(ours, ablations.MODEL, lambda job: None, torch.device("cpu"))
    job = jobs[0]
    words = [*ours.train_words(job), "--set", "micro_batch=8"]
    with pytest.raises(ValueError, match="one micro-batch"):
        trainer._run(job.name, ours.shards(job), ours.work / "refused", words, {}, None)


@pytest.mark.slow
def test_a_group_that_cannot_begin_is_left_out_and_what_was_probed_of_another_is_kept(
    jobs: list[ablations_plan.Job], trained: tuple[ablations.Runner, ablations.Runner],
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:
    _, ours = trained
    ours = replace(ours, results=tmp_path)
    ended: list[ablations_plan.Job] = []
    trainer = Trainer(ours, ablations.MODEL, ended.append, torch.device("cpu"))
    missing: Future[bool] = Future()
    missing.set_result(False)
    trainer.train([ablations_inputs.Batch(jobs[:1], [missing])])
    assert ended == []
    assert "runs of still are left out" in capsys.readouterr().out
    trainer._begin(ablations_inputs.Batch(jobs[:1]))
    (group,) = trainer.active
    for _ in range(SCALE.probe_every):
        group.together.advance()
    trainer._probe(group)
    trainer.rescue()
    curve = read_probe_table(tmp_path / "partial" / f"{jobs[0].name}.csv.gz")
    assert [row.step for row in curve] == [SCALE.probe_every] * SCALE.pairs


def test_runs_that_begin_together_have_the_same_scenes_size_and_length() -> None:
    plan = ablations_plan.plan(ablations_plan.FULL, [e.key for e in ablations_plan.EXPERIMENTS])
    groups = ablations_inputs.batches(plan)
    assert sum(len(group.jobs) for group in groups) == len(plan)
    for group in groups:
        experiments = {job.experiment.key for job in group.jobs}
        assert len({(job.experiment.world, job.experiment.size, job.experiment.times,
                     job.experiment.copier) for job in group.jobs}) == 1, experiments


def test_pairs_are_those_of_the_kind_of_scenes() -> None:
    for experiment in ablations_plan.EXPERIMENTS:
        pair = ablations_inputs.pairs_of(experiment, 1)[0]
        words = ablations_plan.WORLDS[experiment.world]
        assert pair.size == experiment.size
        assert (pair.variant.background != "still") is ("living" in words)
        assert (pair.variant.difficulty == "hard") is ("hard" in words)
