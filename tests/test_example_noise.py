"""The examples add as much noise as the models' published trainers do, and save their memory.

The densities are written down from the trainers' published rules, in closed form.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from noise_densities import Numbers, ltx_cdf
from scipy import stats

from motifocal.loss.latent_grid import FAMILIES

EXAMPLES = Path(__file__).parents[1] / "examples"
DRAWS = 40_000
# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(autouse=True)
def in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def drawn(name: str, *arguments: Any) -> Numbers:
    """Many draws of a function of examples/noise_levels.py."""
    torch.manual_seed(0)
    draw = getattr(importlib.import_module("noise_levels"), name)
    return np.asarray(draw(DRAWS, *arguments).double().numpy())


@pytest.mark.parametrize("tokens", [384, 1024, 2688, 4096, 20_000])
def test_ltx_draws_the_density_of_its_trainer(tokens: int) -> None:
    sigma = drawn("stretched_logit_normal", tokens)
    assert sigma.min() >= 1e-3
    assert sigma.max() <= 1
    assert stats.kstest(sigma, ltx_cdf(tokens)).pvalue > 0.01
    plain = 1 / (1 + np.exp(-np.random.default_rng(0).normal(0.95 + 1.1, 1, DRAWS)))
    assert stats.kstest(plain, ltx_cdf(tokens)).pvalue < 1e-9  # a plain one is told from it


def test_ltx_trains_little_noise_often_enough() -> None:
    # Of 49 frames of 512 x 768: a plain shifted logit-normal has 0.8 % of its draws there.
    sigma = drawn("stretched_logit_normal", 2688)
    assert np.mean(sigma < 0.3) == pytest.approx(0.078, abs=0.005)
    assert ltx_cdf(2688)(np.array([0.3]))[0] == pytest.approx(0.078, abs=0.001)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_wan_draws_the_density_of_its_trainers(shift: float) -> None:
    # sigma = s u / (1 + (s - 1) u) for a uniform u, solved for u.
    sigma = drawn("shifted_uniform", shift)
    assert stats.kstest(sigma, lambda x: x / (shift - (shift - 1) * x)).pvalue > 0.01


def test_cogvideox_draws_each_timestep_equally_often() -> None:
    counts = np.bincount(drawn("uniform_timesteps", 1000).astype(int), minlength=1000)
    assert len(counts) == 1000
    assert stats.chisquare(counts).pvalue > 0.01


def test_cogvideox_blurs_and_drops_its_picture_as_diffusers_script() -> None:
    assert stats.kstest(np.log(drawn("image_noise")), "norm", (-3.0, 0.5)).pvalue > 0.01
    kept = drawn("image_kept")
    assert set(kept) == {0, 1}
    assert stats.binomtest(int((kept == 0).sum()), DRAWS, 0.05).pvalue > 0.01


class Example:
    """One of the scripts, run with --tiny; `calls` are the arguments that its transformer got."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch, output: Path) -> None:
        self.script = importlib.import_module(name)
        self.output, self.monkeypatch = output, monkeypatch
        self.calls: list[dict[str, Any]] = []
        self.events: list[tuple[str, str]] = []

    def run(self, transformer: str, block: str | None = None) -> None:
        self.watch(getattr(diffusers, transformer), "transformer")
        if block is not None:
            place = importlib.import_module(getattr(diffusers, transformer).__module__)
            self.watch(getattr(place, block), "block")
        self.script.main(["--tiny", "-o", str(self.output)])

    def watch(self, kind: Any, event: str) -> None:
        forward = kind.forward

        def watched(module: Any, *args: Any, **kwargs: Any) -> Any:
            self.events.append((event, ""))
            if event == "transformer":
                self.calls.append({"args": args, **kwargs})
            return forward(module, *args, **kwargs)

        self.monkeypatch.setattr(kind, "forward", watched)

    def watch_moves(self) -> None:
        to = torch.nn.Module.to

        def moved(module: Any, *args: Any, **kwargs: Any) -> Any:
            if args and isinstance(args[0], str):
                self.events.append((type(module).__name__, args[0]))
            return to(module, *args, **kwargs)

        self.monkeypatch.setattr(torch.nn.Module, "to", moved)

    def draw(self, name: str, value: float) -> list[tuple[Any, ...]]:
        """A rule gives `value` from now on; what it is asked."""
        asked: list[tuple[Any, ...]] = []

        def fixed(batch: int, *arguments: Any) -> torch.Tensor:
            asked.append(arguments)
            return torch.full((batch,), value)

        self.monkeypatch.setattr(self.script, name, fixed)
        return asked


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Example]:
    return lambda name: Example(name, monkeypatch, tmp_path)


