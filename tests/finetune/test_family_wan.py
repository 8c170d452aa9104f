"""Fine-tuning hands Wan and SkyReels-V2 what diffusers' pipelines do, and draws as their trainers.

Letters: B batch, C channels, F' latent frames, h w latents.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_diffusers import TINY, save_tiny, tiny_pipeline
from tiny_wan import with_shift
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from motifocal.loss.motion_loss import motion_loss
from motifocal.training.families.base import Draw, Family, first_picture
from motifocal.training.families.registry import FAMILIES, family_of
from motifocal.training.finetune.parts import base_digest, load_pipeline

KINDS = {"wan22-5b": "wan-ti2v", "wan21": "wan-2.1", "wan22-a14b": "wan-a14b",
         "skyreels": "skyreels-v2"}  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def family(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Family:
    return family_of(save_tiny(kind, tmp_path_factory.mktemp(kind)))


def pipeline_of(kind: str) -> Any:
    """A tiny pipeline in eval mode, as a loaded one is."""
    pipe: Any = tiny_pipeline(kind)
    for part in pipe.components.values():
        if isinstance(part, nn.Module):
            part.eval()
    return pipe


def video_of(kind: str) -> Tensor:
    """Whole grey levels (1, 3, F, H, W) in [-1, 1], as a decoded clip has them."""
    (height, width), frames = TINY[kind]
    levels = torch.randint(256, (1, 3, frames, height, width),
                           generator=torch.Generator().manual_seed(5))  # fmt: skip
    return levels.float() / 127.5 - 1


def batch_of(family: Family, pipe: Any, video: Tensor, prompts: list[str]) -> dict[str, Tensor]:
    """What is cached of a clip under these prompts, stacked."""
    with torch.no_grad():
        clip = family.encode_clip(pipe, video, 16.0, torch.Generator())
        texts = family.encode_text(pipe, prompts)
    return {key: torch.stack([{**clip, **text}[key] for text in texts])
            for key in {**clip, **texts[0]}}  # fmt: skip


class Caught(Exception):  # noqa: N818
    """The transformer was called."""


def caught_call(model: Any, monkeypatch: pytest.MonkeyPatch, call: Any) -> dict[str, Any]:
    """What `call` hands to the transformer the first time."""
    seen: dict[str, Any] = {}

    def forward(**arguments: Any) -> None:
        seen.update(arguments)
        raise Caught

    with monkeypatch.context() as patch:
        patch.setattr(model, "forward", forward)
        with pytest.raises(Caught):
            call()
    return seen


def test_the_family_is_told_from_the_folder(kind: str, family: Family) -> None:
    assert family.name == KINDS[kind]


def test_the_transformer_gets_exactly_what_the_pipeline_hands_it(
    kind: str, family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = pipeline_of(kind)
    video, prompt = video_of(kind), "the blue balloon dips down"
    batch = batch_of(family, pipe, video, [prompt])
    noise = torch.randn(batch["latents"].shape, generator=torch.Generator().manual_seed(1))
    (height, width), frames = TINY[kind]
    theirs = caught_call(pipe.transformer, monkeypatch, lambda: pipe(
        image=first_picture(video), prompt=prompt, height=height, width=width, num_frames=frames,
        num_inference_steps=4, guidance_scale=1.0, latents=noise.clone(),
    ))  # fmt: skip
    # At the pipeline's first time the latents are noise.
    time = theirs["timestep"].max().view(1) / 1000
    noisy = torch.where(family.given(batch["latents"]), batch["latents"], noise)
    ours = caught_call(pipe.transformer, monkeypatch, lambda: family.forward(
        pipe.transformer, Draw(noisy, time, noise, noise), batch))  # fmt: skip
    assert {"hidden_states", "timestep", "encoder_hidden_states"} <= theirs.keys()
    for name, tensor in theirs.items():
        if isinstance(tensor, Tensor):
            assert torch.equal(ours[name], tensor.to(ours[name].dtype)), name
        elif name not in ("return_dict", "attention_kwargs"):
            assert ours[name] is tensor is None


def draws(family: Family, latents: Tensor, seeds: list[int]) -> Draw:
    return family.draw(latents, [torch.Generator().manual_seed(seed) for seed in seeds])


def test_lambda_zero_is_the_published_plain_loss_sample_by_sample(
    kind: str, family: Family
) -> None:
    """DiffSynth-Studio's FlowMatchSFTLoss: mse_loss of the prediction and noise - latents, with
    the first latent cut off where it is given."""
    pipe = pipeline_of(kind)
    batch = batch_of(family, pipe, video_of(kind), ["it falls", "it rises"])
    draw = draws(family, batch["latents"], [3, 4])
    with torch.no_grad():
        prediction = family.forward(pipe.transformer, draw, batch)
    weights = torch.rand(2, 1, *batch["latents"].shape[2:])
    loss = motion_loss(prediction, draw.target, weights, family.geometry, 0.0,
                       timestep_weight=family.plain_loss_weight(draw))  # fmt: skip
    start = 1 if kind == "wan22-5b" else 0
    for index in range(2):
        noise, clean = draw.noise[index], batch["latents"][index]
        plain = mse_loss(prediction[index, :, start:], (noise - clean)[:, start:])
        assert torch.equal(loss.total[index], plain)


def test_given_latents_are_clean_at_time_zero_and_get_no_gradient(
    kind: str, family: Family
) -> None:
    latents = torch.randn(2, {"wan22-5b": 48}.get(kind, 16), 3, 4, 4)
    draw = draws(family, latents, [1, 2])
    given = family.given(latents).flatten()
    assert given.tolist() == [kind == "wan22-5b", False, False]
    assert torch.equal(draw.noisy[:, :, given], latents[:, :, given])
    times = family.times(draw, latents)  # type: ignore[attr-defined]
    assert (times[:, :, given] == 0).all()
    assert torch.equal(times[:, 0, -1, 0, 0], draw.time)
    prediction = torch.zeros_like(latents, requires_grad=True)
    weights = torch.ones(2, 1, *latents.shape[2:])
    motion_loss(prediction, draw.target, weights, family.geometry).total.sum().backward()
    assert prediction.grad is not None
    assert (prediction.grad[:, :, given] == 0).all()
    assert (prediction.grad[:, :, ~given] != 0).any()


def test_a_sample_depends_on_its_own_generator_alone(kind: str, family: Family) -> None:
    latents = torch.randn(2, 16, 3, 4, 4)
    together = draws(family, latents, [1, 2])
    alone = draws(family, latents[1:], [2])
    for name in ("noisy", "time", "target", "noise"):
        assert torch.equal(getattr(together, name)[1:], getattr(alone, name))


def published_sigmas(shift: float, low: float, high: float, count: int) -> np.ndarray[Any, Any]:
    """DiffSynth-Studio, diffsynth/diffusion/flow_match.py and training_module: a uniform index into
    the shifted schedule of 1000 times, between the boundaries (shares of the schedule)."""
    times = np.linspace(1, 0, 1001)[:-1]
    schedule = shift * times / (1 + (shift - 1) * times)
    rng = np.random.default_rng(0)
    return schedule[rng.integers(int(low * 1000), int(high * 1000), count)]


#: A14B's boundaries at a boundary of 0.9 and the shift of the tiny pipelines, 3: sigma 0.9 is
#: (1 - u) of the schedule for u = 0.9 / (3 - 2 * 0.9) = 0.75.
PARTS = {"wan22-5b": [("transformer", 0.0, 1.0)], "wan21": [("transformer", 0.0, 1.0)],
         "skyreels": [("transformer", 0.0, 1.0)],
         "wan22-a14b": [("transformer", 0.0, 0.25), ("transformer_2", 0.25, 1.0)]}  # fmt: skip


def test_sigmas_have_the_published_trainers_density(kind: str, family: Family) -> None:
    count = 100_000
    generator, latents = torch.Generator().manual_seed(0), torch.zeros(16, 3, 4, 4)
    assert [part for part, _, _ in PARTS[kind]] == list(family.trained)
    for part, low, high in PARTS[kind]:
        ours = torch.stack([
            family.draw_sigma(generator, latents, part)  # type: ignore[attr-defined]
            for _ in range(count)
        ]).numpy()  # fmt: skip
        theirs = published_sigmas(3.0, low, high, count)
        assert kolmogorov_smirnov(ours, theirs) < 1.95 * np.sqrt(2 / count)  # p = 0.001


def kolmogorov_smirnov(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    """The largest distance between two empirical distributions."""
    both = np.sort(np.concatenate([a, b]))
    shares = [np.searchsorted(np.sort(x), both, side="right") / len(x) for x in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def test_a_wrong_shift_is_found_by_the_comparison_of_densities() -> None:
    a, b = published_sigmas(3.0, 0, 1, 100_000), published_sigmas(3.1, 0, 1, 100_000)
    assert kolmogorov_smirnov(a, b) > 1.95 * np.sqrt(2 / 100_000)


def test_skyreels_is_trained_and_sampled_with_its_shift_where_the_folder_leaves_it_out(
    tmp_path: Path,
) -> None:
    """diffusers' example of the pipeline: flow_shift = 5.0 for image to video."""
    folder, latents = save_tiny("skyreels", tmp_path / "model"), torch.zeros(1, 16, 3, 4, 4)
    left_out, said = (family_of(with_shift(folder, shift)) for shift in (1.0, 5.0))
    assert torch.equal(draws(left_out, latents, [1]).time, draws(said, latents, [1]).time)
    # A run that was begun with another shift is not gone on with.
    digests = {base_digest(tmp_path / "model-1", family, "transformer")
               for family in (left_out, said)}  # fmt: skip
    assert len(digests) == 1
    assert base_digest(tmp_path / "model-1", family_of(folder), "transformer") not in digests
    for place, shift in (("model-1", 5.0), ("model", 3.0)):
        pipe = load_pipeline(tmp_path / place, family_of(tmp_path / place), (), "float32")
        assert pipe.scheduler.config.flow_shift == shift


