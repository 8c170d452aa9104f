"""How frozen weights are stored, and which way to train fits into memory."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_diffusers import TINY
from tiny_finetune import invoke, losses_of, same, train_arguments, weights_of

from motifocal.training.families.registry import family_of
from motifocal.training.finetune.adapter import trained_weights
from motifocal.training.finetune.cache import ClipCache
from motifocal.training.finetune.memory import first_that_fits, rungs, sizes_of
from motifocal.training.finetune.parts import load_trained
from motifocal.training.finetune.run import make_trainable
from motifocal.training.finetune.settings import finetune_settings

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.slow
def test_frozen_weights_stored_in_fp8_train_almost_the_same_lora(
    made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    _, model, cache = made
    for storage in ("full", "fp8"):
        result = invoke(*train_arguments(cache, tmp_path / storage, model, storage=storage,
                                         precision="bfloat16"))
        assert result.exit_code == 0, result.output
    full, fp8 = (losses_of(tmp_path / storage) for storage in ("full", "fp8"))
    assert [line["loss"] for line in fp8] == pytest.approx([line["loss"] for line in full], rel=0.1)
    assert full != fp8


def test_the_first_weights_of_a_lora_do_not_depend_on_how_frozen_ones_are_stored(
    made: tuple[Path, Path, Path]
) -> None:
    _, model, _ = made
    family, first = family_of(model), []
    for storage, precision in (("full", "float32"), ("full", "bfloat16"), ("fp8", "bfloat16")):
        settings = finetune_settings({"model": "tiny", "lora_rank": 4, "storage": storage,
                                      "precision": precision})  # fmt: skip
        transformer = load_trained(model, family, "transformer", precision)
        make_trainable(transformer, settings, family)
        first.append({name: p.detach() for name, p in trained_weights(transformer).items()})
    assert any(weights.any() for weights in first[0].values())
    assert same(first[0], first[1])
    assert same(first[0], first[2])


def test_memory_takes_the_first_way_that_fits_and_names_a_length_where_none_does(
    made: tuple[Path, Path, Path]
) -> None:
    _, model, cache = made
    family, clips = family_of(model), ClipCache(cache)
    settings = finetune_settings({"model": "tiny", "lora_rank": 4})
    chosen, words = first_that_fits(settings, model, family, clips, 24.0)
    assert (chosen.storage, chosen.gradient_checkpointing) == ("full", True)
    assert "gradient checkpointing" in words
    with pytest.raises(ValueError, match=r"should be about \d+\.\d GB or more .* got 0.1; "):
        first_that_fits(settings, model, family, clips, 0.1)


def test_sizes_are_those_of_the_model_and_fp8_is_taken_where_bfloat16_does_not_fit(
    made: tuple[Path, Path, Path], trained: Path
) -> None:
    _, model, cache = made
    family, clips = family_of(model), ClipCache(cache)
    settings = finetune_settings({"model": "tiny", "lora_rank": 4})
    sizes = sizes_of(settings, model, family, "transformer", clips)
    whole = load_file(model / "transformer/diffusion_pytorch_model.safetensors")
    assert sizes.weights == sum(weight.numel() for weight in whole.values())
    assert sizes.trained == sum(weight.numel() for weight in weights_of(trained).values())
    (height, width), frames = TINY["wan22-5b"]
    assert sizes.tokens == (1 + (frames - 1) // 4) * (height // 32) * (width // 32)
    (full, fp8, *_) = (sizes.needed(rung) for rung, _ in rungs(settings))
    assert full - fp8 == sizes.weights
    wide = sizes.needed(settings.model_copy(update={"precision": "float32"}))
    assert wide - sizes.needed(settings) >= 2 * sizes.weights
    chosen, words = first_that_fits(settings, model, family, clips, (full + fp8) / 2e9)
    assert chosen.storage == "fp8"
    assert "fp8" in words


def test_the_step_of_the_published_shape_is_measured_where_it_can_be(
    capsys: pytest.CaptureFixture[str]
) -> None:
    script = runpy.run_path(str(Path(__file__).parents[2] / "scripts/finetune_step.py"))
    script["main"](["--tiny", "--size", "64", "32", "--frames", "5", "--steps", "1"])
    found = json.loads(capsys.readouterr().out)
    assert found["flops"] > 0 < found["seconds"]
    assert (found["device"], found["peak_bytes"]) == ("cpu", None)
    if not torch.cuda.is_available():
        with pytest.raises(SystemExit, match="an accelerator is needed"):
            script["main"]([])
