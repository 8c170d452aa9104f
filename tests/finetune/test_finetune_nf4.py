"""Frozen weights in four bits: the run goes on after a kill, and the LoRA fits the whole model.

bitsandbytes is no dependency: without it, as in CI, what needs it is skipped.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from tiny_diffusers import save_tiny, tiny_pipeline
from tiny_finetune import invoke, losses_of, prepared, same, train_arguments, weights_of

from motifocal.training.families.registry import family_of
from motifocal.training.finetune.cache import ClipCache
from motifocal.training.finetune.memory import rungs, sizes_of
from motifocal.training.finetune.parts import load_trained
from motifocal.training.finetune.settings import finetune_settings

with_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed"
)
# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@with_bitsandbytes
@pytest.mark.slow
def test_a_lora_is_trained_on_weights_of_four_bits_and_goes_on_bit_for_bit(tmp_path: Path) -> None:
    model, cache = prepared("wan22-5b", tmp_path)

    def train(run: Path, steps: int) -> None:
        result = invoke(*train_arguments(cache, run, model, steps=steps, storage="nf4"))
        assert result.exit_code == 0, result.output

    train(tmp_path / "whole", 3)
    train(tmp_path / "parts", 2)
    train(tmp_path / "parts", 3)
    assert losses_of(tmp_path / "parts") == losses_of(tmp_path / "whole")
    assert same(weights_of(tmp_path / "parts"), weights_of(tmp_path / "whole"))
    pipeline = tiny_pipeline("wan22-5b")
    pipeline.load_lora_weights(tmp_path / "whole/lora")
    assert pipeline.get_list_adapters() == {"transformer": ["default_0"]}


@with_bitsandbytes
def test_four_bits_are_what_is_stored_of_linear_layers_and_what_is_counted(tmp_path: Path) -> None:
    model, cache = prepared("wan22-5b", tmp_path)
    family = family_of(model)
    network = load_trained(model, family, "transformer", "float32", nf4=True)
    stored = network.blocks[0].attn1.to_q.weight
    assert stored.dtype == torch.uint8
    assert stored.numel() == 24 * 24 / 2
    settings = finetune_settings({"model": "m", "lora_rank": 4})
    assert [rung.storage for rung, _ in rungs(settings)] == ["full", "fp8", "nf4"]
    sizes = sizes_of(settings, model, family, "transformer", ClipCache(cache))
    full, _, nf4 = (sizes.needed(rung) for rung, _ in rungs(settings))
    assert nf4 < full


def test_without_bitsandbytes_it_is_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny("wan22-5b", tmp_path / "model")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ValueError, match="storage nf4 needs the package bitsandbytes"):
        load_trained(model, family_of(model), "transformer", "float32", nf4=True)
