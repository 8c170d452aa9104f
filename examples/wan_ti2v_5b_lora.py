r"""A LoRA step on Wan 2.2 TI2V-5B with the motion focal loss.

    python examples/wan_ti2v_5b_lora.py --tiny -o lora/
    python examples/wan_ti2v_5b_lora.py --model Wan-AI/Wan2.2-TI2V-5B-Diffusers \
        --video clip.mp4 --prompt "the blue balloon dips down" --fps 24 -o lora/

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import WanImageToVideoPipeline
from noise_levels import shifted_uniform
from tiny_pipelines import tiny_wan
from torch import Tensor
from training_inputs import (
    FLOAT32_VAE,
    add_lora,
    arguments,
    clip_and_prompt,
    on_device,
    save_lora,
    show,
)

from motifocal.loss.motion_loss import motion_loss, motion_weights
from motifocal.media.video import to_tensor

FAMILY = "wan-5b"


def encode(pipe: Any, video: Tensor) -> Tensor:
    """Video (B, 3, F, H, W) in [-1, 1] -> latents (B, 48, F', h, w) of mean 0 and deviation 1."""
    found = pipe.vae.encode(video.to(pipe.vae.dtype)).latent_dist.mode()
    mean, deviation = (
        torch.tensor(values).view(1, -1, 1, 1, 1).to(found)
        for values in (pipe.vae.config.latents_mean, pipe.vae.config.latents_std)
    )
    return (found - mean) / deviation


def main(argv: list[str] | None = None) -> None:
    args = arguments(__doc__, (704, 1280), (64, 32), frames=81, argv=argv)
    torch.manual_seed(args.seed)
    if args.tiny:
        pipe = tiny_wan()
    else:
        pipe = WanImageToVideoPipeline.from_pretrained(
            args.model, dtype=FLOAT32_VAE, trust_remote_code=False
        )

    # Once a clip: where it moves, the sentence, the latents, and the first frame's alone.
    frames, prompt = clip_and_prompt(args)
    weights = motion_weights(frames, FAMILY)  # (1, 1, F', h, w)
    video = to_tensor(frames)[None].to(args.device)
    with torch.no_grad(), on_device(args.device, pipe.text_encoder):
        text, _ = pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, max_sequence_length=512, device=args.device
        )
    with torch.no_grad(), on_device(args.device, pipe.vae):
        latents, first = encode(pipe, video), encode(pipe, video[:, :, :1])

    pipe.transformer.to(args.device)
    parameters = add_lora(pipe.transformer, args.rank, ["to_q", "to_k", "to_v", "to_out.0"])
    optimizer = torch.optim.AdamW(parameters, lr=args.rate)
    shift = pipe.scheduler.config.flow_shift
    for step in range(1, args.steps + 1):
        # Flow matching; noisier times come up more often, as in the model's own schedule.
        sigma = shifted_uniform(len(latents), shift).to(latents).view(-1, 1, 1, 1, 1)
        noise = torch.randn_like(latents)
        noisy = (1 - sigma) * latents + sigma * noise

        # The first frame is given: its latent is clean, and its tokens are at time 0. A token is
        # two by two latents.
        noisy[:, :, :1] = first
        times = (1000 * sigma).expand(-1, 1, *latents.shape[2:]).clone()
        times[:, :, 0] = 0
        times = times[:, 0, :, ::2, ::2].flatten(1)  # (B, tokens)

        prediction = pipe.transformer(
            noisy.to(pipe.transformer.dtype), times, text.to(pipe.transformer.dtype),
            return_dict=False,
        )[0]  # fmt: skip
        loss = motion_loss(prediction, noise - latents, weights, FAMILY, args.motif_weight)
        loss.total.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        show(step, loss)
    save_lora(pipe, args.output)


if __name__ == "__main__":
    main()
