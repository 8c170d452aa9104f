"""A training on several processes is the training on one: its weights, its log, its resumption."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from accelerate import Accelerator
from tiny_finetune import tensors_of
from tiny_processes import end, kill_second_process, torchrun, train_arguments
from torch import nn
from train_command import invoke

from motifocal.files.output_lock import output_lock
from motifocal.training.checkpoint import latest_step
from motifocal.training.log import read_log
from motifocal.training.optimizer import build_optimizer, check_parameters
from motifocal.training.processes import SPLITTING, gather_places, in_words, open_accelerator

TWO_PLACES = {"global_batch": 4, "micro_batch": 2, "save_every": 1}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shards")
    tiny.tiny_shards(folder)
    return folder


def losses_of(run: Path) -> list[dict[str, float]]:
    """The lines of the log without what time they took."""
    lines = read_log(run / "log.jsonl")
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


# Two processes.


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimiser",
    [{"optimizer": "muon"},
     {"optimizer": "adamw", "precision": "bf16", "gradient_checkpointing": True}],
    ids=["muon", "adamw as in the paper's preset"],
)  # fmt: skip
def test_two_processes_compute_what_one_does_bit_for_bit(
    optimiser: dict[str, Any], shards: Path, base: Path, tmp_path: Path
) -> None:
    changed = {**TWO_PLACES, **optimiser, "steps": 4}
    alone = invoke(*train_arguments(shards, tmp_path / "one", base, **changed))
    assert alone.exit_code == 0, alone.output
    started = torchrun(train_arguments(shards, tmp_path / "two", base, **changed))
    try:
        out, err = started.communicate(timeout=300)
    finally:
        end(started)
    assert started.returncode == 0, err
    assert "training on 1 process, cpu" in alone.stderr
    assert "training on 2 processes, cpu" in err
    assert out.count('"optimizer"') == 1
    assert losses_of(tmp_path / "two") == losses_of(tmp_path / "one")
    assert tiny.equal(tensors_of(tmp_path / "two"), tensors_of(tmp_path / "one"))
    inputs = [json.loads((tmp_path / name / "inputs.json").read_text()) for name in ("one", "two")]
    assert inputs[0] == inputs[1]


@pytest.mark.slow
def test_a_run_whose_second_process_was_killed_goes_on_to_the_weights_of_the_unbroken_run(
    shards: Path, base: Path, tmp_path: Path
) -> None:
    changed = {**TWO_PLACES, "optimizer": "muon", "steps": 12}
    assert invoke(*train_arguments(shards, tmp_path / "one", base, **changed)).exit_code == 0
    arguments = train_arguments(shards, tmp_path / "two", base, **changed)
    err = kill_second_process(torchrun(arguments), tmp_path / "two/checkpoints")
    assert "motifocal: another process of this training has ended; run the same command" in err
    assert latest_step(tmp_path / "two/checkpoints") < 12
    again = torchrun(arguments)
    try:
        _, err = again.communicate(timeout=300)
    finally:
        end(again)
    assert again.returncode == 0, err
    assert "resuming at step" in err
    assert tiny.equal(tensors_of(tmp_path / "two"), tensors_of(tmp_path / "one"))
    assert losses_of(tmp_path / "two") == losses_of(tmp_path / "one")


@pytest.mark.slow
def test_what_the_first_process_refuses_ends_the_others_without_a_word(
    shards: Path, base: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with output_lock(run, "motifocal train"):
        started = torchrun(train_arguments(shards, run, base, **TWO_PLACES))
        try:
            _, err = started.communicate(timeout=300)
        finally:
            end(started)
    assert started.returncode == 1
    assert err.count("run is in use by motifocal train (process ") == 1
    assert "[rank1]" not in err


# What cannot be trained on.


@pytest.mark.parametrize("variable", SPLITTING)
def test_plugins_that_split_the_network_are_refused_in_a_line(
    variable: str, shards: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "true")
    result = invoke(*train_arguments(shards, tmp_path / "run", base))
    assert isinstance(result.exception, ValueError)
    assert f"{SPLITTING[variable]} is not supported: start with torchrun" in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_processes_that_would_train_apart_in_one_folder_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tiny.fresh_accelerator()
    open_accelerator("no", cpu=True)
    monkeypatch.setenv("WORLD_SIZE", "2")  # as by torchrun, after accelerate settled on one
    with pytest.raises(ValueError, match="2 processes were started"):
        open_accelerator("no", cpu=True)


def test_processes_wait_for_the_first_while_it_samples_for_hours() -> None:
    tiny.fresh_accelerator()
    accelerator = open_accelerator("no", cpu=True, some_unused=True)
    assert accelerator.init_handler.timeout.total_seconds() > 6 * 3600
    assert accelerator.ddp_handler.find_unused_parameters
    tiny.fresh_accelerator()
    assert not open_accelerator("no", cpu=True).ddp_handler.find_unused_parameters


def test_a_setting_of_accelerate_launch_does_not_scale_the_loss(
    shards: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    norms = []
    for parts in ("1", "4"):
        monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", parts)
        run = tmp_path / parts
        assert invoke(*train_arguments(shards, run, base, steps=1, warmup=1)).exit_code == 0
        norms.append(losses_of(run)[0]["norm"])
    assert norms[0] == norms[1]


# Parts of it.


class TwoProcesses:
    """What `gather_places` asks of an accelerator whose other process has 10 more everywhere."""

    num_processes = 2

    @staticmethod
    def gather(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, values + 10])


def test_values_of_all_processes_come_in_the_order_of_the_global_batch() -> None:
    values = torch.tensor([[0.0, 0.5], [1.0, 1.5]])
    accelerator: Any = TwoProcesses()
    together = gather_places(accelerator, values)
    assert together.tolist() == [[0, 0.5], [10, 10.5], [1, 1.5], [11, 11.5]]
    tiny.fresh_accelerator()
    alone = open_accelerator("no", cpu=True)
    assert torch.equal(gather_places(alone, values), values)
    assert in_words(alone) == "1 process, cpu"
    assert isinstance(alone, Accelerator)


def network_and_update(name: Any, swap: bool) -> nn.Module:
    """A small network after one update; `swap` gives its weights other memory before that."""
    torch.manual_seed(3)
    network = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 4), nn.Linear(4, 3))
    optimizer = build_optimizer(name, network, 1e-2, 0.1, adamw_names=("0.",))
    if swap:
        for parameter in network.parameters():
            parameter.data = parameter.data.clone()
    network(torch.ones(2, 5)).square().sum().backward()
    optimizer.step()
    return network


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_weights_that_were_moved_after_the_optimiser_was_built_are_updated(name: Any) -> None:
    moved, left = network_and_update(name, swap=True), network_and_update(name, swap=False)
    for a, b in zip(moved.parameters(), left.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_optimiser_of_other_parameters_than_the_networks_is_refused(name: Any) -> None:
    network = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3))
    optimizer = build_optimizer(name, network, 1e-2, 0.1)
    check_parameters(optimizer, network)
    network[1].weight = nn.Parameter(network[1].weight.detach().clone())
    with pytest.raises(ValueError, match=r"got 1 others and lacks 1, e\.g\. 1\.weight"):
        check_parameters(optimizer, network)
