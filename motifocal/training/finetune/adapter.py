"""Select what is trained of a transformer, a LoRA or all of it; read and write LoRA files.

`pytorch_lora_weights.safetensors` has diffusers' names and is read by a pipeline's
`load_lora_weights`; `comfyui.safetensors` has the names of the original release behind
"diffusion_model.", as ComfyUI and the original trainers read it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from safetensors.torch import save
from torch import Tensor, nn

from motifocal.files.atomic import write_bytes

LORA, ORIGINAL = "pytorch_lora_weights.safetensors", "comfyui.safetensors"
ADAPTER = "default"  # the name of the adapter inside peft's modules
#: How keys begin in diffusers' file, and in that of the original names.
PREFIX, ORIGINAL_PREFIX = "transformer.", "diffusion_model."
METADATA = "motifocal"  # the key of a file's metadata, JSON


def add_lora(transformer: Any, rank: int, alpha: float, targets: Sequence[str]) -> None:
    """Freeze a transformer and add a LoRA, in float32, to the modules whose names end so.

    The first weights are drawn by torch's global generator.
    """
    transformer.requires_grad_(False)
    transformer.add_adapter(lora_config(rank, alpha, targets), adapter_name=ADAPTER)
    for parameter in transformer.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    # Drawn anew: peft has drawn in what the frozen weights are stored in, bfloat16 or even fp8.
    for module in transformer.modules():
        if isinstance(module, LoraLayer):
            module.reset_lora_parameters(ADAPTER, init_lora_weights=True)


def lora_config(rank: int, alpha: float, targets: Sequence[str]) -> LoraConfig:
    """Return peft's settings of a LoRA."""
    return LoraConfig(r=rank, lora_alpha=_plain(alpha), target_modules=list(targets),
                      init_lora_weights=True)  # fmt: skip


def trained_weights(network: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that take gradients, by name."""
    return {name: p for name, p in network.named_parameters() if p.requires_grad}


def lora_keys(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Name trained weights as diffusers' files do: "transformer.blocks.0.attn1.to_q.lora_A.weight".
    """
    return {PREFIX + name.replace(f".{ADAPTER}.", "."): value for name, value in weights.items()}


def original_keys(
    weights: Mapping[str, Tensor], names: Sequence[tuple[str, str]], rank: int, alpha: float
) -> dict[str, Tensor]:
    """Rename diffusers' keys to the original ones; `names` are (diffusers', original) in order.

    Readers of such a file take alpha = rank where it says nothing.
    """
    renamed = {}
    for key, value in weights.items():
        module, lora, rest = key.removeprefix(PREFIX).partition(".lora_")
        for now, original in names:
            # Whole parts of a dotted name only.
            module = f".{module}.".replace(f".{now}.", f".{original}.").strip(".")
        renamed[f"{ORIGINAL_PREFIX}{module}{lora}{rest}"] = value
        if alpha != rank:
            renamed[f"{ORIGINAL_PREFIX}{module}.alpha"] = torch.tensor(float(alpha))
    return renamed


def write_lora(
    folder: Path, weights: Mapping[str, Tensor], config: LoraConfig,
    names: Sequence[tuple[str, str]] | None, facts: Mapping[str, Any],
) -> list[Path]:  # fmt: skip
    """Write the LoRA's file, and that of the original names where `names` is not None.

    `weights` have diffusers' keys; `facts` about the training become metadata.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rank, alpha = int(config.r), float(config.lora_alpha)
    adapter = {"r": rank, "lora_alpha": config.lora_alpha,
               "target_modules": sorted(config.target_modules or [])}  # fmt: skip
    metadata = {"format": "pt", METADATA: json.dumps(facts, sort_keys=True),
                "lora_adapter_metadata": json.dumps(
                    {f"{PREFIX}{key}": value for key, value in adapter.items()})}  # fmt: skip
    files = {LORA: dict(weights)}
    if names is not None:
        files[ORIGINAL] = original_keys(weights, names, rank, alpha)
    for name, tensors in files.items():
        kept = metadata if name == LORA else {k: metadata[k] for k in ("format", METADATA)}
        whole = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        write_bytes(folder / name, save(whole, kept))
    return [folder / name for name in files]


def _plain(number: float) -> Any:
    """8.0 -> 8: files of adapters hold whole numbers as such."""
    return int(number) if number == int(number) else number
