"""Sampling: what a call means, that videos do not mix, and that folders come back whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_model import SENTENCES, UNET, tiny_folder, tiny_pipeline
from torch import Tensor, nn

from motifocal.media.video import to_tensor, write_image
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.pipeline_parts import guide, picture_tensor
from motifocal.models.text import encode_distinct, tokenize
from motifocal.training.loop import TextFeatures

STEPS = 3


@pytest.fixture(scope="module")
def pipeline() -> TI2VPipeline:
    return tiny_pipeline()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    """A model folder that a test may spoil."""
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def noise(seed: int, height: int = 32, width: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def seeds(*numbers: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(n) for n in numbers]


def run(pipeline: TI2VPipeline, image: Any = None, prompt: Any = SENTENCES[0], **kw: Any) -> Any:
    """The videos (B, F, 3, H, W) in [0, 1] unless another `output_type` is given."""
    image = noise(0) if image is None else image
    kw.setdefault("generator", torch.Generator().manual_seed(0))
    kw = {"num_inference_steps": STEPS, "output_type": "pt", **kw}
    return pipeline(image, prompt, **kw).frames


def difference(one: Tensor, other: Tensor) -> float:
    return (one - other).abs().max().item()


@contextmanager
def recorded(module: nn.Module) -> Iterator[list[dict[str, Any]]]:
    """The arguments of every call of a module, positional ones under their number."""
    calls: list[dict[str, Any]] = []

    def note(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        calls.append({**dict(enumerate(args)), **kwargs})

    handle = module.register_forward_pre_hook(note, with_kwargs=True)
    yield calls
    handle.remove()


def test_it_samples_as_written_out_by_hand(pipeline: TI2VPipeline) -> None:
    """Guidance 6.5 over DDIM; the branch without the sentence encodes "" and keeps the picture."""
    x = torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    made = run(pipeline, latents=x, output_type="latent")

    def features(sentence: str) -> Tensor:
        tokens = tokenize(pipeline.tokenizer, pipeline.text_encoder, [sentence])
        return pipeline.text_encoder(input_ids=tokens).last_hidden_state

    with torch.no_grad():
        pixels = to_tensor(noise(0)[None]).transpose(0, 1)
        picture = pipeline.vae.encode(pixels).latent_dist.mode() * 0.5
        pipeline.scheduler.set_timesteps(STEPS)
        for t in pipeline.scheduler.timesteps:
            without, with_text = (
                pipeline.unet(x, t, features(s), 8.0, image_latent=picture)
                for s in ("", SENTENCES[0])
            )
            guided = without + 6.5 * (with_text - without)
            x = pipeline.scheduler.step(guided, t, x).prev_sample
    torch.testing.assert_close(made, x, atol=1e-4, rtol=1e-4)


def test_a_saved_pipeline_loads_to_the_same_output_bit_for_bit(
    pipeline: TI2VPipeline, folder: Path
) -> None:
    loaded = TI2VPipeline.from_pretrained(folder)
    loaded.set_progress_bar_config(disable=True)
    assert torch.equal(run(loaded), run(pipeline))
    assert loaded.parameters == {
        "sample_height": 32, "sample_width": 32, "sample_frames": 4, "sample_fps": 8.0,
        "sample_steps": 3, "sample_guidance": 6.5, "sample_guidance_rescale": 0.0,
    }  # fmt: skip
    assert not any(part.training for part in (loaded.unet, loaded.vae, loaded.text_encoder))


def test_saving_and_loading_write_nothing_to_the_terminal(
    pipeline: TI2VPipeline, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pipeline.save_pretrained(tmp_path / "model")
    TI2VPipeline.from_pretrained(tmp_path / "model")
    assert capfd.readouterr() == ("", "")


def test_half_precision_weights_load_as_float32_unless_asked_otherwise(
    pipeline: TI2VPipeline, tmp_path: Path
) -> None:
    half = tiny_pipeline()
    for part in (half.unet, half.vae, half.text_encoder):
        part.to(torch.float16)
    half.save_pretrained(tmp_path / "half")
    loaded = TI2VPipeline.from_pretrained(tmp_path / "half")
    loaded.set_progress_bar_config(disable=True)
    parts = (loaded.unet, loaded.vae, loaded.text_encoder)
    assert {p.dtype for part in parts for p in part.parameters()} == {torch.float32}
    assert 0 < difference(run(loaded), run(pipeline)) < 0.1
    coarse = TI2VPipeline.from_pretrained(tmp_path / "half", torch_dtype=torch.bfloat16)
    coarse.set_progress_bar_config(disable=True)
    assert coarse.unet.dtype == torch.bfloat16
    made = run(coarse)
    assert made.dtype == torch.float32
    assert made.isfinite().all()


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_video_does_not_depend_on_what_else_is_in_the_batch(
    pipeline: TI2VPipeline, eta: float
) -> None:
    images = [noise(k) for k in range(3)]
    together = run(pipeline, images, SENTENCES, generator=seeds(7, 8, 9), eta=eta)
    for k, (image, sentence) in enumerate(zip(images, SENTENCES, strict=True)):
        alone = run(pipeline, image, sentence, generator=seeds(7 + k), eta=eta)
        torch.testing.assert_close(together[k : k + 1], alone, atol=1e-4, rtol=1e-4)


def test_one_picture_serves_several_sentences_and_one_sentence_several_pictures(
    pipeline: TI2VPipeline,
) -> None:
    told = run(pipeline, noise(0), SENTENCES[:2], generator=seeds(1, 1))
    assert difference(told[0], told[1]) > 0.05
    shown = run(pipeline, [noise(0), noise(1)], SENTENCES[0], generator=seeds(1, 1))
    assert difference(shown[0], shown[1]) > 0.05
    torch.testing.assert_close(told[0], shown[0], atol=1e-4, rtol=1e-4)


def test_both_guidance_branches_run_in_one_batch_and_guidance_1_runs_one(
    pipeline: TI2VPipeline,
) -> None:
    for guidance, batch in ((7.5, 4), (1.0, 2)):
        with recorded(pipeline.unet) as calls:
            run(pipeline, prompt=SENTENCES[:2], guidance_scale=guidance)
        assert [len(call[0]) for call in calls] == [batch] * STEPS


def test_guidance_1_equals_the_branch_with_the_sentence(pipeline: TI2VPipeline) -> None:
    plain = run(pipeline, guidance_scale=1.0)
    nearly = run(pipeline, guidance_scale=1.0 + 1e-7)  # both branches, and the sum of them
    torch.testing.assert_close(plain, nearly, atol=1e-4, rtol=1e-4)
    ignored = run(pipeline, guidance_scale=1.0, negative_prompt=SENTENCES[1])
    assert torch.equal(plain, ignored)


def test_guidance_0_ignores_the_sentence_and_keeps_the_picture(pipeline: TI2VPipeline) -> None:
    one, other = (run(pipeline, prompt=s, guidance_scale=0.0) for s in SENTENCES[:2])
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    assert difference(one, run(pipeline, noise(1), guidance_scale=0.0)) > 0.05


def test_sentences_and_picture_are_encoded_once_a_call(
    pipeline: TI2VPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = pipeline.vae.encode

    def counted(x: Tensor) -> Any:
        encoded.append(len(x))
        return encode(x)

    monkeypatch.setattr(pipeline.vae, "encode", counted)
    with recorded(pipeline.text_encoder) as texts:
        run(pipeline, noise(0), [SENTENCES[0], SENTENCES[1], SENTENCES[0]])
    assert [len(call["input_ids"]) for call in texts] == [3]  # "", and two that differ
    assert encoded == [1]


def test_the_negative_prompt_replaces_the_empty_one(pipeline: TI2VPipeline) -> None:
    away = run(pipeline, negative_prompt=SENTENCES[1])
    assert difference(away, run(pipeline)) > 0.01
    both = run(
        pipeline, noise(0), SENTENCES[:2], negative_prompt=[SENTENCES[1], ""], generator=seeds(0, 0)
    )
    torch.testing.assert_close(both[:1], away, atol=1e-4, rtol=1e-4)


def test_length_rate_and_size_are_the_folders_unless_given(pipeline: TI2VPipeline) -> None:
    assert run(pipeline).shape == (1, 4, 3, 32, 32)
    assert run(pipeline, num_frames=6, height=16, width=24).shape == (1, 6, 3, 16, 24)
    assert torch.equal(run(pipeline, fps=8), run(pipeline))
    assert difference(run(pipeline, fps=24), run(pipeline)) > 0.01


def test_steps_and_guidance_are_the_folders_unless_given(pipeline: TI2VPipeline) -> None:
    own = pipeline(noise(0), SENTENCES[0], generator=torch.Generator().manual_seed(0),
                   output_type="pt").frames  # fmt: skip
    assert torch.equal(own, run(pipeline, num_inference_steps=3, guidance_scale=6.5))
    assert difference(own, run(pipeline, num_inference_steps=4)) > 0.01
    assert difference(own, run(pipeline, guidance_scale=7.5)) > 1e-3


def test_the_callback_sees_each_step_and_may_change_the_latents(pipeline: TI2VPipeline) -> None:
    seen: list[tuple[int, int]] = []

    def zero(pipe: TI2VPipeline, index: int, t: int, given: dict[str, Tensor]) -> dict[str, Tensor]:
        assert pipe is pipeline
        seen.append((index, t))
        return {"latents": torch.zeros_like(given["latents"])} if index == STEPS - 1 else {}

    made = run(pipeline, callback_on_step_end=zero, output_type="latent")
    assert seen == list(enumerate(pipeline.scheduler.timesteps.tolist()))
    assert not made.any()
    watched = run(pipeline, callback_on_step_end=lambda *step: None)
    assert torch.equal(watched, run(pipeline))



def test_given_latents_are_the_start_that_the_generator_would_have_drawn(
    pipeline: TI2VPipeline,
) -> None:
    start = torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    drawn = run(pipeline, generator=torch.Generator().manual_seed(3))
    assert torch.equal(run(pipeline, latents=start, generator=None), drawn)


def test_the_chunk_of_frames_decoded_at_once_changes_nothing(pipeline: TI2VPipeline) -> None:
    one, all_at_once = run(pipeline, decode_chunk_size=1), run(pipeline, decode_chunk_size=99)
    torch.testing.assert_close(one, all_at_once, atol=1e-4, rtol=1e-4)


def test_a_picture_may_come_in_any_form(tmp_path: Path) -> None:
    picture = noise(4, 40, 60)
    write_image(tmp_path / "picture.png", picture)
    forms: list[Any] = [
        picture, tmp_path / "picture.png", str(tmp_path / "picture.png"), Image.fromarray(picture),
    ]  # fmt: skip
    made = [picture_tensor(form, 16, 16) for form in forms]
    assert made[0].shape == (3, 16, 16)
    assert all(torch.equal(made[0], other) for other in made[1:])
    assert torch.equal(picture_tensor(made[0], 16, 16), made[0])


def test_a_picture_is_cropped_not_squeezed() -> None:
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 255  # the square in the middle
    assert (picture_tensor(wide, 32, 32) == 1).all()


def test_transparency_is_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    assert (picture_tensor(clear, 8, 8) == 1).all()


def test_rescaled_guidance_has_the_spread_of_the_branch_with_the_sentence() -> None:
    without, with_text = torch.randn(2, 3, 4, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    axes = (1, 2, 3, 4)
    full = guide(without, with_text, 7.5, rescale=1.0)
    torch.testing.assert_close(full.std(axes), with_text.std(axes))
    off = guide(without, with_text, 7.5)
    torch.testing.assert_close(guide(without, with_text, 7.5, 0.3), 0.3 * full + 0.7 * off)
    assert (off.std(axes) > 2 * with_text.std(axes)).all()


def test_features_are_those_of_training(pipeline: TI2VPipeline) -> None:
    text = TextFeatures(pipeline.tokenizer, pipeline.text_encoder)
    sentences = [*SENTENCES, "", "x " * 40]
    with torch.no_grad():
        made = encode_distinct(pipeline.tokenizer, pipeline.text_encoder, sentences,
                               torch.device("cpu"))
    torch.testing.assert_close(made, text(sentences))


def test_a_text_to_video_network_never_sees_the_picture() -> None:
    blind = tiny_pipeline(replace(UNET, image_condition="none"))
    assert torch.equal(run(blind, noise(0)), run(blind, noise(1)))


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
