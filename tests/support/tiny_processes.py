"""The training command as two real processes that torchrun starts, on the CPU with gloo."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import tiny

from motifocal.training.checkpoint import latest_step

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
            "--rdzv_backend", "c10d", "--rdzv_endpoint", "127.0.0.1:0",
            "--local_addr", "127.0.0.1"]  # fmt: skip


def train_arguments(shards: Path, run: Path, base: Path, **changed: Any) -> list[str]:
    """The arguments of `motifocal` for a tiny training."""
    return ["train", str(shards), "-o", str(run), "--model", str(base), "--preset", "scenes",
            "--device", "cpu", "--samples", "0", *tiny.assignments(**changed)]  # fmt: skip


def torchrun(arguments: Sequence[str], **variables: str) -> subprocess.Popen[str]:
    """`torchrun --nproc_per_node 2 -m motifocal ARGUMENTS`, begun."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    return subprocess.Popen(
        [*TORCHRUN, "-m", "motifocal", *arguments], env={**os.environ, **threads, **variables},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def process_of_rank(started: subprocess.Popen[str], rank: int) -> psutil.Process:
    """The process that torchrun started as this rank."""
    children = psutil.Process(started.pid).children()
    (found,) = (child for child in children if child.environ().get("RANK") == str(rank))
    return found


def kill_second_process(started: subprocess.Popen[str], checkpoints: Path, step: int = 2) -> str:
    """Kill rank 1 once `checkpoints` hold this step, and wait; what was said on stderr.

    torchrun itself kills what has not ended 30 seconds later.
    """
    try:
        deadline = time.monotonic() + 300
        while latest_step(checkpoints) < step:
            assert started.poll() is None, "the training ended before its time"
            assert time.monotonic() < deadline, f"step {step} should have come by now"
            time.sleep(0.01)
        process_of_rank(started, 1).kill()
        _, err = started.communicate(timeout=120)
    finally:
        end(started)
    assert started.returncode != 0
    return err


def end(started: subprocess.Popen[str]) -> None:
    """Kill torchrun and what it started, if they still run."""
    if started.poll() is None:
        children = psutil.Process(started.pid).children(recursive=True)
        for process in (*children, started):
            process.kill()
    started.communicate()
