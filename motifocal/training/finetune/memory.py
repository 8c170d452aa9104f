"""Choose how to place a model in an accelerator's memory, estimated from its files.

    weights + what is trained + activations + a reserve

Bytes of weights are exact. Those of activations are an estimate for transformers whose blocks are
computed again in the backward pass: the inputs of all blocks, and all inside of one. Nothing is
measured here; a run that is short of memory in spite of it says so.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from motifocal.files.tensor_file import open_safetensors
from motifocal.training.families.base import Family
from motifocal.training.finetune.cache import ClipCache, clip_path
from motifocal.training.finetune.run import parts_of
from motifocal.training.finetune.settings import FinetuneSettings

GIGABYTE = 1e9
RESERVE = 1.5 * GIGABYTE  # kernels, the allocator's gaps
#: Bytes of a number in each precision, and of each other way to store a frozen weight: nf4 has a
#: scale for every 64 of them besides.
COMPUTED = {"bfloat16": 2.0, "float32": 4.0}
STORED = {"fp8": 1.0, "nf4": 0.57}
TRAINED = 16  # bytes a trained weight: itself, its gradient and AdamW's two averages, float32
#: Values of a token that one block keeps for its own backward pass: so many times its width, and
#: so many times the width of its feed-forward layer.
WIDTHS, FEED_FORWARDS = 16, 4


@dataclass(frozen=True)
class Sizes:
    """What decides the memory of training one transformer, in weights, tokens and layers.

    `shards` are the processes that a sharded network's weights lie on, 1 where each holds all.
    """

    weights: int
    trained: int
    layers: int
    width: int
    feed_forward: int
    tokens: int
    shards: int = 1

    def needed(self, settings: FinetuneSettings) -> float:
        """Return the bytes that training takes with these settings, on each process."""
        trained = self.trained * (TRAINED + (4 if settings.ema_decay else 0))
        frozen = 0 if settings.lora_rank is None else self.weights
        number = COMPUTED[settings.precision]
        weights = frozen * STORED.get(settings.storage, number)
        block = WIDTHS * self.width + FEED_FORWARDS * self.feed_forward
        kept = self.layers * self.width if settings.gradient_checkpointing else self.layers * block
        activations = number * settings.micro_batch * self.tokens * (kept + block)
        # FSDP2 gathers the weights of a block while the one before it computes, whose gradients
        # are whole until they are summed over the processes.
        whole = self.weights * (number if frozen else COMPUTED["float32"])
        gradients = self.trained * COMPUTED["float32"]
        gathered = (2 * whole + gradients) / self.layers if self.shards > 1 else 0
        return (weights + trained) / self.shards + gathered + activations + RESERVE


def first_that_fits(
    settings: FinetuneSettings, folder: Path, family: Family, cache: ClipCache, gigabytes: float,
    shards: int = 1,
) -> tuple[FinetuneSettings, str]:  # fmt: skip
    """Return the first rung that fits on each process, and words that say what it takes.

    Raises ValueError where none does, naming a length or a size that would.
    """
    sizes = max((sizes_of(settings, folder, family, part, cache)
                 for part in parts_of(settings, family)), key=lambda sizes: sizes.weights)
    sizes = replace(sizes, shards=shards)
    for rung, words in rungs(settings, shards):
        if (needed := sizes.needed(rung) / GIGABYTE) <= gigabytes:
            return rung, (f"memory: {words}: about {needed:.1f} of {gigabytes:g} GB by arithmetic, "
                          f"{sizes.weights / 1e9:.2f} billion weights, {sizes.tokens} tokens")
    least = min(sizes.needed(rung) for rung, _ in rungs(settings, shards)) / GIGABYTE
    raise ValueError(f"memory should be about {least:.1f} GB or more for {sizes.tokens} tokens, "
                     f"got {gigabytes:g}; {_smaller(sizes, settings, cache, family, gigabytes)}")


def rungs(
    settings: FinetuneSettings, shards: int = 1
) -> Iterator[tuple[FinetuneSettings, str]]:  # fmt: skip
    """Yield ever more frugal settings, with words; weights that are sharded are stored in full."""
    changed: dict[str, Any] = {"gradient_checkpointing": True, "storage": "full"}
    sharded = f", sharded over {shards} processes" if shards > 1 else ""
    yield settings.model_copy(update=changed), f"gradient checkpointing{sharded}"
    if settings.lora_rank is None or sharded:
        return
    yield settings.model_copy(update={**changed, "storage": "fp8"}), "layers stored in fp8"
    if importlib.util.find_spec("bitsandbytes") is not None:
        yield settings.model_copy(update={**changed, "storage": "nf4"}), "layers stored in nf4"


def sizes_of(
    settings: FinetuneSettings, folder: Path, family: Family, part: str, cache: ClipCache
) -> Sizes:
    """Read the sizes of a transformer and of a clip from the headers of their files."""
    config = family.configs[part]
    shapes = shapes_of(folder / family.weights_folder(part))
    return sizes_of_shapes(settings, family, config, shapes, tokens_of(config, cache))


def sizes_of_shapes(
    settings: FinetuneSettings, family: Family, config: Mapping[str, Any],
    shapes: Mapping[str, Sequence[int]], tokens: int,
) -> Sizes:  # fmt: skip
    """Add up the sizes of a transformer from its configuration and its weights' shapes by name."""
    width = (config.get("model_dim")  # as Kandinsky 5 calls it
             or config["num_attention_heads"] * config["attention_head_dim"])
    feed_forward = config.get("ffn_dim") or config.get("ff_dim") or 4 * width
    weights = sum(math.prod(shape) for shape in shapes.values())
    # As peft matches them: whole parts of a dotted name.
    targets = tuple(f".{name}" for name in settings.lora_targets or family.lora_targets)
    rank = settings.lora_rank
    trained = weights if rank is None else sum(
        rank * sum(shape) for name, shape in shapes.items()
        if len(shape) == 2 and f".{name.removesuffix('.weight')}".endswith(targets))
    return Sizes(weights, trained, _layers(config), width, feed_forward, tokens)


