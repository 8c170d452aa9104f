"""The parts of gpu.py: the paper's training step, a step of fine-tuning, and the loss alone.

Each part is a function of `Bench` that gives what becomes JSON. All of them compute with the
trainers' own code, on random weights and random clips.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import diffusers
import torch
from measure import Times, duration, no_garbage_collection, ratio, take_turns
from torch import Tensor, nn
from torch.nn import functional

from motifocal.data.shards import LatentBatch
from motifocal.loss.focal import motion_focal_loss
from motifocal.models.unet import TI2VUNet
from motifocal.training import loop
from motifocal.training.families.wan import WanTI2V
from motifocal.training.finetune.memory import sizes_of_shapes
from motifocal.training.finetune.settings import finetune_settings
from motifocal.training.measurement.cost import TEXT_TOKENS, TrainingCost, training_cost
from motifocal.training.presets import PAPER, TrainingSettings
from motifocal.training.processes import open_accelerator

sys.path.append(str(Path(__file__).parents[1] / "scripts"))
import finetune_step

#: Of the device's peak: what `train --dry-run --cost` assumes that is reached.
ASSUMED = 0.4
LATENTS, TINY_LATENTS = (16, 40, 64), (3, 8, 8)  # F, h, w: 16 frames of 320 x 512 pixels
#: (micro-batch, gradient checkpointing), the one most likely to run out of memory last.
CASES = ((8, True), (1, False), (4, False), (8, False))
PLAIN = {"motif_weight": 0.0, "motif_variant": "none"}
FPS = 8.0


@dataclass
class Bench:
    """Where and how long to measure; `peak` is in TFLOP/s, None where it is not known."""

    device: torch.device
    tiny: bool
    peak: float | None
    say: Callable[[str], None]
    rounds: int = 5
    results: dict[str, Any] = field(default_factory=dict)  # of the parts that ran before

    def wait(self) -> None:
        """Wait until the device has done all that it was given."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def free(self) -> None:
        """Give back the memory of what nothing refers to."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def predicted(self, flops: float) -> float | None:
        """Return the seconds that so many FLOPs take at the part of the peak that is assumed."""
        return None if self.peak is None else flops / (self.peak * 1e12 * ASSUMED)

    def utilisation(self, flops: float, seconds: float) -> float | None:
        """Return what part of the peak is reached."""
        return None if self.peak is None else flops / seconds / (self.peak * 1e12)

    def attempt(self, name: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what `work` gives, or the words of its error; the memory it took is free again."""
        began, error = time.perf_counter(), None
        self.say(f"{name} ...")
        try:
            result = work()
        except Exception as fault:  # reported beside the other parts' results, which it may not end
            result = {}
            error = f"{type(fault).__name__}: {fault}"
        self.free()  # here, where the error's frames no longer hold what they allocated
        took = time.perf_counter() - began
        if "seconds" in result:
            self.say(f"{name}: a step took {duration(result['seconds'])}")
        self.say(f"{name}: {error or 'done'} ({took:.1f} s)")
        return {**result, **({"error": error} if error else {}), "took_seconds": took}


class RandomShards:
    """What the training loop reads of shards, with random clips of one shape (C, F, h, w)."""

    def __init__(self, latent_shape: tuple[int, ...], clips: int) -> None:
        self.latent_shape, self.clips = latent_shape, clips
        self.files = [SimpleNamespace(shapes={})]
        self.latents = torch.randn(clips, *latent_shape)
        self.heatmap = (torch.rand(clips, 1, *latent_shape[1:]) < 0.1).float()

    def __len__(self) -> int:
        return self.clips

    def batch(self, indices: Sequence[int], epochs: Sequence[int], seed: int) -> LatentBatch:
        """Return these clips, on the CPU."""
        chosen = list(indices)
        captions, fps = ["a clip"] * len(chosen), torch.full((len(chosen),), FPS)
        return LatentBatch(self.latents[chosen], self.heatmap[chosen], captions, fps)


