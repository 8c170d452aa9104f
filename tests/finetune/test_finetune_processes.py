"""Fine-tuning on several processes, whole or sharded (FSDP2), killed and taken on by others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tiny_finetune import invoke, losses_of, prepared, same, tensors_of, train_arguments
from tiny_processes import end, kill_second_process, torchrun

from motifocal.training.checkpoint import latest_step
from motifocal.training.families.registry import family_of
from motifocal.training.finetune.cache import ClipCache
from motifocal.training.finetune.memory import first_that_fits, rungs, sizes_of
from motifocal.training.finetune.run import check_sharding
from motifocal.training.finetune.settings import finetune_settings
from motifocal.training.finetune.sharding import gathered, sharded_like
from motifocal.training.processes import LostProcess, clip_gradients, ending_together

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CASES = (
    "wan22-5b full", "wan22-5b validated", "wan21", "wan22-a14b", "skyreels", "ltx",
    "ltx-condition", "cogvideox", "cogvideox15", "hunyuan", "hunyuan-33ch", "hunyuan15", "ltx2",
    "kandinsky5",
)  # fmt: skip


@pytest.mark.slow
def test_two_processes_of_any_family_killed_and_then_sharded_compute_what_one_does(
    tmp_path: Path
) -> None:
    script = Path(__file__).parents[1] / "support" / "family_runs.py"
    # Else products of MKL's matrices depend, in their last bits, on where they lie in memory.
    exact = {**os.environ, "MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "1"}
    outcome = subprocess.run([sys.executable, str(script), str(tmp_path), *CASES], env=exact,
                             capture_output=True, text=True, timeout=1500, check=False)
    assert outcome.returncode == 0, outcome.stderr
    assert json.loads(outcome.stdout.splitlines()[-1]) == dict.fromkeys(CASES, "")


@pytest.mark.slow
def test_sharded_processes_of_which_one_was_killed_go_on_as_one_and_as_two_to_the_unbroken_run(
    tmp_path: Path
) -> None:
    model, cache = prepared("wan22-5b", tmp_path)
    long: dict[str, Any] = {"steps": 24, "ema_decay": 0.9}
    assert invoke(*train_arguments(cache, tmp_path / "whole", model, **long)).exit_code == 0
    run = tmp_path / "run"
    arguments = train_arguments(cache, run, model, **long)
    err = kill_second_process(torchrun([*arguments, "--fsdp"]), run / "checkpoints")
    assert "motifocal: another process of this training has ended; run the same command" in err
    step = latest_step(run / "checkpoints")
    assert 2 <= step < 23
    alone = invoke(*train_arguments(cache, run, model, **{**long, "steps": step + 1}))
    assert alone.exit_code == 0, alone.output
    assert f"resuming at step {step}" in alone.output
    again = torchrun([*arguments, "--fsdp"])
    try:
        _, err = again.communicate(timeout=300)
    finally:
        end(again)
    assert again.returncode == 0, err
    assert "training on 2 processes, cpu" in err
    assert f"resuming at step {step + 1}" in err
    assert losses_of(run) == losses_of(tmp_path / "whole")
    assert same(tensors_of(run), tensors_of(tmp_path / "whole"))
    loras = [load_file(folder / "lora/pytorch_lora_weights.safetensors")
             for folder in (run, tmp_path / "whole")]  # fmt: skip
    assert same(*loras)


# Parts of it.


class Processes:
    """What is asked of an accelerator of several processes."""

    def __init__(self, count: int) -> None:
        self.num_processes = count


def test_what_cannot_be_sharded_is_refused() -> None:
    two: Any = Processes(2)
    check_sharding(finetune_settings({"model": "tiny"}), two)
    one: Any = Processes(1)
    with pytest.raises(ValueError, match=r"--fsdp should have two processes or more .* got 1"):
        check_sharding(finetune_settings({"model": "tiny"}), one)
    for setting, value in (("storage", "fp8"), ("optimizer", "muon")):
        with pytest.raises(ValueError, match=f"{setting} should be .* got {value}"):
            check_sharding(finetune_settings({"model": "tiny", setting: value}), two)


def test_memory_of_each_process_is_that_of_its_share_two_whole_blocks_and_gradients_of_one(
    tmp_path: Path
) -> None:
    model, cache = prepared("wan22-5b", tmp_path)
    family, clips = family_of(model), ClipCache(cache)
    settings = finetune_settings({"model": "tiny", "lora_rank": 4})
    sizes = sizes_of(settings, model, family, "transformer", clips)
    assert sizes.layers == 1
    # Frozen weights are bfloat16; 16 bytes for each that is trained.
    saved = (2 * sizes.weights + 16 * sizes.trained) * 3 / 4 - (
        2 * 2 * sizes.weights + 4 * sizes.trained)
    assert sizes.needed(settings) - replace(sizes, shards=4).needed(settings) == saved
    chosen, words = first_that_fits(settings, model, family, clips, 24.0, 4)
    assert (chosen.storage, chosen.gradient_checkpointing) == ("full", True)
    assert "gradient checkpointing, sharded over 4 processes" in words
    assert len(list(rungs(settings, 4))) == 1  # what is sharded is stored in full


def test_one_process_cannot_shard(tmp_path: Path) -> None:
    model, cache = prepared("wan22-5b", tmp_path)
    result = invoke(*train_arguments(cache, tmp_path / "run", model, "--fsdp", "--memory", "24G"))
    assert result.exit_code != 0
    assert "--fsdp should have two processes" in f"{result.output}{result.exception}"


def test_only_errors_of_the_backend_say_that_a_process_has_ended() -> None:
    two: Any = Processes(2)
    with pytest.raises(LostProcess, match="run the same command again"), ending_together(two):
        raise RuntimeError("[third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed")
    with pytest.raises(LostProcess), ending_together(two):
        raise torch.distributed.DistBackendError("NCCL error")
    with pytest.raises(RuntimeError, match="shape"), ending_together(two):
        raise RuntimeError("shape '[2]' is invalid for input of size 3")
    one: Any = Processes(1)
    with pytest.raises(RuntimeError, match="gloo"), ending_together(one):
        raise RuntimeError("gloo")


def test_gradients_are_clipped_as_torch_clips_them() -> None:
    generator = torch.Generator().manual_seed(0)
    for most in (0.5, 1e3):
        mine, theirs = ([torch.nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2,))]
                        for _ in range(2))  # fmt: skip
        for one, other in zip(mine[:2], theirs[:2], strict=True):  # the third has no gradient
            one.grad = torch.randn(one.shape, generator=generator)
            other.grad = one.grad.clone()
        norm = clip_gradients(mine, most)
        assert norm == pytest.approx(float(torch.nn.utils.clip_grad_norm_(theirs, most)), rel=1e-6)
        for one, other in zip(mine[:2], theirs[:2], strict=True):
            assert one.grad is not None
            assert other.grad is not None
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=0)


def test_what_is_not_sharded_is_gathered_as_it_is() -> None:
    tensor = torch.ones(2)
    state = {"a": [tensor, (1, 2)], "b": {"c": None}}
    found = gathered(state, keep=False)
    assert found["a"][0] is tensor
    assert found["a"][1] == (1, 2)
    assert sharded_like(tensor, torch.zeros(2)) is tensor
