"""Optimisers go on from their state and keep no gradients; the rate follows its schedule."""

from __future__ import annotations

import copy
import weakref
from typing import Any

import pytest
import torch
from torch import nn

from motifocal.training.optimizer import MuonWithAdamW, build_optimizer, learning_rate


def small_network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3), nn.Flatten(),
                         nn.Linear(4, 3))


def one_update(network: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
    x = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(seed))
    optimizer.zero_grad()
    network(x).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_optimiser_goes_on_from_its_state_as_if_it_had_never_stopped(name: Any) -> None:
    network = small_network()
    optimizer = build_optimizer(name, network, 1e-2, 0.1, adamw_names=("0.",))
    for seed in range(3):
        one_update(network, optimizer, seed)
    other = small_network()
    other.load_state_dict(network.state_dict())
    resumed = build_optimizer(name, other, 1e-2, 0.1, adamw_names=("0.",))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # as through a file
    for seed in range(3, 6):
        one_update(network, optimizer, seed)
        one_update(other, resumed, seed)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_muon_updates_hidden_weights_orthogonally_and_leaves_the_edges_to_adamw() -> None:
    network = small_network()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    optimizer = build_optimizer("muon", network, 1e-2, 0.0, adamw_names=("0.",))
    assert isinstance(optimizer, MuonWithAdamW)
    one_update(network, optimizer, 0)
    change = {name: p.detach() - before[name] for name, p in network.named_parameters()}
    # AdamW's first step is the rate in every element; Muon's singular values are all about equal.
    assert float(change["0.weight"].abs().median()) == pytest.approx(1e-2, rel=0.01)
    values = torch.linalg.svdvals(change["2.weight"].flatten(1))
    assert float(values.max() / values.min()) < 2


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_an_optimiser_keeps_no_gradient_that_zero_grad_has_cleared(name: Any) -> None:
    network = small_network()
    optimizer = build_optimizer(name, network, 1e-2, 0.0)
    one_update(network, optimizer, 0)
    gradients = [weakref.ref(p.grad.untyped_storage()) for p in network.parameters()
                 if p.grad is not None]
    assert len(gradients) == len(list(network.parameters()))
    optimizer.zero_grad(set_to_none=True)
    assert [gradient() for gradient in gradients] == [None] * len(gradients)


def test_the_rate_warms_up_stays_and_cools_down() -> None:
    rates = [learning_rate(k, peak=1.0, warmup=10, total=100, cooldown=30) for k in range(100)]
    assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert set(rates[10:71]) == {1.0}
    assert rates[71:] == sorted(rates[71:], reverse=True)
    assert rates[85] == pytest.approx(0.505)
    assert 0.01 < rates[99] < 0.02
    assert learning_rate(9, peak=1.0, warmup=1, total=10, cooldown=0) == 1.0