def tokens_of(config: Mapping[str, Any], cache: ClipCache) -> int:
    """Count the tokens of the cache's clips."""
    with open_safetensors(clip_path(cache.folder, cache.clips[0].clip)) as file:
        _, *sides = file.get_slice("latents").get_shape()
    patch = config.get("patch_size", 1)
    if not isinstance(patch, list | tuple):
        patch = [config.get("patch_size_t") or 1, patch, patch]
    return math.prod(-(-side // step) for side, step in zip(sides, patch, strict=True))


def shapes_of(part: Path) -> dict[str, list[int]]:
    """Return the shape of every weight in a folder's safetensors, by name."""
    shapes: dict[str, list[int]] = {}
    for path in sorted(part.glob("*.safetensors")):
        with open_safetensors(path) as file:
            shapes |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    return shapes


def _layers(config: Mapping[str, Any]) -> int:
    """Count a transformer's blocks, of both kinds where it has two."""
    keys = ("num_layers", "num_single_layers", "num_visual_blocks")
    return max(1, sum(int(config.get(key) or 0) for key in keys))


def _smaller(
    sizes: Sizes, settings: FinetuneSettings, cache: ClipCache, family: Family, gigabytes: float
) -> str:
    """Say what length of clip, or what share of their area, would fit."""
    ways = [rung for rung, _ in rungs(settings, sizes.shards)]
    fixed = min(replace(sizes, tokens=0).needed(rung) for rung in ways)
    if fixed >= gigabytes * GIGABYTE:
        return f"the weights alone take {fixed / GIGABYTE:.1f} GB"
    frames, stride = int(cache.settings["frames"]), family.geometry.temporal_stride
    latents = 1 + (frames - 1) // stride
    for fewer in range(latents - 1, 0, -1):
        shorter = replace(sizes, tokens=sizes.tokens * fewer // latents)
        if any(shorter.needed(rung) <= gigabytes * GIGABYTE for rung in ways):
            return f"--frames {1 + (fewer - 1) * stride} would fit"
    return "a smaller --size is needed even for a single frame"
