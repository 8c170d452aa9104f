"""Sampling with image tokens: what each guidance branch sees, and imported models as pipelines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from tiny_model import SENTENCES, UNET, tiny_pipeline
from tiny_released import released_tensors, small, tokenizer_folder
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from motifocal.models.image.encoder import encode_images, image_encoder_config
from motifocal.models.image.resampler_config import ResamplerConfig
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.pipeline_parts import guide
from motifocal.models.released.checkpoint import import_checkpoint
from motifocal.models.released.dynamicrafter import DYNAMICRAFTER_BASE, VIDEOCRAFTER1_I2V_BASE
from motifocal.models.text import encode_text

STEPS = 3
BOTH = replace(
    UNET,
    image_condition="both",
    image_token_dim=24,
    image_attention="decoupled",
    image_projection="resampler",
    resampler=ResamplerConfig(width=16, depth=1, heads=2, head_width=8, queries=3, frames=4),
)


def build(**own: Any) -> TI2VPipeline:
    torch.manual_seed(0)
    config = image_encoder_config(24, 2, 2, patch=14, side=28, projection=16)
    encoder = CLIPVisionModelWithProjection(config).eval()
    return tiny_pipeline(BOTH, image_encoder=encoder, **own)


def image(seed: int = 0) -> Tensor:
    return torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def sample(pipeline: TI2VPipeline, pictures: Any, prompts: Any, **own: Any) -> Tensor:
    own.setdefault("generator", torch.Generator().manual_seed(0))
    return pipeline(pictures, prompts, num_inference_steps=STEPS, output_type="latent",
                    **own).frames


def test_the_branch_without_the_sentence_sees_the_tokens_of_grey_and_the_latent() -> None:
    pipeline = build(sample_guidance_rescale=0.7)
    x = torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(5))
    made = sample(pipeline, image(), SENTENCES[0], latents=x)
    encoder = pipeline.image_encoder
    with torch.no_grad():
        latent = pipeline.vae.encode(image()[None]).latent_dist.mode() * 0.5
        pipeline.scheduler.set_timesteps(STEPS)
        for t in pipeline.scheduler.timesteps:
            without, with_text = (
                pipeline.unet(
                    x, t, encode_text(pipeline.tokenizer, pipeline.text_encoder, [sentence]), 8.0,
                    image_latent=latent, image_tokens=encode_images(encoder, seen[None]),
                )
                for sentence, seen in (("", torch.zeros(3, 32, 32)), (SENTENCES[0], image()))
            )
            guided = guide(without, with_text, 6.5, rescale=0.7)  # the folder's
            x = pipeline.scheduler.step(guided, t, x).prev_sample
    torch.testing.assert_close(made, x, atol=1e-4, rtol=1e-4)


def test_a_video_of_a_batch_has_the_tokens_of_its_own_image() -> None:
    pipeline = build()

    def drawn(*pictures: Tensor) -> Tensor:
        generators = [torch.Generator().manual_seed(3) for _ in pictures]
        return sample(pipeline, list(pictures), SENTENCES[: len(pictures)], generator=generators)

    both = drawn(image(0), image(1))
    torch.testing.assert_close(both[:1], drawn(image(0)), atol=1e-4, rtol=1e-4)
    assert (drawn(image(1), image(1))[1] - both[1]).abs().max() < 1e-4
    assert (drawn(image(1))[0] - both[0]).abs().max() > 1e-2


def test_an_image_encoder_that_is_offloaded_encodes_where_it_computes() -> None:
    encoder = build().image_encoder
    tokens = encode_images(encoder, image()[None])
    cpu_offload(encoder, torch.device("cpu"))
    assert encoder.device.type == "meta"  # its weights are nowhere until they are used
    assert torch.equal(encode_images(encoder, image()[None]), tokens)


def test_a_saved_pipeline_keeps_its_image_encoder_and_its_rescaling(tmp_path: Path) -> None:
    pipeline = build(sample_guidance_rescale=0.7)
    pipeline.save_pretrained(tmp_path / "model")
    loaded = TI2VPipeline.from_pretrained(tmp_path / "model")
    loaded.set_progress_bar_config(disable=True)
    assert loaded.config["sample_guidance_rescale"] == 0.7
    made, again = (sample(p, image(), SENTENCES[0]) for p in (pipeline, loaded))
    assert torch.equal(made, again)


def test_a_damaged_image_encoder_is_refused(tmp_path: Path) -> None:
    build().save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "image_encoder" / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(ValueError, match="image_encoder cannot be loaded"):
        TI2VPipeline.from_pretrained(tmp_path / "model")


@pytest.mark.parametrize("base", [DYNAMICRAFTER_BASE, VIDEOCRAFTER1_I2V_BASE],
                         ids=["dynamicrafter", "videocrafter1-i2v"])
def test_an_imported_model_is_a_pipeline_with_the_released_settings(
    base: Any, tmp_path: Path
) -> None:
    _, released = released_tensors(small(base))
    torch.save({"state_dict": released}, tmp_path / "model.ckpt")
    import_checkpoint(tmp_path / "model.ckpt", tmp_path / "model", small(base),
                      tokenizer_folder(tmp_path / "tokenizer"))
    pipeline = TI2VPipeline.from_pretrained(tmp_path / "model")
    pipeline.set_progress_bar_config(disable=True)
    for name, value in base.sample.items():
        assert pipeline.config[f"sample_{name}"] == value
    picture = np.zeros((64, 64, 3), np.uint8)
    made = sample(pipeline, picture, "a cat", height=64, width=64, num_frames=2)
    assert made.shape == (1, 4, 2, 8, 8)
    assert made.isfinite().all()
