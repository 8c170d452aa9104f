"""A tiny Wan 2.1 I2V for synthetic scenes: its autoencoder is trained, its transformer is not.

Letters: B batch, F frames, H W pixels.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from motifocal.data.caption_formats import METADATA
from motifocal.media.video import read_video, to_tensor
from motifocal.training.checkpoint import load_checkpoint, mixed_seed, save_checkpoint
from motifocal.training.optimizer import build_optimizer, learning_rate, set_rate

RATE = 3e-3
CHANNELS, TEXT_WIDTH = 16, 32  # of the latents, as in Wan 2.1; of the text and image encoders
# What the autoencoder is trained on: clips, frames and pixels a side of a step; small parts first,
# then whole pictures.
PARTS, FIRST_PARTS = ((4, 9, 32), (1, 9, 64)), 0.6


def build_pipeline(scenes: Path, autoencoder: Path, place: Path, steps: int) -> None:
    """Write a Wan 2.1 I2V whose autoencoder is trained on `scenes` and whose transformer is not.

    `autoencoder` is where checkpoints of its `steps` lie.
    """
    if (place / "model_index.json").exists():
        return
    lines = (scenes / METADATA).read_text().splitlines()
    captions = [json.loads(line)["text"] for line in lines]
    clips = torch.stack([to_tensor(read_video(scenes / json.loads(line)["file_name"]).frames)
                         for line in lines])  # fmt: skip
    vae = trained_autoencoder(clips, autoencoder, steps)
    torch.manual_seed(0)
    tokenizer = word_tokenizer(captions)
    pipeline = diffusers.WanImageToVideoPipeline(
        tokenizer=tokenizer, text_encoder=small_t5(len(tokenizer)), vae=vae,
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        transformer=small_transformer(), image_encoder=small_clip(),
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}),
    )  # fmt: skip
    pipeline.save_pretrained(place)


def small_transformer() -> Any:
    """Return a transformer that can hear a sentence of eight words from the beginning.

    Wan attends to 512 places of text, nearly all of them empty. Larger keys make the attention
    sharp enough for the few words not to drown.
    """
    width = 128
    model = diffusers.WanTransformer3DModel(
        num_attention_heads=4, attention_head_dim=32, in_channels=2 * CHANNELS + 4,
        out_channels=CHANNELS, text_dim=TEXT_WIDTH, freq_dim=64, ffn_dim=3 * width, num_layers=4,
        rope_max_seq_len=64, image_dim=TEXT_WIDTH, added_kv_proj_dim=width,
    )  # fmt: skip
    for block in model.blocks:
        torch.nn.init.constant_(block.attn2.norm_k.weight, 3.0)
    return model


def word_tokenizer(captions: Sequence[str]) -> Any:
    """Every word of the captions is a token of its own."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(captions, trainers.WordLevelTrainer(
        special_tokens=["<pad>", "</s>", "<unk>"], show_progress=False))  # fmt: skip
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)])  # fmt: skip
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_max_length=512, padding_side="right")  # fmt: skip


def small_t5(vocabulary: int) -> Any:
    """Random weights tell captions apart: what they mean is left to the transformer."""
    return transformers.UMT5EncoderModel(transformers.UMT5Config(
        vocab_size=vocabulary, d_model=TEXT_WIDTH, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0))  # fmt: skip


def small_clip() -> Any:
    """Random weights: what the transformer needs of the picture is in its latents."""
    return transformers.CLIPVisionModel(transformers.CLIPVisionConfig(
        hidden_size=TEXT_WIDTH, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        image_size=32, patch_size=16))  # fmt: skip


def new_autoencoder(**config: Any) -> Any:
    """Return a small autoencoder of Wan's class whose residual branches begin at zero.

    Latents are those of Wan 2.1: 16 channels, a clip's 8 by 8 pixels and 4 frames. Patches of 2
    pixels and shortcuts are Wan 2.2's, so that two stages are enough.
    """
    vae = diffusers.AutoencoderKLWan(
        base_dim=32, decoder_base_dim=32, z_dim=CHANNELS, dim_mult=[1, 1, 1], num_res_blocks=0,
        temperal_downsample=[True, True], is_residual=True, in_channels=12, out_channels=12,
        patch_size=2, scale_factor_spatial=8,
        **{"latents_mean": [0.0] * CHANNELS, "latents_std": [1.0] * CHANNELS, **config},
    )  # fmt: skip
    for name, weight in vae.named_parameters():
        if ".conv2." in name or ".proj." in name:
            torch.nn.init.zeros_(weight)
    return vae


def trained_autoencoder(clips: Tensor, folder: Path, steps: int) -> Any:
    """Train an autoencoder on clips (B, 3, F, H, W) in [-1, 1], and normalise its latents."""
    torch.manual_seed(0)
    vae = new_autoencoder()
    # First and last convolutions are not hidden layers.
    optimizer = build_optimizer("muon", vae, RATE, 0.0, ("encoder.conv_in", "decoder.conv_out"))
    state = load_checkpoint(folder)
    done = state["step"] if state else 0
    if state:
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
    errors: list[float] = []
    for step in range(done, steps):
        set_rate(optimizer, learning_rate(step, peak=RATE, warmup=20, total=steps, cooldown=steps))
        loss = autoencoder_loss(vae, clips, step, PARTS[step >= FIRST_PARTS * steps])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        errors.append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == steps:
            print(f"autoencoder: step {step + 1} of {steps}, PSNR "
                  f"{decibels(errors):.2f} dB", flush=True)  # fmt: skip
            errors.clear()
            save_checkpoint(folder, step + 1, {
                "vae": vae.state_dict(), "optimizer": optimizer.state_dict()})
    return normalised(vae, clips[:32])


def autoencoder_loss(vae: Any, clips: Tensor, step: int, part: tuple[int, int, int]) -> Tensor:
    """Return the mean squared error of parts of clips: how many, their frames, their pixels."""
    rng = np.random.default_rng(mixed_seed(1, step))
    count, *lengths = part
    chosen = clips[rng.integers(len(clips), size=count)]
    start, y, x = (rng.integers(chosen.shape[2 + axis] - length + 1)
                   for axis, length in enumerate((*lengths, lengths[-1])))  # fmt: skip
    frames, side = lengths
    video = chosen[:, :, start : start + frames, y : y + side, x : x + side]
    return (vae.decode(vae.encode(video).latent_dist.mode()).sample - video).square().mean()


@torch.no_grad()
def normalised(vae: Any, clips: Tensor) -> Any:
    """Return the autoencoder with mean and deviation of its latents in its configuration."""
    latents = torch.cat([vae.encode(clip[None]).latent_dist.mode() for clip in clips])
    mean, deviation = latents.mean((0, 2, 3, 4)), latents.std((0, 2, 3, 4))
    made = new_autoencoder(latents_mean=mean.tolist(), latents_std=deviation.tolist())
    made.load_state_dict(vae.state_dict())
    errors = [(made.decode(made.encode(clip).latent_dist.mode()).sample - clip).square().mean()
              for clip in clips.split(1)]  # fmt: skip
    print(f"autoencoder: PSNR {decibels(errors):.2f} dB on {len(clips)} whole clips", flush=True)
    return made


def decibels(errors: Sequence[Any]) -> float:
    """Return the PSNR of mean squared errors of videos in [-1, 1]."""
    return float(10 * np.log10(4 / np.mean([float(error) for error in errors])))
