"""Calls of the pipeline and model folders that are refused, each with what was expected."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pipeline_calls import noise, run, seeds
from tiny_model import SENTENCES, UNET, tiny_pipeline

from motifocal.models.pipeline import TI2VPipeline


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A model folder that a test may spoil."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_network_that_wants_image_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="image_condition should be 'none' or 'concat'"):
        tiny_pipeline(replace(UNET, image_condition="attention", image_token_dim=8))


BAD_CALLS: dict[str, tuple[dict[str, Any], str]] = {
    "more prompts than images": (
        {"image": [noise(0)] * 2, "prompt": SENTENCES}, "image should be one or 3, got 2"),
    "no prompt": ({"prompt": []}, "prompt should be one or 1, got 0"),
    "nothing at all": ({"image": [], "prompt": []}, "image should be one or 1, got 0"),
    "a number for a prompt": ({"prompt": [3]}, "prompts should be strings, got int"),
    "negative prompts": ({"negative_prompt": ["", ""]}, "negative_prompt should be one or 1"),
    "generators": ({"generator": seeds(0, 1)}, "generator should be one or 1, got 2"),
    "size": ({"height": 30}, "multiples of 8, got 30x32"),
    "frames": ({"num_frames": 0}, "num_frames should be at least 1, got 0"),
    "fps": ({"fps": -1}, "fps should be positive and finite, got -1"),
    "steps": ({"num_inference_steps": 0}, "num_inference_steps should be at least 1, got 0"),
    "guidance": ({"guidance_scale": float("nan")}, "guidance_scale should be finite"),
    "rescale": ({"guidance_rescale": 2}, r"guidance_rescale should be in \[0, 1\], got 2"),
    "eta": ({"eta": -0.1}, r"eta should be in \[0, 1\], got -0.1"),
    "output": ({"output_type": "gif"}, "output_type should be one of .*, got 'gif'"),
    "latents": ({"latents": torch.zeros(1, 4, 4, 8, 9)}, r"latents should be \(1, 4, 4, 8, 8\)"),
    "tensor": ({"image": torch.zeros(3, 16, 16)}, r"image tensor should be \(3, 32, 32\)"),
    "no height": ({"height": 0}, "got 0x32"),
    "no colours": ({"image": np.zeros((32, 32), np.uint8)}, r"should be .* uint8, got \(32, 32\)"),
    "grey": ({"image": np.zeros((32, 32, 1), np.uint8)}, r"should be .* uint8, got \(32, 32, 1\)"),
    "chunk": ({"decode_chunk_size": 0}, "decode_chunk_size should be at least 1, got 0"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_CALLS)
def test_a_bad_call_says_what_was_expected(pipeline: TI2VPipeline, case: str) -> None:
    given, message = BAD_CALLS[case]
    with pytest.raises(ValueError, match=message):
        run(pipeline, **given)


def rename_class(folder: Path) -> None:
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "Other"}))


def pickle_weights(folder: Path) -> None:
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, weights.with_name("diffusion_pytorch_model.bin"))
    weights.unlink()


BAD_FOLDERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (shutil.rmtree, "should be a model folder, got no model_index.json"),
    "another pipeline": (rename_class, "should say TI2VPipeline, got 'Other'"),
    "no tokenizer": (lambda folder: shutil.rmtree(folder / "tokenizer"), "got no tokenizer"),
    "half a file": (
        lambda folder: (folder / "model_index.json").write_text("{"),
        "should be JSON, got Exp",
    ),
}


@pytest.mark.parametrize("case", BAD_FOLDERS)
def test_a_folder_that_is_no_model_is_refused(copy: Path, case: str) -> None:
    spoil, message = BAD_FOLDERS[case]
    spoil(copy)
    with pytest.raises(ValueError, match=message):
        TI2VPipeline.from_pretrained(copy)


def test_a_pickle_in_the_folder_is_not_read(copy: Path) -> None:
    pickle_weights(copy)
    with pytest.raises(ValueError, match="safetensors"):
        TI2VPipeline.from_pretrained(copy)
