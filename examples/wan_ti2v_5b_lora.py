r"""The motion focal loss in a training loop of your own: LoRA steps on Wan 2.2 TI2V-5B, by hand.

    python examples/wan_ti2v_5b_lora.py --tiny -o lora/
    python examples/wan_ti2v_5b_lora.py --model Wan-AI/Wan2.2-TI2V-5B-Diffusers \
        --video clip.mp4 --prompt "the blue balloon dips down" -o lora/

`motifocal prepare` and `train` do this for many clips and model families: docs/finetuning.md.

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers.training_utils import cast_training_params
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor

from motifocal.loss.motion_loss import motion_loss, motion_weights
from motifocal.media.video import read_video, resize_crop, to_tensor
from motifocal.scenes.export import recipe
from motifocal.scenes.render import render

FAMILY = "wan-5b"


def main(argv: list[str] | None = None) -> None:
    args = arguments(argv)
    torch.manual_seed(0)
    pipe = tiny() if args.tiny else diffusers.WanImageToVideoPipeline.from_pretrained(
        args.model, dtype={"vae": torch.float32, "default": torch.bfloat16},
        trust_remote_code=False,
    )  # fmt: skip
    pipe.to("cuda" if torch.cuda.is_available() else "cpu")
    (height, width), count = ((64, 32), 9) if args.tiny else ((704, 1280), 81)
    if args.video is None:
        made = recipe(1, "train", 0)
        frames, prompt = render(made.stage, made.action, frames=count).frames, made.text
    else:
        frames, prompt = read_video(args.video, fps=24, num_frames=count).frames, args.prompt
    frames = resize_crop(frames, height, width)

    weights = motion_weights(frames, FAMILY)  # (1, 1, F', h, w): where it moves
    video = to_tensor(frames)[None].to(pipe.device)
    with torch.no_grad():
        text, _ = pipe.encode_prompt(prompt, do_classifier_free_guidance=False,
                                     max_sequence_length=512)  # fmt: skip
        latents, first = encode(pipe, video), encode(pipe, video[:, :, :1])

    transformer = pipe.transformer.requires_grad_(False)
    transformer.enable_gradient_checkpointing()
    transformer.add_adapter(LoraConfig(r=16, lora_alpha=16, target_modules=[
        "to_q", "to_k", "to_v", "to_out.0"]))  # fmt: skip
    cast_training_params(transformer, dtype=torch.float32)
    optimizer = torch.optim.AdamW([p for p in transformer.parameters() if p.requires_grad], lr=1e-4)
    shift = pipe.scheduler.config.flow_shift
    for step in range(1, args.steps + 1):
        # Flow matching; noisier timesteps are drawn more often, as in the model's own schedule.
        uniform = torch.rand(len(latents), 1, 1, 1, 1).to(latents)
        sigma = shift * uniform / (1 + (shift - 1) * uniform)
        noise = torch.randn_like(latents)
        noisy = (1 - sigma) * latents + sigma * noise
        # The image is the first frame: its latent is clean, and its tokens (2 x 2 latents each) are
        # at time 0.
        noisy[:, :, :1] = first
        times = (1000 * sigma).expand(-1, 1, *latents.shape[2:]).clone()
        times[:, :, 0] = 0
        prediction = transformer(
            noisy.to(transformer.dtype), times[:, 0, :, ::2, ::2].flatten(1),
            text.to(transformer.dtype), return_dict=False,
        )[0]  # fmt: skip
        loss = motion_loss(prediction, noise - latents, weights, FAMILY, args.motif_weight)
        loss.total.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        total, plain, motion = (part.mean().item() for part in loss)
        print(f"step {step}: plain {plain:.6f}  motion {motion:.6f}  weighted {total:.6f}")
    pipe.save_lora_weights(args.output, get_peft_model_state_dict(transformer))
    print(args.output / "pytorch_lora_weights.safetensors")


def arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", help="folder or hub id of a published pipeline")
    model.add_argument("--tiny", action="store_true", help="a small model with random weights")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the LoRA")
    parser.add_argument("--video", type=Path, help="a clip; without it, a synthetic one")
    parser.add_argument("--prompt", help="what the clip shows; required with --video")
    parser.add_argument("--motif-weight", type=float, default=1.0, help="lambda; 0: plain loss")
    parser.add_argument("--steps", type=int, default=1)
    args = parser.parse_args(argv)
    if args.video and not args.prompt:
        parser.error("--video needs --prompt")
    return args


def encode(pipe: Any, video: Tensor) -> Tensor:
    """Video (B, 3, F, H, W) in [-1, 1] -> latents (B, 48, F', h, w) of mean 0 and deviation 1."""
    latents = pipe.vae.encode(video.to(pipe.vae.dtype)).latent_dist.mode()
    mean, deviation = (torch.tensor(values).view(1, -1, 1, 1, 1).to(latents) for values in (
        pipe.vae.config.latents_mean, pipe.vae.config.latents_std))  # fmt: skip
    return (latents - mean) / deviation


def tiny() -> Any:
    """Return the real classes with small random parts; tensors are laid out as in the model."""
    vae = diffusers.AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=48, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True, True], latents_mean=[0.1] * 48, latents_std=[0.5] * 48,
        is_residual=True, in_channels=12, out_channels=12, patch_size=2, scale_factor_spatial=16,
    )  # fmt: skip
    transformer = diffusers.WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=12, in_channels=48, out_channels=48, text_dim=16,
        freq_dim=16, ffn_dim=32, num_layers=1, rope_max_seq_len=64,
    )  # fmt: skip
    text = transformers.UMT5Config(vocab_size=384, d_model=16, d_kv=8, d_ff=32, num_layers=1,
                                   num_heads=2, pad_token_id=0, eos_token_id=1,
                                   decoder_start_token_id=0)  # fmt: skip
    pipe = diffusers.WanImageToVideoPipeline(
        tokenizer=transformers.ByT5Tokenizer(), text_encoder=transformers.UMT5EncoderModel(text),
        vae=vae, transformer=transformer, expand_timesteps=True,
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
    )  # fmt: skip
    pipe.text_encoder.eval()  # no dropout, as in a loaded pipeline
    pipe.set_progress_bar_config(disable=True)
    return pipe


if __name__ == "__main__":
    main()
