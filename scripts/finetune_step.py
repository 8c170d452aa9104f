r"""Measure a fine-tuning step of Wan 2.2 TI2V-5B's shape with random weights: time, memory, FLOPs.

    python scripts/finetune_step.py                 # on an accelerator: LoRA of rank 32, bfloat16
    python scripts/finetune_step.py --storage fp8
    python scripts/finetune_step.py --tiny          # a small network on the CPU: checks the script

Prints one JSON object. Without an accelerator only --tiny runs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from motifocal.loss.motion_loss import motion_loss
from motifocal.training.families.wan import WanTI2V
from motifocal.training.finetune.adapter import trained_weights
from motifocal.training.finetune.run import make_trainable, sample_generator
from motifocal.training.finetune.settings import finetune_settings

#: transformer/config.json of the published model.
SHAPE = {"num_attention_heads": 24, "attention_head_dim": 128, "in_channels": 48,
         "out_channels": 48, "text_dim": 4096, "freq_dim": 256, "ffn_dim": 14336,
         "num_layers": 30, "rope_max_seq_len": 1024}  # fmt: skip
TINY = {**SHAPE, "num_attention_heads": 2, "attention_head_dim": 12, "text_dim": 16,
        "freq_dim": 16, "ffn_dim": 32, "num_layers": 2}  # fmt: skip
SCHEDULER = {"flow_shift": 5.0}


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--frames", type=int, default=49)
    options.add_argument("--size", type=int, nargs=2, default=(480, 832), metavar="PIXELS")
    options.add_argument("--lora", type=int, default=32, help="rank")
    options.add_argument("--storage", choices=["full", "fp8", "nf4"], default="full")
    options.add_argument("--steps", type=int, default=5)
    options.add_argument("--tiny", action="store_true")
    given = options.parse_args(arguments)
    if not given.tiny and not torch.cuda.is_available():
        raise SystemExit("an accelerator is needed for the published shape; --tiny runs without")
    device = torch.device("cpu" if given.tiny else "cuda")
    print(json.dumps(measure(given, device)))


def measure(given: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Take steps on random latents, and say what they took."""
    settings = finetune_settings({"model": "random", "lora_rank": given.lora,
                                  "storage": given.storage})  # fmt: skip
    shape = TINY if given.tiny else SHAPE
    family = WanTI2V({}, {"scheduler": SCHEDULER})
    torch.manual_seed(0)
    with device:
        network: Any = diffusers.WanTransformer3DModel(**shape).to(torch.bfloat16)
    make_trainable(network.train(), settings, family)
    optimizer = torch.optim.AdamW(trained_weights(network).values(), lr=1e-4)
    batch = random_batch(family, given, shape["text_dim"], device)
    weights = torch.rand_like(batch["latents"][:, :1])

    def step(number: int) -> float:
        began = time.perf_counter()
        draw = family.draw(batch["latents"], [sample_generator(0, number, 0)])
        prediction = family.forward(network, draw, batch)
        loss = motion_loss(prediction, draw.target, weights, family.geometry)
        loss.total.mean().backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - began

    with FlopCounterMode(display=False) as counter:
        step(0)  # warms up, too
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    seconds = statistics.median(step(number) for number in range(1, given.steps + 1))
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else None
    return {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "shape": "tiny" if given.tiny else "Wan 2.2 TI2V-5B", "storage": given.storage,
        "lora_rank": given.lora, "frames": given.frames, "size": list(given.size),
        "weights": sum(p.numel() for p in network.parameters()), "seconds": seconds,
        "peak_bytes": peak, "flops": counter.get_total_flops(),
    }  # fmt: skip


def random_batch(
    family: WanTI2V, given: argparse.Namespace, text_width: int, device: torch.device
) -> dict[str, Tensor]:
    """What is cached of a clip, random."""
    height, width = (side // family.geometry.spatial_stride for side in given.size)
    frames = family.geometry.latent_frames(given.frames)
    return {"latents": torch.randn(1, 48, frames, height, width, device=device),
            "text": torch.randn(1, 512, text_width, device=device)}  # fmt: skip


if __name__ == "__main__":
    main()
