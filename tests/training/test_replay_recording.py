"""What is recorded as a CUDA graph waits for nothing: shown on tensors that hold no numbers.

On the meta device reading a number raises, as does an operation between it and the CPU; both would
break off the recording of a graph on a GPU.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from replay_inputs import Clips
from replay_probe import ReplayProbe
from replay_run import Lane, ReplayRun

from motifocal.models.schedule import noise_schedule
from motifocal.models.unet import TI2VUNet
from motifocal.scenes.evaluation.evaluate import eval_pairs
from motifocal.training.measurement.probe import ProbeImage, ProbeSet
from motifocal.training.presets import resolve
from motifocal.training.step import StepNoise

SHAPE = (8, 4, 8, 8)
META = torch.device("meta")


class OnTheCpu(TorchDispatchMode):
    """Notes every operation whose result lies on the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.device.type == "cpu":
            self.found.append(str(func))
        return out


features: Any = lambda captions: torch.zeros(len(captions), 24, 128)  # noqa: E731


def run_on(device: torch.device, variant: str) -> ReplayRun:
    """A run whose weights, clips and draws are all on `device`."""
    settings = resolve("scenes", {"motif_variant": variant,
                                  "unet": {"block_out_channels": [8, 16], "head_width": 8}})
    unet = TI2VUNet.build(settings.unet).to(device)
    schedule = noise_schedule(settings.prediction_type, settings.zero_terminal_snr,
                              settings.use_scale)
    schedule = replace(schedule, alphas_cumprod=schedule.alphas_cumprod.to(device),
                       scale=schedule.scale.to(device))
    run: Any = SimpleNamespace(
        settings=settings, unet=unet, schedule=schedule, folder=Path("nowhere"), step=0,
        average=SimpleNamespace(shadow_params=[p.detach().clone() for p in unet.parameters()]),
        accelerator=SimpleNamespace(unwrap_model=lambda network: network))
    with device:
        noise = StepNoise(torch.empty(16, *SHAPE), torch.empty(16, dtype=torch.int64),
                          torch.empty(16, dtype=torch.bool), torch.empty(16, 2, dtype=torch.bool))
        feed: Any = SimpleNamespace(
            noise=noise, index=torch.empty(16, dtype=torch.int64), rate=torch.empty(()),
            kept=torch.empty(()), place=torch.empty(1, dtype=torch.int64))
        shards: Any = None
        clips = Clips(shards, torch.empty(40, *SHAPE), torch.empty(40, 1, *SHAPE[1:]),
                      torch.empty(40), None, torch.empty(5, 24, 128),
                      torch.empty(40, dtype=torch.int64), torch.empty(1, 24, 128))
    made = ReplayRun("run", run, clips, feed, Lane(None, None))
    # Fused AdamW is made for graphs, and does not run here.
    made.optimizer.adam.step = lambda: None  # type: ignore[method-assign,assignment]
    return made


@pytest.mark.parametrize("variant", ["motif", "none", "inverse", "normalised", "dynamics-rms"])
def test_a_step_reads_no_number_and_leaves_nothing_to_the_cpu(variant: str) -> None:
    run = run_on(META, variant)
    with OnTheCpu() as seen:
        run._step()
    assert seen.found == []
    assert all(p.grad is not None for p in run.weights)


def test_a_probe_reads_no_number_and_leaves_nothing_to_the_cpu() -> None:
    pairs = tuple(eval_pairs(70))  # more than are taken at once
    images = {pair.image_id: ProbeImage(torch.randn(7, *SHAPE), torch.ones(SHAPE[1:]).bool(),
                                        torch.ones(1, 8, 8)) for pair in pairs}
    run = run_on(torch.device("cpu"), "motif")
    probe = ReplayProbe.prepare(ProbeSet(pairs, images), run, features, Lane(None, None))
    whole = probe._guess()
    assert whole.shape == (70, 7)
    assert whole.isfinite().all()
    probe.network.to(META)
    probe.run = run_on(META, "motif")
    probe.candidates, probe.region = probe.candidates.to(META), probe.region.to(META)
    probe.inputs = {name: x.to(META) for name, x in probe.inputs.items()}
    with OnTheCpu() as seen:
        assert probe._guess().shape == whole.shape
    assert seen.found == []