def test_another_shift_is_that_of_a_folder_that_says_so(
    kind: str, family: Family, tmp_path: Path
) -> None:
    said, given = (family_of(with_shift(save_tiny(kind, tmp_path / "model"), 5.0)),
                   family.with_flow_shift(5.0))  # fmt: skip
    latents = torch.zeros(1, 48 if kind == "wan22-5b" else 16, 3, 4, 4)
    for part in family.trained:
        times = [one.draw(latents, [torch.Generator().manual_seed(1)], part).time
                 for one in (family, given, said)]  # fmt: skip
        assert times[0] < times[1] == times[2]
    pipe = load_pipeline(tmp_path / "model", given, (), "float32")
    assert pipe.scheduler.config.flow_shift == 5.0


def test_a_model_of_a_first_and_a_last_frame_has_no_family(tmp_path: Path) -> None:
    folder = save_tiny("wan21", tmp_path / "model")
    assert family_of(folder).name == "wan-2.1"
    config = folder / "transformer/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "pos_embed_seq_len": 514}))
    with pytest.raises(ValueError, match="should be a model of a family that can be fine-tuned"):
        family_of(folder)


@pytest.mark.parametrize("name", sorted({family.pipeline for family in FAMILIES}))
def test_a_folder_without_its_transformer_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": name}))
    with pytest.raises(ValueError, match=r"should hold transformer/config.json, got none"):
        family_of(tmp_path)


def test_a_text_to_video_model_has_no_family(tmp_path: Path) -> None:
    index = {"_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"]}
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match="should be a model of a family that can be fine-tuned"):
        family_of(tmp_path)
