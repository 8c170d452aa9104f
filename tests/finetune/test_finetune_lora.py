"""The LoRA that a training leaves loads in real pipelines and changes their output."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from family_checks import configs_of
from safetensors import safe_open
from safetensors.torch import load_file
from tiny_diffusers import TINY, tiny_pipeline
from tiny_finetune import CLIPS, invoke, prepared, same, train_arguments, weights_of

from motifocal.generate.diffusers_lora import load_lora
from motifocal.media.video import write_image
from motifocal.training.families.base import Family
from motifocal.training.families.registry import FAMILIES, family_of
from motifocal.training.finetune.adapter import (
    add_lora,
    lora_config,
    lora_keys,
    trained_weights,
    write_lora,
)
from motifocal.training.finetune.result import loading_lines, lora_folder

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
WAN = ("wan22-5b", "wan21", "wan22-a14b", "skyreels")
OTHERS = (
    "ltx", "ltx-condition", "cogvideox", "cogvideox15", "hunyuan", "hunyuan-33ch", "hunyuan15",
    "ltx2", "kandinsky5",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*WAN, *OTHERS])
def test_the_lora_loads_in_the_real_pipeline_and_changes_its_output(
    kind: str, made: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    model, cache = made[1:] if kind == "wan22-5b" else prepared(kind, tmp_path)
    run = tmp_path / "run"
    result = invoke(*train_arguments(cache, run, model, steps=2, learning_rate=0.1))
    assert result.exit_code == 0, result.output
    pipe: Any = tiny_pipeline(kind)
    parts = family_of(model).trained
    before = {part: output_of(getattr(pipe, part)) for part in parts if kind in WAN}
    load_lora(pipe, run / "lora")
    for part in parts:
        assert same(loaded_into(getattr(pipe, part)),
                    weights_of(run if len(parts) == 1 else run / part))  # fmt: skip
        if part in before:
            changed = output_of(getattr(pipe, part))
            assert torch.isfinite(changed).all()
            assert not torch.equal(before[part], changed)
    if kind != "wan22-5b":  # which has a test of its own below
        videos = {animated(kind, model, tmp_path), animated(kind, model, tmp_path, run / "lora")}
        if len(parts) == 2:
            shutil.copytree(run / "lora", tmp_path / "first", ignore=lambda *_: [parts[1]])
            videos.add(animated(kind, model, tmp_path, tmp_path / "first"))
        assert len(videos) == 1 + len(parts)


def output_of(transformer: Any) -> torch.Tensor:
    """What a transformer of Wan predicts for fixed inputs; `family_checks` has others."""
    generator = torch.Generator().manual_seed(0)
    channels, image = transformer.config.in_channels, transformer.config.image_dim
    with torch.no_grad():
        predicted: torch.Tensor = transformer.eval()(
            hidden_states=torch.randn(1, channels, 2, 4, 4, generator=generator),
            timestep=torch.tensor([500.0]),
            encoder_hidden_states=torch.randn(1, 7, 16, generator=generator),
            encoder_hidden_states_image=torch.randn(1, 17, 16) * 0 + 1 if image else None,
            return_dict=False,
        )[0]
    return predicted


def test_the_file_of_original_names_is_the_same_lora(trained: Path) -> None:
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_wan_lora_to_diffusers

    ours = load_file(trained / "lora/pytorch_lora_weights.safetensors")
    original = load_file(trained / "lora/comfyui.safetensors")
    assert "diffusion_model.blocks.0.self_attn.q.lora_A.weight" in original
    assert "diffusion_model.blocks.0.cross_attn.o.lora_B.weight" in original
    back = _convert_non_diffusers_wan_lora_to_diffusers(dict(original))
    assert same(back, ours)
    with safe_open(trained / "lora/comfyui.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["motifocal"])
    assert facts["motif_weight"] == 1.0
    assert facts["clips"] == CLIPS
    assert facts["heatmap"]["floor"] == 0.05
    card = (trained / "lora/README.md").read_text()
    assert f"base_model: {facts['base_model']}" in card
    assert facts["data_sha256"] in card


@pytest.mark.parametrize(("kind", "parts"), [
    ("hunyuan15", ["transformer"]), ("wan21", ["transformer"]), ("wan22-a14b", ["transformer"]),
    ("wan22-a14b", ["transformer_2"]), ("wan22-a14b", ["transformer", "transformer_2"]),
])  # fmt: skip
def test_the_lines_of_the_card_load_what_was_trained(
    kind: str, parts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe: Any = tiny_pipeline(kind)
    index, configs = configs_of(pipe)
    family = next(f for f in FAMILIES if f.matches(index, configs))(index, configs)
    weights = {part: drawn_lora(getattr(pipe, part), family) for part in parts}
    for part in parts:
        write_lora(lora_folder(tmp_path / "lora", family, part), lora_keys(weights[part]),
                   lora_config(2, 2, family.lora_targets), family.original_names, {})  # fmt: skip
    monkeypatch.chdir(tmp_path)
    exec("\n".join(loading_lines(family, tmp_path / "lora")), {"pipe": pipe})
    for part in family.trained:
        assert same(loaded_into(getattr(pipe, part)), weights.get(part, {}))


def drawn_lora(transformer: Any, family: Family) -> dict[str, torch.Tensor]:
    """Random weights of a LoRA on a transformer, which is left as it was."""
    add_lora(transformer, 2, 2, family.lora_targets)
    weights = {name: torch.randn_like(weight)
               for name, weight in trained_weights(transformer).items()}  # fmt: skip
    transformer.delete_adapters("default")
    return weights


def loaded_into(transformer: Any) -> dict[str, torch.Tensor]:
    """The weights of the LoRA that was loaded, under the names that training gives them."""
    return {re.sub(r"\.default_\d\.", ".default.", name): weight
            for name, weight in transformer.named_parameters() if "lora" in name}  # fmt: skip


def animated(kind: str, model: Path, folder: Path, *loras: Path) -> bytes:
    """The video that `animate` makes, with a LoRA or without."""
    (height, width), frames = TINY[kind]
    picture, video = folder / "picture.png", folder / f"{[place.name for place in loras]}.mp4"
    write_image(picture, np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))
    lora = [argument for place in loras for argument in ("--lora", place)]
    result = invoke("animate", picture, "it falls", "-o", video, "--model", model, "--frames",
                    frames, "--size", f"{height}x{width}", "--steps", "2", "--device", "cpu",
                    *lora)  # fmt: skip
    assert result.exit_code == 0, result.output
    return video.read_bytes()


@pytest.mark.slow
def test_animate_samples_with_the_lora(
    made: tuple[Path, Path, Path], trained: Path, tmp_path: Path
) -> None:
    _, model, _ = made
    plain = animated("wan22-5b", model, tmp_path)
    assert animated("wan22-5b", model, tmp_path, trained / "lora") != plain
    refused = invoke("animate", tmp_path / "picture.png", "it falls", "-o", tmp_path / "no.mp4",
                     "--lora", trained)  # fmt: skip
    assert refused.exit_code == 2
    assert "--lora is for models of diffusers" in refused.output
