r"""A LoRA step on CogVideoX-5B-I2V or CogVideoX1.5-5B-I2V with the motion focal loss.

    python examples/cogvideox_i2v_lora.py --tiny 1.5 -o lora/
    python examples/cogvideox_i2v_lora.py --model zai-org/CogVideoX-5b-I2V \
        --video clip.mp4 --prompt "the blue balloon dips down" --fps 8 -o lora/

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import CogVideoXImageToVideoPipeline
from noise_levels import image_kept, image_noise, uniform_timesteps
from tiny_pipelines import tiny_cogvideox
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


def encode(pipe: Any, video: Tensor) -> Tensor:
    """Video (B, 3, F, H, W) in [-1, 1] -> latents (B, F', C, h, w), not yet scaled."""
    return pipe.vae.encode(video.to(pipe.vae.dtype)).latent_dist.sample().transpose(1, 2)


def main(argv: list[str] | None = None) -> None:
    args = arguments(__doc__, (480, 720), (32, 48), frames=49, argv=argv, kinds=("1.0", "1.5"))
    torch.manual_seed(args.seed)
    if args.tiny:
        pipe = tiny_cogvideox(later=args.tiny == "1.5")
    else:
        pipe = CogVideoXImageToVideoPipeline.from_pretrained(
            args.model, dtype=FLOAT32_VAE, trust_remote_code=False
        )
    config, scheduler = pipe.transformer.config, pipe.scheduler
    family = "cogvideox" if config.patch_size_t is None else "cogvideox-1.5"

    # Once a clip: where it moves, the sentence, the latents.
    frames, prompt = clip_and_prompt(args)
    weights = motion_weights(frames, family)  # (1, 1, F', h, w), with 1.5's padding in front
    video = to_tensor(frames)[None].to(args.device)
    scale = pipe.vae.config.scaling_factor
    with torch.no_grad(), on_device(args.device, pipe.text_encoder):
        text, _ = pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, device=args.device
        )
    pipe.vae.encoder.to(args.device)  # every step encodes a noisy picture; nothing is decoded
    with torch.no_grad():
        latents = encode(pipe, video) * scale
    if config.patch_size_t is not None:
        # 1.5 joins two latents to a token: an odd one out gets a copy of the first in front.
        copies = -latents.shape[1] % config.patch_size_t
        latents = torch.cat([latents[:, :1]] * copies + [latents], dim=1)

    pipe.transformer.to(args.device)
    parameters = add_lora(pipe.transformer, args.rank, ["to_q", "to_k", "to_v", "to_out.0"])
    optimizer = torch.optim.AdamW(parameters, lr=args.rate)
    height, width = frames.shape[1:3]
    rotary = None
    if config.use_rotary_positional_embeddings:
        rotary = pipe._prepare_rotary_positional_embeddings(
            height, width, latents.shape[1], latents.device
        )
    offset = None if config.ofs_embed_dim is None else latents.new_full((1,), 2.0)
    cumulative = scheduler.alphas_cumprod.to(args.device)
    for step in range(1, args.steps + 1):
        # The first frame, a little noisy or left out as in the model's own training, enters on
        # further channels of the first latent; the other latents have zeros there.
        blur, kept = (draw(len(video)).to(video).view(-1, 1, 1, 1, 1)
                      for draw in (image_noise, image_kept))  # fmt: skip
        first = video[:, :, :1] + blur * torch.randn_like(video[:, :, :1])
        with torch.no_grad():
            image = encode(pipe, first)
        image = image / scale if pipe.vae.config.invert_scale_latents else image * scale
        image = torch.cat([kept * image, torch.zeros_like(latents[:, 1:])], dim=1)

        times = uniform_timesteps(len(latents), scheduler.config.num_train_timesteps)
        times = times.to(args.device)
        noise = torch.randn_like(latents)
        noisy = scheduler.add_noise(latents, noise, times)
        velocity = pipe.transformer(
            torch.cat([noisy, image], dim=2).to(pipe.transformer.dtype),
            text.to(pipe.transformer.dtype), times, ofs=offset, image_rotary_emb=rotary,
            return_dict=False,
        )[0]  # fmt: skip

        # As its published trainers have it: the clean latents, weighted by 1 / (1 - alpha). That
        # is the squared error of v.
        prediction = scheduler.get_velocity(velocity.float(), noisy, times)
        loss = motion_loss(
            prediction, latents, weights, family, args.motif_weight,
            timestep_weight=1 / (1 - cumulative[times]),
        )  # fmt: skip
        loss.total.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        show(step, loss)
    save_lora(pipe, args.output)


if __name__ == "__main__":
    main()