def paper(bench: Bench, deadline: float) -> dict[str, Any]:
    """Time steps of the preset `paper`, lambda = 0 and lambda = 1 in turn; see `CASES`."""
    settings = PAPER
    if bench.tiny:
        unet = replace(PAPER.unet, block_out_channels=(8,), attention=(True,), norm_num_groups=4,
                       head_width=8, layers_per_block=1, cross_attention_dim=16)
        settings = PAPER.model_copy(update={"unet": unet})
    sides = TINY_LATENTS if bench.tiny else LATENTS
    cost = training_cost(settings, sides, settings.global_batch // settings.micro_batch)
    cases: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        run = paper_run(bench, settings, sides, Path(folder))
        bench.say(f"paper: {cost.parameters:,} parameters")
        for size, checkpointing in ((2, True), (1, False)) if bench.tiny else CASES:
            name = f"paper, micro-batch {size}{', checkpointing' if checkpointing else ''}"
            case = {"micro_batch": size, "gradient_checkpointing": checkpointing}
            if time.monotonic() > deadline:
                cases.append({**case, "error": "not measured: no time was left"})
                continue
            changed = settings.model_copy(update={**case, "global_batch": size})
            # Bound now: `attempt` calls it before the next turn.
            found = bench.attempt(name, lambda c=changed: paper_case(bench, run, c, cost, deadline))
            run.optimizer.zero_grad(set_to_none=True)
            bench.free()
            cases.append({**case, **found})
        run.accelerator.free_memory()
    return {"parameters": cost.parameters, "latents": [settings.unet.latent_channels, *sides],
            "forward_flops_a_sample": cost.forward, "cases": cases}


def paper_run(
    bench: Bench, settings: TrainingSettings, sides: tuple[int, ...], folder: Path
) -> loop.Run:
    """Begin a run as `motifocal train` does, with a network that is built where it computes."""
    accelerator = open_accelerator(settings.precision, bench.device.type == "cpu")
    torch.manual_seed(0)
    with bench.device:
        unet = TI2VUNet.build(settings.unet)
        text = torch.randn(2, TEXT_TOKENS, settings.unet.cross_attention_dim)
    encoder: Any = nn.Identity()  # its features are in the cache already
    encoder.config = SimpleNamespace(hidden_size=settings.unet.cross_attention_dim)
    features = loop.TextFeatures(None, encoder, {"a clip": text[0], "": text[1]})
    shards: Any = RandomShards((settings.unet.latent_channels, *sides), clips=16)
    return loop.start(folder, shards, features, settings, accelerator, unet)


def paper_case(
    bench: Bench, run: loop.Run, settings: TrainingSettings, cost: TrainingCost, deadline: float
) -> dict[str, Any]:
    """Time steps of one micro-batch; the two runs share a network, an optimiser and an average."""
    unet = run.accelerator.unwrap_model(run.unet)
    if settings.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
    else:
        unet.disable_gradient_checkpointing()
    plain = settings.model_copy(update=PLAIN)
    steps = {name: loop.train(replace(run, settings=s))
             for name, s in (("lambda 0", plain), ("lambda 1", settings))}  # fmt: skip
    times: Times = {name: [] for name in steps}
    peaks = dict.fromkeys(steps, 0)
    last: dict[str, dict[str, float]] = {}
    for turn in range(bench.rounds + 1):  # the first warms up
        if turn > 2 and time.monotonic() > deadline:
            break
        with no_garbage_collection():
            for name, taken in steps.items():
                seconds, peak, last[name] = one_step(bench, lambda taken=taken: next(taken))
                if turn:
                    times[name].append(seconds)
                    peaks[name] = max(peaks[name], peak)
    return {"losses": {name: line["loss"] for name, line in last.items()},
            "peak_bytes": peaks["lambda 1"] or None,
            "peak_bytes_lambda_0": peaks["lambda 0"] or None,
            **against_cost(bench, times, settings, cost)}


def one_step(
    bench: Bench, work: Callable[[], dict[str, float]]
) -> tuple[float, int, dict[str, float]]:
    """Return a step's seconds, the most memory that was allocated in it, and its line of a log."""
    bench.wait()
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    line = work()
    bench.wait()
    seconds = time.perf_counter() - began
    return seconds, torch.cuda.max_memory_allocated() if bench.device.type == "cuda" else 0, line


def against_cost(
    bench: Bench, times: Times, settings: TrainingSettings, cost: TrainingCost
) -> dict[str, Any]:
    """Return the figures of one case beside what `train --dry-run --cost` counts."""
    size, checkpointing = settings.global_batch, settings.gradient_checkpointing
    middle, low, high = ratio(times, "lambda 1", "lambda 0")
    seconds = statistics.median(times["lambda 1"])
    kept = cost.activations.checkpointed if checkpointing else cost.activations.all
    fixed = sum(n for part, n in cost.memory.items() if not part.startswith("activations"))
    flops = (4 if checkpointing else 3) * size * cost.forward  # as the cost counts passes
    return {"rounds": len(times["lambda 1"]), "times": times, "ratio": middle,
            "ratio_low": low, "ratio_high": high, "seconds": seconds,
            "seconds_lambda_0": statistics.median(times["lambda 0"]),
            "samples_a_second": size / seconds, "flops": flops,
            "utilisation": bench.utilisation(flops, seconds),
            "model_utilisation": bench.utilisation(3 * size * cost.forward, seconds),
            "predicted_seconds": bench.predicted(flops), "predicted_bytes": fixed + size * kept}


def finetune(bench: Bench, deadline: float) -> dict[str, Any]:
    """Take steps of Wan 2.2 TI2V-5B's shape with a LoRA of rank 32, stored in bfloat16 and fp8."""
    cases: list[dict[str, Any]] = []
    for storage in ("full", "fp8"):
        if time.monotonic() > deadline:
            cases.append({"storage": storage, "error": "not measured: no time was left"})
            continue
        found = bench.attempt(f"fine-tuning, storage {storage}",
                              lambda storage=storage: finetune_case(bench, storage))
        cases.append({"storage": storage, **found})
    return {"cases": cases}


def finetune_case(bench: Bench, storage: str) -> dict[str, Any]:
    """Measure one storage by scripts/finetune_step.py, beside what `train --memory` works out."""
    size, frames = ((64, 32), 5) if bench.tiny else ((480, 832), 49)
    given = argparse.Namespace(frames=frames, size=size, lora=32, storage=storage,
                               steps=1 if bench.tiny else bench.rounds, tiny=bench.tiny)
    found = finetune_step.measure(given, bench.device)
    shape = finetune_step.TINY if bench.tiny else finetune_step.SHAPE
    family = WanTI2V({}, {"scheduler": finetune_step.SCHEDULER})
    with torch.device("meta"):
        network = diffusers.WanTransformer3DModel(**shape)
    shapes = {name: tuple(p.shape) for name, p in network.named_parameters()}
    side = 2 * family.geometry.spatial_stride  # a token is two by two latents
    tokens = family.geometry.latent_frames(frames) * (size[0] // side) * (size[1] // side)
    settings = finetune_settings({"model": "random", "lora_rank": 32, "storage": storage})
    sizes = sizes_of_shapes(settings, family, shape, shapes, tokens)
    return {**found, "gradient_checkpointing": settings.gradient_checkpointing, "tokens": tokens,
            "trained": sizes.trained, "predicted_bytes": sizes.needed(settings),
            "predicted_seconds": bench.predicted(found["flops"]),
            "utilisation": bench.utilisation(found["flops"], found["seconds"])}


def loss(bench: Bench, deadline: float) -> dict[str, Any]:
    """Time the loss alone, forward and backward, at the paper's latents, and its part of a step."""
    batch, calls = (2, 2) if bench.tiny else (8, 200)
    shape = (batch, 4, *(TINY_LATENTS if bench.tiny else LATENTS))
    target = torch.randn(shape, device=bench.device)
    prediction = torch.randn_like(target).requires_grad_()
    heatmap = (torch.rand_like(target[:, :1]) < 0.1).float()

    def repeated(value: Callable[[], Tensor]) -> None:
        for _ in range(calls):
            prediction.grad = None
            value().backward()
        bench.wait()

    ways = {
        "mse_loss": lambda: repeated(lambda: functional.mse_loss(prediction, target)),
        "motion_focal_loss": lambda: repeated(lambda: motion_focal_loss(
            prediction, target, heatmap, check=False).total.mean()),
    }  # fmt: skip
    times = {name: [seconds / calls for seconds in found]
             for name, found in take_turns(ways, 10 if not bench.tiny else 2).items()}
    middle, low, high = ratio(times, "motion_focal_loss", "mse_loss")
    plain, motif = (statistics.median(times[name]) for name in ways)
    steps = [case["seconds"] for case in bench.results.get("paper", {}).get("cases", ())
             if case["micro_batch"] == batch and "seconds" in case]
    return {"shape": list(shape), "calls": calls, "times": times, "ratio": middle, "ratio_low": low,
            "ratio_high": high, "seconds_mse": plain, "seconds_motif": motif,
            "share_of_a_paper_step": (motif - plain) / min(steps) if steps else None}


PARTS: dict[str, Callable[[Bench, float], dict[str, Any]]] = {
    "paper": paper, "finetune": finetune, "loss": loss,
}  # fmt: skip
