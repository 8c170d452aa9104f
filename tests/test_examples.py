"""The examples give the models what their own pipelines give them, and train what loads again."""

from __future__ import annotations

import functools
import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import diffusers
import pytest
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from PIL import Image

from motifocal.loss.latent_grid import FAMILIES
from motifocal.media.video import read_video, resize_crop

EXAMPLES = Path(__file__).parents[1] / "examples"
# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Case(NamedTuple):
    """An example, what --tiny is followed by, and the function that builds the same pipeline."""

    script: str
    kind: list[str]
    family: str
    build: Callable[[Any], Any]


CASES = {
    "wan-5b": Case("wan_ti2v_5b_lora", [], "wan-5b", lambda tiny: tiny.tiny_wan()),
    "cogvideox": Case(
        "cogvideox_i2v_lora", ["1.0"], "cogvideox", lambda tiny: tiny.tiny_cogvideox()
    ),
    "cogvideox-1.5": Case(
        "cogvideox_i2v_lora", ["1.5"], "cogvideox-1.5",
        lambda tiny: tiny.tiny_cogvideox(later=True),
    ),
    "ltx": Case("ltx_i2v_lora", [], "ltx", lambda tiny: tiny.tiny_ltx()),
}  # fmt: skip

LINE = re.compile(r"step (\d+): plain ([\d.]+)  motion ([\d.]+)  weighted ([\d.]+)")


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(autouse=True)
def in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Examples find each other as when they are started by hand."""
    monkeypatch.syspath_prepend(str(EXAMPLES))


def module(name: str) -> Any:
    return importlib.import_module(name)


def run(case: Case, output: Path, *options: str) -> None:
    module(case.script).main(["--tiny", *case.kind, "-o", str(output), *options])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every call of a video transformer from here on: its arguments by name."""
    found: list[dict[str, Any]] = []
    for name in ("WanTransformer3DModel", "CogVideoXTransformer3DModel",
                 "LTXVideoTransformer3DModel"):  # fmt: skip
        kind = getattr(diffusers, name)
        monkeypatch.setattr(kind, "forward", recording(kind.forward, found))
    return found


def recording(forward: Any, found: list[dict[str, Any]]) -> Any:
    signature = inspect.signature(forward)

    @functools.wraps(forward)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found.append({k: v for k, v in bound.arguments.items() if k != "self"})
        return forward(*args, **kwargs)

    return recorded


def sampled(case: Case, video: Path) -> None:
    """Two steps of the family's own pipeline on the first frame of a clip."""
    pipe = case.build(module("tiny_pipelines"))
    frames = read_video(video).frames
    height, width = {"wan-5b": (64, 32), "ltx": (64, 96)}.get(case.family, (32, 48))
    image = Image.fromarray(resize_crop(frames[0], height, width))
    pipe(image=image, prompt="the balloons float up", height=height, width=width, num_frames=9,
         num_inference_steps=2, guidance_scale=1.0, output_type="latent",
         generator=torch.Generator().manual_seed(0))  # fmt: skip


