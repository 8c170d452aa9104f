"""Split a network over the processes of a training: FSDP2, torch's `fully_shard`.

Each process keeps a shard of every weight, gradient and optimiser state; the weights of a block are
gathered while it computes. Checkpoints hold whole tensors, so that a run goes on with any number
of processes, sharded or not.
"""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor


def shard(network: Any, accelerator: Accelerator) -> Any:
    """Shard a network of diffusers in place, block by block, onto the accelerators; return it.

    Autocasting is that of accelerate's other wrappers: weights are gathered in their own precision.
    """
    network = accelerator.prepare_model(network, device_placement=False, evaluation_mode=True)
    mesh = torch.distributed.init_device_mesh(accelerator.device.type,
                                              (accelerator.num_processes,))  # fmt: skip
    names = getattr(network, "_repeated_blocks", None) or getattr(network, "_no_split_modules", ())
    for module in reversed(list(network.modules())):  # the inner ones first
        if type(module).__name__ in set(names or ()):
            fully_shard(module, mesh=mesh)
    # Before FSDP's own hook, which a change in place of a view of the prediction would undo.
    network.register_forward_hook(_copied)
    # The root too, whose own weights would else stay whole after a validation.
    fully_shard(network, mesh=mesh, reshard_after_forward=True)
    return network


def _copied(network: Any, arguments: Any, output: Any) -> Any:
    """Return a prediction (a tuple) as tensors that are no views."""
    if not isinstance(output, tuple):
        return output
    return tuple(part.clone() if isinstance(part, Tensor) else part for part in output)


def is_sharded(network: Any) -> bool:
    """Tell whether all processes have to take part wherever this network computes."""
    return isinstance(network, FSDPModule)


def gathered(value: Any, keep: bool) -> Any:
    """Return a state with whole tensors for shards, in dicts and lists too; on the CPU.

    All processes have to call it. Those without `keep` get None for what was sharded.
    """
    if isinstance(value, DTensor):
        whole = value.full_tensor()
        return whole.cpu() if keep else None
    if isinstance(value, dict):
        return {key: gathered(inner, keep) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(gathered(inner, keep) for inner in value)
    return value


def sharded_like(value: Tensor, parameter: Tensor) -> Tensor:
    """Return a whole tensor, which every process has, as `parameter` lies: on its device, sharded.
    """
    value = value.to(parameter.device)
    if not isinstance(parameter, DTensor):
        return value
    return distribute_tensor(value, parameter.device_mesh, parameter.placements,
                             src_data_rank=None)  # fmt: skip


def optimizer_state(state: dict[str, Any], optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return an optimiser's state of whole tensors as its parameters lie."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    if not any(isinstance(p, DTensor) for p in parameters):
        return state
    states = {
        index: {name: sharded_like(value, parameters[index]) if _is_of(value, parameters[index])
                else value for name, value in values.items()}
        for index, values in state["state"].items()
    }  # fmt: skip
    return {**state, "state": states}


def _is_of(value: Any, parameter: Tensor) -> bool:
    return isinstance(value, Tensor) and value.ndim > 0 and value.shape == parameter.shape
