"""Sampling: what a call means, that videos do not mix, and that folders come back whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pipeline_calls import STEPS, noise, run, seeds
from tiny_model import SENTENCES, UNET, tiny_pipeline
from torch import Tensor, nn

from motifocal.media.video import to_tensor, write_image
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.pipeline_parts import guide, picture_tensor
from motifocal.models.text import encode_distinct, tokenize
from motifocal.training.loop import TextFeatures


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


def test_an_opened_picture_is_turned_and_scaled_to_8_bits_as_its_file_is(tmp_path: Path) -> None:
    tag = Image.Exif()
    tag[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(noise(4, 16, 16)).save(tmp_path / "phone.png", exif=tag)
    grey = np.linspace(0, 65535, 256).reshape(16, 16).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "deep.png")
    for path in (tmp_path / "phone.png", tmp_path / "deep.png"):
        with Image.open(path) as opened:
            assert torch.equal(picture_tensor(opened, 16, 16), picture_tensor(path, 16, 16))


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