def test_a_step_prints_its_losses_and_the_lora_loads_into_the_pipeline(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(case, tmp_path, "--steps", "2")
    lines = LINE.findall(capsys.readouterr().out)
    assert [number for number, *_ in lines] == ["1", "2"]
    for _, plain, motion, weighted in lines:
        assert float(motion) > 0
        assert float(weighted) == pytest.approx(float(plain) + float(motion), abs=2e-6)
    pipe = case.build(module("tiny_pipelines"))
    before = {name: value.clone() for name, value in pipe.transformer.state_dict().items()}
    pipe.load_lora_weights(tmp_path)
    added = {k: v for k, v in pipe.transformer.state_dict().items() if "lora" in k}
    assert len(added) >= 8
    # What a LoRA adds is 0 until a step has been taken.
    assert all(value.abs().max() > 0 for name, value in added.items() if "lora_B" in name)
    kept = {name: value for name, value in before.items() if "to_q" not in name}
    assert len(kept) > 10


def test_lambda_zero_prints_equal_losses(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(case, tmp_path, "--motif-weight", "0")
    ((_, plain, motion, weighted),) = LINE.findall(capsys.readouterr().out)
    assert plain == weighted
    assert float(motion) > 0


def test_the_model_gets_what_its_own_pipeline_gives_it(
    case: Case, tmp_path: Path, calls: list[dict[str, Any]]
) -> None:
    run(case, tmp_path)
    (mine,) = calls
    calls.clear()
    sampled(case, tmp_path / "clip.mp4")
    theirs = calls[0]
    for name, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert mine[name].shape == value.shape, name
        elif name == "image_rotary_emb" and value is not None:
            for a, b in zip(mine[name], value, strict=True):
                assert torch.equal(a, b)
        elif name == "rope_interpolation_scale":
            # The pipeline was told no rate and takes 25.
            assert mine[name][1:] == value[1:]
            assert mine[name][0] == pytest.approx(value[0] * 25 / 8)
        elif name not in ("return_dict", "attention_kwargs"):
            assert mine[name] == value, name
    # The same tokens are at time 0: those of the first frame, where the model has it clean.
    if theirs["timestep"].ndim == 2:
        assert torch.equal(mine["timestep"] == 0, theirs["timestep"] == 0)
        assert 0 < int((mine["timestep"] == 0).sum()) < mine["timestep"].numel()


def test_the_first_frame_enters_as_in_the_pipeline(
    case: Case, tmp_path: Path, calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some autoencoders draw; here they all give the mean, so that the two can be compared.
    monkeypatch.setattr(
        DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode()
    )
    # CogVideoX is trained on a somewhat noisy picture; here it is clean.
    randn_like = torch.randn_like
    monkeypatch.setattr(
        torch, "randn_like", lambda x: torch.zeros_like(x) if x.shape[1] == 3 else randn_like(x)
    )
    run(case, tmp_path)
    mine = calls[0]["hidden_states"]
    calls.clear()
    sampled(case, tmp_path / "clip.mp4")
    theirs = calls[0]["hidden_states"]
    if case.family == "wan-5b":
        torch.testing.assert_close(mine[:, :, 0], theirs[:, :, 0], rtol=1e-4, atol=1e-5)
        assert (mine[:, :, 1:] - theirs[:, :, 1:]).abs().mean() > 0.1
    elif case.family == "ltx":
        torch.testing.assert_close(mine[:, :6], theirs[:, :6], rtol=1e-4, atol=1e-5)
        assert (mine[:, 6:] - theirs[:, 6:]).abs().mean() > 0.1
    else:
        channels = mine.shape[2] // 2
        torch.testing.assert_close(mine[:, 0, channels:], theirs[:, 0, channels:])
        for latent in range(1, mine.shape[1]):
            assert not mine[:, latent, channels:].any()
            assert not theirs[:, latent, channels:].any()


def test_a_saved_pipeline_is_trained_in_bfloat16(
    tmp_path: Path, calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES["ltx"]
    case.build(module("tiny_pipelines")).save_pretrained(tmp_path / "model")
    module(case.script).main(["--model", str(tmp_path / "model"), "-o", str(tmp_path / "lora"),
                              "--size", "64x96", "--frames", "9"])  # fmt: skip
    assert calls[0]["hidden_states"].dtype == torch.bfloat16
    ((_, plain, _, weighted),) = LINE.findall(capsys.readouterr().out)
    assert 0 < float(plain) < float(weighted)


def test_cogvideox_weights_are_padded_like_its_latents(
    tmp_path: Path, calls: list[dict[str, Any]]
) -> None:
    run(CASES["cogvideox-1.5"], tmp_path)
    assert calls[0]["hidden_states"].shape[1] == FAMILIES["cogvideox-1.5"].latent_frames(9) == 4


@pytest.mark.slow
def test_an_example_runs_from_a_shell(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "wan_ti2v_5b_lora.py"), "--tiny", "-o", str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    assert LINE.search(done.stdout)
    assert (tmp_path / "pytorch_lora_weights.safetensors").exists()


@pytest.mark.parametrize("size", ["480", "480xwide", "1x2x3"])
def test_a_size_that_is_none_is_refused_by_its_option(
    size: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--tiny", "-o", str(tmp_path), "--size", size]
    with pytest.raises(SystemExit):
        module("training_inputs").arguments("", (8, 8), (8, 8), 9, given)
    assert "argument --size: invalid" in capsys.readouterr().err


def test_every_example_is_short_and_says_how_it_is_started() -> None:
    for path in EXAMPLES.glob("*_lora.py"):
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 120, path
        assert f"python examples/{path.name} --tiny" in text
