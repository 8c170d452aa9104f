"""What every family of `training/families` has to do, checked on a tiny pipeline of its own class.

    Case(family, pipe, (height, width), frames)     one family, its pipeline, a clip and a prompt
    case.pipeline_calls                             what the pipeline hands its transformer
    same_call(case, step)                           the family hands over the same
    ...

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution
from noise_densities import shifted_logit_normal_cdf
from PIL import Image
from scipy import stats
from torch import Tensor

from motifocal.loss.focal import MotionFocalLoss
from motifocal.loss.motion_loss import motion_loss
from motifocal.media.video import to_tensor
from motifocal.training.families.base import Draw, Family
from motifocal.training.families.flow import shifted
from motifocal.training.families.noise_levels import logit_normal

PROMPT = "the blue balloon dips down"
FILE = "pytorch_lora_weights.safetensors"
DRAWS = 100_000
Call = dict[str, Any]


def configs_of(pipe: Any) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """What model_index.json and the parts' config.json of a saved pipeline say."""
    index = {**pipe.config, "_class_name": type(pipe).__name__}
    configs = {name: dict(part.config) if isinstance(part.config, Mapping)
               else part.config.to_dict()
               for name, part in pipe.components.items() if hasattr(part, "config")}  # fmt: skip
    return index, configs


@dataclass(eq=False)
class Case:
    """`call` are further arguments of the pipeline's call, `fps` the clip's rate.

    `draw_of` makes the draw that is the pipeline's own from its latents and time.
    """

    kind: type[Family]
    pipe: Any
    size: tuple[int, int]
    frames: int
    call: dict[str, Any] = field(default_factory=dict)
    fps: float = 24.0
    draw_of: Callable[..., Draw] = Draw

    def __post_init__(self) -> None:
        for part in self.pipe.components.values():
            if isinstance(part, torch.nn.Module):  # as loading from a folder does
                part.eval().requires_grad_(False)

    @cached_property
    def family(self) -> Family:
        index, configs = configs_of(self.pipe)
        assert self.kind.matches(index, configs)
        return self.kind(index, configs)

    @cached_property
    def pixels(self) -> Any:
        """(F, H, W, 3) uint8: the colours drift, and the frames differ."""
        height, width = self.size
        rows, columns = np.mgrid[:height, :width] / max(self.size)
        waves = [np.sin(4 * rows + 3 * columns + 0.3 * frame + shift)
                 for frame in range(self.frames) for shift in (0, 1, 2)]  # fmt: skip
        video = np.stack(waves).reshape(self.frames, 3, height, width).transpose(0, 2, 3, 1)
        return np.rint(127.5 * (video + 1)).astype(np.uint8)

    @cached_property
    def batch(self) -> dict[str, Tensor]:
        """What is cached of the clip and the prompt, stacked to a batch of one."""
        return self.batch_of(self.pixels, PROMPT)

    def batch_of(self, pixels: Any, prompt: str, seed: int = 0) -> dict[str, Tensor]:
        family, images = self.family, [Image.fromarray(pixels[0])]
        sees = {"images": images} if family.text_sees_image else {}
        with torch.no_grad(), no_sampling():
            (text,) = family.encode_text(self.only(family.text_parts), [prompt], **sees)
            clip = family.encode_clip(
                self.only(family.clip_parts), to_tensor(pixels)[None], self.fps,
                torch.Generator().manual_seed(seed),
            )  # fmt: skip
        found = {**clip, **text, "fps": torch.tensor(self.fps)}
        return {name: value[None] for name, value in found.items()}

    def only(self, parts: Sequence[str]) -> Any:
        """The pipeline with these parts and its scheduler alone, as encoding loads it."""
        pipe = type(self.pipe)(**self.pipe.components)
        others = pipe.components.keys() - {*parts, "scheduler"}
        pipe.register_modules(**dict.fromkeys(others))
        return pipe

    @cached_property
    def pipeline_calls(self) -> list[Call]:
        """The calls of the transformer in two steps of the family's own pipeline."""
        with no_sampling(), caught(self.pipe.transformer) as calls:
            self.sample(2)
        return calls

    def sample(self, steps: int = 1) -> Tensor:
        """Latents out of the pipeline for the first frame; the same every time."""
        arguments = {"num_frames": self.frames, "height": self.size[0], "width": self.size[1],
                     "guidance_scale": 1.0, **self.call}  # fmt: skip
        known = inspect.signature(type(self.pipe).__call__).parameters
        with torch.no_grad():
            made = self.pipe(
                image=Image.fromarray(self.pixels[0]), prompt=PROMPT, output_type="latent",
                num_inference_steps=steps, generator=torch.Generator().manual_seed(1),
                **{name: value for name, value in arguments.items() if name in known},
            )  # fmt: skip
        return torch.as_tensor(made.frames)

    def forward(self, draw: Draw, batch: dict[str, Tensor]) -> tuple[Tensor, Call]:
        with caught(self.pipe.transformer) as calls:
            prediction = self.family.forward(self.pipe.transformer, draw, batch)
        return prediction, calls[0]

    def drawn(self, latents: Tensor) -> Draw:
        return self.family.draw(latents, generators(len(latents)))

    @cached_property
    def two(self) -> dict[str, Tensor]:
        """A batch of two clips and prompts."""
        batches = (self.batch, self.batch_of(self.pixels[:, ::-1].copy(), "nothing moves", 1))
        return {name: torch.cat([one[name] for one in batches]) for name in batches[0]}


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


