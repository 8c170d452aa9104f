"""Fine-tune tiny models of many families, each killed and taken on by other processes; a script.

    python tests/support/family_runs.py FOLDER CASE...  prints {case: what differs, "" for nothing}

A case is a kind of `tiny_diffusers`, alone or one of "KIND full" and "KIND validated". Processes
are forked from one that has imported everything and computed no gradient: a start costs a
second, and a kill is a real SIGKILL.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from tiny import fresh_accelerator
from tiny_finetune import losses_of, prepared, same, tensors_of, train_arguments

from motifocal import cli
from motifocal.training.families.registry import family_of
from motifocal.training.finetune import run as finetune_run
from motifocal.training.finetune.run import part_run_folder

#: Files of two equal runs that are equal byte for byte, besides weights and videos.
EQUAL = ("held_out.jsonl", "held_out_clips.json", "README.md")


def main(folder: Path, cases: Sequence[str]) -> None:
    print(json.dumps({case: difference(case, folder / case) for case in cases}))


def difference(case: str, folder: Path) -> str:
    """What differs between an unbroken run on one process and one that two processes begin.

    Of those the first is killed where it is about to write its second checkpoint. Two that shard
    the weights go on from the first checkpoint.
    """
    folder.mkdir()
    kind, _, more = case.partition(" ")
    model, cache = prepared(kind, folder)
    whole, broken = (arguments_of(more, cache, folder / name, model)
                     for name in ("whole", "broken"))  # fmt: skip
    for name, calls, last in (("whole", [whole], 0), ("two", [broken] * 2, 2),
                              ("sharded", [[*broken, "--fsdp"]] * 2, 0)):  # fmt: skip
        log = folder / f"{name}.txt"
        codes = together(calls, log, last)
        if codes != ([-signal.SIGKILL, 1] if last else [0] * len(calls)):
            return f"{name} ended with {codes}: {log.read_text()[-3000:]}"
        if last and "motifocal: another process of this training has ended" not in log.read_text():
            return f"{name} said {log.read_text()[-3000:]}"
    family = family_of(model)
    for part in family.trained:
        runs = [part_run_folder(folder / name, family, part) for name in ("whole", "broken")]
        if losses_of(runs[0]) != losses_of(runs[1]):
            return f"{part}: losses {losses_of(runs[0])} and {losses_of(runs[1])}"
        if not same(tensors_of(runs[0]), tensors_of(runs[1])):
            return f"{part}: the state"
    written = [path for path in (folder / "whole").rglob("*")
               if path.name in EQUAL or path.suffix in (".safetensors", ".mp4")]  # fmt: skip
    for path in written:
        other = folder / "broken" / path.relative_to(folder / "whole")
        # Of safetensors the tensors: the order of the metadata in the file is no fixed one.
        tensors = path.suffix == ".safetensors"
        if not (same(load_file(path), load_file(other)) if tensors
                else path.read_bytes() == other.read_bytes()):
            return path.name
    return "" if len(written) >= 1 + 2 * (more == "validated") else f"only {written}"


def arguments_of(more: str, cache: Path, run: Path, model: Path) -> list[str]:
    """The arguments of `motifocal` for a case."""
    if more == "full":
        arguments = train_arguments(cache, run, model, "--full", precision="bfloat16",
                                    ema_decay=0.9, max_grad_norm=0.01, learning_rate=1e-3)
        lora = arguments.index("--lora")
        return [*arguments[:lora], *arguments[lora + 2 :]]
    if more == "validated":
        return [*train_arguments(cache, run, model, "--held-out", str(cache), ema_decay=0.9,
                                 validate_every=2, sample_steps=1), "--samples", "1"]  # fmt: skip
    return train_arguments(cache, run, model)


def together(calls: Sequence[Sequence[str]], log: Path, last: int = 0) -> list[int]:
    """`motifocal CALL` for each, as processes of one training; their exit codes.

    The first one is killed where it is about to write the checkpoint of step `last`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log.touch()
    children = []
    for rank, call in enumerate(calls):
        child = os.fork()
        if child == 0:
            run(call, rank, len(calls), port, log, last if rank == 0 else 0)
        children.append(child)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]


def run(call: Sequence[str], rank: int, count: int, port: int, log: Path, last: int) -> None:
    """Be one process of a training; never returns."""
    code: Any = 1
    try:
        with log.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if count > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
                           "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1",
                           "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}  # fmt: skip
        save = finetune_run.save_checkpoint

        def killed(folder: Path, step: int, state: dict[str, Any]) -> Path:
            if step == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return save(folder, step, state)

        finetune_run.save_checkpoint = killed
        fresh_accelerator()
        sys.argv = ["motifocal", *call]
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code
    except Exception:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
