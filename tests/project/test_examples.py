"""The example gives the model what its own pipeline gives it, and trains what loads again."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from PIL import Image

from motifocal.media.video import resize_crop
from motifocal.scenes.export import recipe
from motifocal.scenes.render import render

EXAMPLES = Path(__file__).parents[2] / "examples"
# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
LINE = re.compile(r"step (\d+): plain ([\d.]+)  motion ([\d.]+)  weighted ([\d.]+)")
SIZE = HEIGHT, WIDTH = 64, 32


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("wan_ti2v_5b_lora")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every call of the transformer from here on: its arguments by name."""
    kind, made = diffusers.WanTransformer3DModel, []
    forward, signature = kind.forward, inspect.signature(kind.forward)

    @functools.wraps(forward)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        made.append({k: v for k, v in bound.arguments.items() if k != "self"})
        return forward(*args, **kwargs)

    monkeypatch.setattr(kind, "forward", recorded)
    return made


def test_steps_print_their_losses_and_the_lora_loads_into_the_pipeline(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main(["--tiny", "-o", str(tmp_path), "--steps", "2"])
    lines = LINE.findall(capsys.readouterr().out)
    assert [number for number, *_ in lines] == ["1", "2"]
    for _, plain, motion, weighted in lines:
        assert float(motion) > 0
        assert float(weighted) == pytest.approx(float(plain) + float(motion), abs=2e-6)
    pipe = example.tiny()
    pipe.load_lora_weights(tmp_path)
    added = {k: v for k, v in pipe.transformer.state_dict().items() if "lora_B" in k}
    # What a LoRA adds is 0 until a step has been taken.
    assert len(added) == 8
    assert all(value.abs().max() > 0 for value in added.values())


def test_lambda_zero_prints_equal_losses(
    example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main(["--tiny", "-o", str(tmp_path), "--motif-weight", "0"])
    ((_, plain, motion, weighted),) = LINE.findall(capsys.readouterr().out)
    assert plain == weighted
    assert float(motion) > 0


def test_the_model_gets_what_its_own_pipeline_gives_it(
    example: Any, tmp_path: Path, calls: list[dict[str, Any]]
) -> None:
    torch.manual_seed(0)
    pipe = example.tiny()
    example.main(["--tiny", "-o", str(tmp_path)])
    (mine,) = calls
    calls.clear()
    made = recipe(1, "train", 0)
    first = resize_crop(render(made.stage, made.action, frames=9).frames[0], *SIZE)
    pipe(image=Image.fromarray(first), prompt=made.text, height=HEIGHT, width=WIDTH, num_frames=9,
         num_inference_steps=2, guidance_scale=1.0, output_type="latent",
         generator=torch.Generator().manual_seed(0))  # fmt: skip
    theirs = calls[0]
    for name in ("hidden_states", "timestep", "encoder_hidden_states"):
        assert mine[name].shape == theirs[name].shape
    torch.testing.assert_close(mine["encoder_hidden_states"], theirs["encoder_hidden_states"])
    assert mine["encoder_hidden_states_image"] is theirs["encoder_hidden_states_image"] is None
    # The same tokens are at time 0, those of the first frame, whose latent is clean.
    assert torch.equal(mine["timestep"] == 0, theirs["timestep"] == 0)
    assert 0 < int((mine["timestep"] == 0).sum()) < mine["timestep"].numel()
    a, b = mine["hidden_states"], theirs["hidden_states"]
    torch.testing.assert_close(a[:, :, 0], b[:, :, 0], rtol=1e-4, atol=1e-5)
    assert (a[:, :, 1:] - b[:, :, 1:]).abs().mean() > 0.1


@pytest.mark.slow
def test_a_saved_pipeline_is_trained_in_bfloat16_on_a_clip(
    example: Any, tmp_path: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    example.tiny().save_pretrained(tmp_path / "model")
    monkeypatch.setattr(example, "resize_crop", lambda frames, *size: resize_crop(frames, *SIZE))
    monkeypatch.setattr(example, "render",
                        lambda *stage, frames: render(*stage, frames=9))  # fmt: skip
    example.main(["--model", str(tmp_path / "model"), "-o", str(tmp_path / "lora")])
    assert calls[0]["hidden_states"].dtype == torch.bfloat16


@pytest.mark.slow
def test_the_example_runs_from_a_shell(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "wan_ti2v_5b_lora.py"), "--tiny", "-o", str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert LINE.search(done.stdout)
    assert (tmp_path / "pytorch_lora_weights.safetensors").exists()
