"""Join the processes of a training in an Accelerator: a single one, or several by torchrun.

Training is data parallel: each process holds the whole network and takes its share of every global
batch, and gradients are averaged over the processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

# What `accelerate launch` sets where processes split a network: its state would have
# to be gathered before it is saved.
SPLITTING = {
    "ACCELERATE_USE_FSDP": "FSDP",
    "ACCELERATE_USE_DEEPSPEED": "DeepSpeed",
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism configuration",
}

# How long processes wait for the first one, which measures and samples alone: minutes a video.
PATIENCE = timedelta(hours=12)


def open_accelerator(precision: str, cpu: bool, *, some_unused: bool = False) -> Accelerator:
    """Join the processes of this training; `cpu` leaves GPUs alone.

    `some_unused` is for networks in which some weights that are trained do not enter the loss: the
    processes then look in every step which they are, instead of waiting for their gradients.

    Raises ValueError for FSDP, DeepSpeed and the like, whose checkpoints are not supported, and
    where the processes that were started cannot work together (two on one MPS device).
    """
    for variable, name in SPLITTING.items():
        if os.environ.get(variable, "false").lower() in ("1", "true", "yes", "on"):
            raise ValueError(
                f"{name} is not supported: start with torchrun or with a plain multi-GPU "
                "configuration of accelerate (and --fsdp to shard a model that is fine-tuned), "
                f"got {variable}={os.environ[variable]}"
            )
    handlers = [InitProcessGroupKwargs(timeout=PATIENCE),
                DistributedDataParallelKwargs(find_unused_parameters=some_unused)]  # fmt: skip
    accelerator = Accelerator(
        mixed_precision=precision, cpu=cpu or not torch.accelerator.is_available(),
        kwargs_handlers=handlers,
    )  # fmt: skip
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if accelerator.num_processes != started:
        raise ValueError(
            f"{started} processes were started (WORLD_SIZE), but on {accelerator.device} they "
            f"cannot work together; start one, or add --device cpu"
        )
    return accelerator


def in_words(accelerator: Accelerator) -> str:
    """Return how many processes train, and on what device this one does."""
    count = accelerator.num_processes
    return f"{count} process{'' if count == 1 else 'es'}, {accelerator.device}"


@contextmanager
def first_process_decides(accelerator: Accelerator) -> Iterator[bool]:
    """Inside, whether this is the first process; when it has left the block, the others go on.

    Where it raises, they end at once with exit code 1 and without a word: its error is theirs.
    """
    failed = 1
    try:
        yield accelerator.is_main_process
        failed = 0
    finally:
        outcomes = accelerator.gather(torch.tensor([failed], device=accelerator.device))
        if int(outcomes[0]) and not accelerator.is_main_process:
            raise SystemExit(1)


class LostProcess(ConnectionError):  # noqa: N818
    """Another process of a training has ended, so that this one cannot go on."""


@contextmanager
def ending_together(accelerator: Accelerator) -> Iterator[None]:
    """Inside, LostProcess takes the place of what the backend raises once a process has ended."""
    try:
        yield
    except RuntimeError as error:
        if accelerator.num_processes > 1 and _is_of_backend(error):
            raise LostProcess("another process of this training has ended; run the same command "
                              "again to go on from the last checkpoint") from error
        raise


def _is_of_backend(error: RuntimeError) -> bool:
    """Tell whether processes could not reach each other: gloo's errors have no type of their own.
    """
    return isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()


def check_same_step(accelerator: Accelerator, step: int) -> None:
    """Raise ValueError where processes resume at different steps: they read different folders."""
    steps = _numbers(accelerator, step)
    if len(set(steps)) > 1:
        raise ValueError(f"processes should resume from one folder, got checkpoints of {steps}")


def any_process(accelerator: Accelerator, value: bool) -> bool:
    """Return whether `value` is true in any process; all of them have to ask at the same place."""
    return bool(greatest(accelerator, int(value)))


def greatest(accelerator: Accelerator, number: int) -> int:
    """Return the greatest of the processes' numbers; all have to ask at the same place."""
    return max(_numbers(accelerator, number))


def first_of(accelerator: Accelerator, number: int) -> int:
    """Return the first process's number; all have to ask at the same place."""
    return _numbers(accelerator, number)[0]


def _numbers(accelerator: Accelerator, number: int) -> list[int]:
    if accelerator.num_processes == 1:
        return [int(number)]
    numbers = accelerator.gather(torch.tensor([int(number)], device=accelerator.device))
    return [int(value) for value in numbers.tolist()]


def gather_places(accelerator: Accelerator, values: Tensor) -> Tensor:
    """(parts, K) of every process become (parts x processes, K) on the CPU, in order of place.

    Micro-batch `part` of process p has place `part * processes + p` in the global batch. So the
    result, and whatever is summed from it, does not depend on how many processes there are.
    """
    together = accelerator.gather(values).cpu()
    together = together.view(accelerator.num_processes, *values.shape)
    return together.transpose(0, 1).reshape(-1, values.shape[-1])


def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> float:
    """Scale gradients so that their norm is at most `most`; return the norm that they had.

    The squares are summed in float64 where the device has it: the norm, in float32, then does not
    depend on how weights are sharded.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if not gradients:
        return 0.0
    local = [g.to_local() if isinstance(g, DTensor) else g for g in gradients]
    wide = torch.float32 if local[0].device.type == "mps" else torch.float64
    squares = torch.stack([torch.linalg.vector_norm(g, dtype=wide).square() for g in local]).sum()
    if isinstance(gradients[0], DTensor):
        torch.distributed.all_reduce(squares, group=gradients[0].device_mesh.get_group())
    norm = squares.sqrt().float()
    scale = (most / (norm + 1e-6)).clamp(max=1.0)
    for gradient in local:
        gradient.mul_(scale.to(gradient.dtype))
    return float(norm)