@contextmanager
def no_sampling() -> Iterator[None]:
    """Autoencoders give the mean of their latents, so that two encodings can be compared."""
    sample = DiagonalGaussianDistribution.sample
    DiagonalGaussianDistribution.sample = lambda self, generator=None: self.mode()  # type: ignore[method-assign]
    try:
        yield
    finally:
        DiagonalGaussianDistribution.sample = sample  # type: ignore[method-assign]


@contextmanager
def caught(model: Any) -> Iterator[list[Call]]:
    """The arguments of every call of `model`, by name."""
    calls: list[Call] = []
    forward = model.forward
    signature = inspect.signature(forward)

    @functools.wraps(forward)
    def recorded(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        calls.append(dict(bound.arguments))
        return forward(*args, **kwargs)

    model.forward = recorded
    try:
        yield calls
    finally:
        del model.forward


def same(mine: Any, theirs: Any, where: str) -> None:
    """Tensors bit for bit; lists and mappings of them too."""
    if isinstance(theirs, Tensor):
        assert mine.dtype == theirs.dtype, (where, mine.dtype, theirs.dtype)
        assert torch.equal(mine, theirs), where
    elif isinstance(theirs, Mapping):
        assert mine.keys() == theirs.keys(), where
        for name in theirs:
            same(mine[name], theirs[name], f"{where}[{name!r}]")
    elif isinstance(theirs, (list, tuple)):
        assert len(mine) == len(theirs), where
        for index, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            same(a, b, f"{where}[{index}]")
    else:
        assert mine == theirs, where


def same_call(case: Case, step: int, skipped: Sequence[str] = ()) -> Call:
    """At the pipeline's own noise and time, every argument is the same; in both of its steps.

    Returns the family's call; `skipped` are arguments that the caller compares. The given latents
    may be encoded here with the whole clip, there alone: equal but for rounding.
    """
    theirs = case.pipeline_calls[step]
    latents, family = case.batch["latents"], case.family
    clean = family.in_layout(latents)
    given = family.in_layout(family.given(latents).expand_as(latents))
    # Further channels, of the picture, come after those of the noisy latents.
    axis = re.sub(r"\([^)]*\)", "n", family.geometry.layout).split().index("c")
    noisy = theirs["hidden_states"].narrow(axis, 0, clean.shape[axis])
    torch.testing.assert_close(noisy[given], clean[given], rtol=1e-4, atol=1e-5)
    time = theirs["timestep"].flatten()[-1:].clone()
    if time.is_floating_point():
        time = time / 1000
    draw = case.draw_of(torch.where(given, clean, noisy), time, noisy - clean, noisy)
    _, mine = case.forward(draw, case.batch)
    assert mine.keys() == theirs.keys()
    for name in theirs.keys() - {"return_dict", "hidden_states", *skipped}:
        same(mine[name], theirs[name], name)
    assert mine["hidden_states"].dtype == theirs["hidden_states"].dtype
    torch.testing.assert_close(
        mine["hidden_states"], theirs["hidden_states"], rtol=1e-4, atol=1e-5
    )
    return mine


def loss_of(case: Case, weight: float) -> tuple[Draw, Tensor, MotionFocalLoss]:
    """A step on two clips: what was drawn, the prediction (a leaf), the loss."""
    batch, family = case.two, case.family
    draw = case.drawn(batch["latents"])
    with torch.no_grad():
        prediction, _ = case.forward(draw, batch)
    prediction.requires_grad_(True)
    shape = batch["latents"].shape
    weights = torch.rand(shape[0], 1, *shape[2:], generator=torch.Generator().manual_seed(2))
    loss = motion_loss(
        prediction, draw.target, weights, family.geometry, weight,
        timestep_weight=family.plain_loss_weight(draw),
    )  # fmt: skip
    return draw, prediction, loss


def no_gradient_where_given(case: Case) -> None:
    draw, prediction, loss = loss_of(case, 1.0)
    loss.total.sum().backward()
    latents = case.two["latents"]
    given = case.family.in_layout(case.family.given(latents).expand_as(latents))
    assert prediction.grad is not None
    assert not prediction.grad[given].any()
    assert prediction.grad[~given].abs().min() > 0
    assert torch.equal(draw.noisy[given], case.family.in_layout(latents)[given])


def draws_of_a_sample_are_its_own(case: Case) -> None:
    """Sample i of a batch is drawn as it is alone."""
    latents = case.two["latents"]
    both = case.drawn(latents)
    for i, generator in enumerate(generators(2)):
        alone = case.family.draw(latents[i : i + 1], [generator])
        for name in vars(both):
            assert torch.equal(getattr(both, name)[i : i + 1], getattr(alone, name)), name


def fits(values: Tensor, distribution: Any) -> None:
    """A Kolmogorov-Smirnov test finds no difference."""
    assert len(values) == DRAWS
    assert stats.kstest(values.double().numpy(), distribution).pvalue > 0.01


def draws_shifted_logit_normal(case: Case, shift: float) -> None:
    """The noise level is a logit-normal one, shifted: its density, and that the family draws it."""
    fits(shifted(logit_normal(DRAWS, torch.Generator().manual_seed(0)), shift),
         shifted_logit_normal_cdf(shift))
    alone = case.family.draw_sigma(torch.Generator().manual_seed(0), case.batch["latents"], "")
    expected = shifted(logit_normal(1, torch.Generator().manual_seed(0)), shift)
    assert torch.equal(alone, expected[0])


def loss_of_ltx_trainer(case: Case) -> None:
    """λ = 0 is ltx-trainer's loss: the mean over the tokens after those of the clean frame."""
    draw, prediction, loss = loss_of(case, 0.0)
    latents = case.two["latents"].flatten(2).transpose(1, 2)  # (B, N, C)
    first = 2 * 3
    s = draw.time[:, None, None]
    noisy = (1 - s) * latents + s * draw.noise
    noisy[:, :first] = latents[:, :first]
    assert torch.equal(draw.noisy, noisy)
    for i in range(2):
        # Their masked mean, of one sample, is the mean over the tokens that are not masked.
        squared = (prediction[i] - (draw.noise[i] - latents[i])).pow(2)
        assert torch.equal(loss.total[i], squared[first:].mean())
        mask = torch.ones(len(squared), 1)
        mask[:first] = 0
        masked = squared.mul(mask).div(mask.mean()).mean()
        torch.testing.assert_close(loss.total[i], masked, rtol=1e-6, atol=0)