def test_each_example_gives_its_model_the_times_that_its_rule_draws(
    example: Callable[[str], Example],
) -> None:
    wan = example("wan_ti2v_5b_lora")
    asked = wan.draw("shifted_uniform", 0.25)
    wan.run("WanTransformer3DModel")
    assert asked == [(5.0,)]
    assert set(wan.calls[0]["args"][1].flatten().tolist()) == {0, 250}

    ltx = example("ltx_i2v_lora")
    asked = ltx.draw("stretched_logit_normal", 0.25)
    ltx.run("LTXVideoTransformer3DModel")
    assert asked == [(FAMILIES["ltx"].latent_frames(9) * (64 // 32) * (96 // 32),)]
    assert set(ltx.calls[0]["args"][2].flatten().tolist()) == {0, 250}

    cogvideox = example("cogvideox_i2v_lora")
    asked = cogvideox.draw("uniform_timesteps", 123)
    cogvideox.draw("image_kept", 0)
    cogvideox.run("CogVideoXTransformer3DModel")
    assert asked == [(1000,)]
    hidden, _, times = cogvideox.calls[0]["args"]
    assert times.tolist() == [123]
    assert not hidden[:, :, hidden.shape[2] // 2 :].any()  # the picture is left out
    assert hidden[:, :, : hidden.shape[2] // 2].any()


PARTS = {
    "wan_ti2v_5b_lora": ("WanTransformer3DModel", "WanTransformerBlock", "UMT5EncoderModel",
                         "AutoencoderKLWan"),
    "ltx_i2v_lora": ("LTXVideoTransformer3DModel", "LTXVideoTransformerBlock", "T5EncoderModel",
                     "AutoencoderKLLTXVideo"),
    "cogvideox_i2v_lora": ("CogVideoXTransformer3DModel", "CogVideoXBlock", "T5EncoderModel",
                           "CogVideoXDecoder3D"),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_a_backward_pass_computes_each_block_again(
    name: str, example: Callable[[str], Example]
) -> None:
    transformer, block, *_ = PARTS[name]
    script = example(name)
    script.run(transformer, block)
    assert script.events == [("transformer", ""), ("block", ""), ("block", "")]


@pytest.mark.parametrize("name", PARTS)
def test_what_is_used_once_leaves_the_device_before_training(
    name: str, example: Callable[[str], Example]
) -> None:
    transformer, _, text_encoder, autoencoder = PARTS[name]
    script = example(name)
    script.watch_moves()
    script.run(transformer)
    before = script.events[: script.events.index(("transformer", ""))]
    moves = {part: [place for kind, place in before if kind == part]
             for part in (text_encoder, autoencoder, transformer)}  # fmt: skip
    there_and_back = ["cuda" if torch.cuda.is_available() else "cpu", "cpu"]
    assert moves[text_encoder] == there_and_back
    # CogVideoX's encoder is needed in every step, its decoder never.
    assert moves[autoencoder] == ([] if name.startswith("cogvideox") else there_and_back)
    order = [kind for kind, _ in before]
    assert order.index(text_encoder) < order.index(transformer)
