"""The cache of a fine-tuning: its index, and the sizes that decide the memory of a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from family_checks import configs_of
from safetensors.torch import save_file
from tiny_diffusers import tiny_pipeline

from motifocal.motion.settings import HeatmapSettings
from motifocal.training.families.registry import FAMILIES
from motifocal.training.finetune.adapter import add_lora, trained_weights
from motifocal.training.finetune.cache import (
    CachedClip,
    CacheSettings,
    ClipCache,
    clip_path,
)
from motifocal.training.finetune.memory import sizes_of
from motifocal.training.finetune.prepare import lock_cache, write_index
from motifocal.training.finetune.settings import finetune_settings


def cache_of(folder: Path, caption: str = "a cat") -> ClipCache:
    """A cache of one clip: latents (C, F', h, w) of two frames, 4 x 6."""
    lock_cache(folder, CacheSettings("tiny", "any", "", "float32", 5, 32, 48, None, 1,
                                     HeatmapSettings()))
    save_file({"latents": torch.zeros(4, 2, 4, 6)}, clip_path(folder, "key"))
    write_index(folder, [CachedClip("a", caption, 24.0, "0-4", "", "key", "text")], [])
    return ClipCache(folder)


def test_a_caption_may_hold_what_ends_a_line_elsewhere(tmp_path: Path) -> None:
    caption = "up\u2028down\x85left\x0bright"
    assert cache_of(tmp_path, caption).captions([0]) == [caption]


@pytest.mark.parametrize("kind", ["wan22-5b", "ltx2", "kandinsky5", "hunyuan15"])
def test_what_is_counted_is_what_is_trained_at_the_networks_width(
    kind: str, tmp_path: Path
) -> None:
    pipe = tiny_pipeline(kind)
    index, configs = configs_of(pipe)
    family = next(f for f in FAMILIES if f.matches(index, configs))(index, configs)
    pipe.transformer.save_pretrained(tmp_path / "transformer")
    settings = finetune_settings({"model": "tiny", "lora_rank": 4})
    sizes = sizes_of(settings, tmp_path, family, "transformer", cache_of(tmp_path / "cache"))
    assert sizes.weights == sum(p.numel() for p in pipe.transformer.parameters())
    add_lora(pipe.transformer, 4, 4.0, family.lora_targets)
    assert sizes.trained == sum(p.numel() for p in trained_weights(pipe.transformer).values())
    queries = next(module for name, module in pipe.transformer.named_modules()
                   if name.endswith(family.lora_targets[0]))
    assert sizes.width == queries.in_features
