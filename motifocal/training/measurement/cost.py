"""Compute the cost of a training without its weights: memory by part, FLOPs, hours.

Letters: C channels, F frames, h w latents. The network is built on torch's meta device, where
tensors have shapes and no contents: nothing is computed, and 1.4 billion parameters take seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from motifocal.models.unet import TI2VUNet
from motifocal.models.unet_config import LATENT_PATCH
from motifocal.training.presets import TrainingSettings

TEXT_TOKENS, IMAGE_TOKENS = 77, 257  # of CLIP's text and image encoders
#: Bytes of a number.
FULL, HALF = 4, 2


@dataclass(frozen=True)
class Activations:
    """Bytes that autograd keeps of one sample: all, or with gradient checkpointing.

    With checkpointing these are the inputs of all blocks, and all of the largest block, which is
    computed once more when its turn comes.
    """

    all: int
    checkpointed: int


@dataclass(frozen=True)
class TrainingCost:
    """What a training takes on each of `devices`: memory in bytes, and FLOPs of all together.

    A multiplication and an addition are two FLOPs. Memory is without what an allocator wastes and
    without the autoencoder and the text encoder.
    """

    parameters: int
    memory: dict[str, int]
    activations: Activations
    forward: int
    step: int
    steps: int
    devices: int

    def hours(self, tflops: float, utilisation: float) -> float:
        """Return how long all steps take on devices of so many TFLOP/s at their peak."""
        return self.steps * self.step / (self.devices * tflops * 1e12 * utilisation) / 3600


def training_cost(
    settings: TrainingSettings, latents: tuple[int, int, int], devices: int
) -> TrainingCost:
    """Return the cost on latents (F, h, w). ValueError where the batch does not split so."""
    settings.accumulation(devices)
    with torch.device("meta"):
        unet = TI2VUNet.build(settings.unet)
        inputs = inputs_of(settings, latents)
        forward = forward_flops(unet, inputs)
        half = settings.precision == "bf16"
        if half:
            torch.nn.Module.to(unet, torch.bfloat16)  # diffusers' own warns of what it keeps
            inputs = {name: value.to(torch.bfloat16) for name, value in inputs.items()}
        activations = kept_by_autograd(unet, inputs)
    parameters = [p.numel() for p in unet.parameters()]
    count = sum(parameters)
    used = (activations.checkpointed if settings.gradient_checkpointing else activations.all)
    memory = {
        "weights": FULL * count,
        "weights in bfloat16": HALF * count if half else 0,
        "gradients": FULL * count,
        f"optimizer ({settings.optimizer})": optimizer_bytes(settings, unet),
        "moving average": FULL * count,
        f"activations, micro-batch of {settings.micro_batch}": settings.micro_batch * used,
    }
    # The backward pass costs two forward passes; with checkpointing each block runs twice.
    passes = 4 if settings.gradient_checkpointing else 3
    return TrainingCost(count, {part: size for part, size in memory.items() if size}, activations,
                        forward, passes * settings.global_batch * forward, settings.steps, devices)


def inputs_of(settings: TrainingSettings, latents: tuple[int, int, int]) -> dict[str, Any]:
    """Return what the network takes of one sample, on torch's default device."""
    unet, (frames, height, width) = settings.unet, latents
    inputs = {"sample": torch.empty(1, unet.latent_channels, frames, height, width),
              "timestep": torch.empty(1), "fps": torch.empty(1),
              "encoder_hidden_states": torch.empty(1, TEXT_TOKENS, unet.cross_attention_dim)}
    if unet.takes_image_latent:
        inputs["image_latent"] = torch.empty(1, unet.latent_channels, height, width)
    if unet.takes_image_tokens:
        assert unet.image_token_dim is not None
        ours = (height // LATENT_PATCH) * (width // LATENT_PATCH)
        tokens = IMAGE_TOKENS if unet.takes_encoded_tokens else ours
        inputs["image_tokens"] = torch.empty(1, tokens, unet.image_token_dim)
    if unet.motion_score:
        inputs["motion_score"] = torch.empty(1)
    return inputs


def forward_flops(unet: TI2VUNet, inputs: dict[str, Tensor]) -> int:
    """Count the FLOPs of one forward pass: matrix products, convolutions and attention."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        unet(**inputs)
    return int(counter.get_total_flops())


def optimizer_bytes(settings: TrainingSettings, unet: TI2VUNet) -> int:
    """Return what the optimiser keeps: AdamW two numbers a weight, Muon one for that in a matrix.
    """
    weights = sum(p.numel() for p in unet.parameters())
    if settings.optimizer == "adamw":
        return 2 * FULL * weights
    in_matrices = sum(p.numel() for name, p in unet.named_parameters()
                      if p.ndim >= 2 and not name.startswith(("conv_in", "conv_out")))
    return FULL * (2 * weights - in_matrices)


def kept_by_autograd(unet: TI2VUNet, inputs: dict[str, Tensor]) -> Activations:
    """Measure what one forward pass leaves for the backward pass, each memory counted once."""
    kept, blocks = _Memory(unet), _Memory(unet)
    sizes = []

    def block(function: Callable[..., Tensor], *arguments: Any) -> Tensor:
        for tensor in _tensors(arguments):
            blocks.add(tensor)
        before = kept.size
        result = function(*arguments)
        sizes.append(kept.size - before)
        return result

    unet.enable_gradient_checkpointing(block)
    with _FusedAttention(), torch.autograd.graph.saved_tensors_hooks(kept.add, lambda x: x):
        unet.train()(**inputs)
    outside = kept.size - sum(sizes)
    return Activations(kept.size, outside + blocks.size + max(sizes))


class _FusedAttention(TorchFunctionMode):
    """Attention that keeps what a fused kernel keeps: the meta device has none, and would keep the
    matrix of all pairs of tokens.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        if func is torch.nn.functional.scaled_dot_product_attention:
            return _Attention.apply(*args[:3])
        return func(*args, **(kwargs or {}))


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        result = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, result)
        return result


class _Memory:
    """Adds up the memory of tensors, but for that of a network's weights."""

    def __init__(self, unet: TI2VUNet) -> None:
        self.size = 0
        self._seen: dict[int, Tensor] = {p.untyped_storage()._cdata: p for p in unet.parameters()}

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._seen:
            self._seen[storage._cdata] = tensor  # kept, so that no other gets its address
            self.size += storage.nbytes()
        return tensor


def _tensors(values: Any) -> list[Tensor]:
    """Return the tensors among arguments, those in tuples too."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, (tuple, list)):
        return [tensor for value in values for tensor in _tensors(value)]
    return []
