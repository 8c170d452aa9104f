r"""A LoRA step on LTX-Video, image to video, with the motion focal loss.

    python examples/ltx_i2v_lora.py --tiny -o lora/
    python examples/ltx_i2v_lora.py --model Lightricks/LTX-Video \
        --video clip.mp4 --prompt "the blue balloon dips down" --fps 25 -o lora/

Letters: B batch, C channels, F frames, H W pixels, F' latent frames, h w latents, N tokens.
"""

from __future__ import annotations

import torch
from diffusers import LTXImageToVideoPipeline
from noise_levels import stretched_logit_normal
from tiny_pipelines import tiny_ltx
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

FAMILY = "ltx"


def main(argv: list[str] | None = None) -> None:
    args = arguments(__doc__, (512, 768), (64, 96), frames=49, argv=argv)
    torch.manual_seed(args.seed)
    if args.tiny:
        pipe = tiny_ltx()
    else:
        pipe = LTXImageToVideoPipeline.from_pretrained(
            args.model, dtype=FLOAT32_VAE, trust_remote_code=False
        )

    # Once a clip: where it moves, the sentence, the latents as tokens.
    frames, prompt = clip_and_prompt(args)
    weights = motion_weights(frames, FAMILY)  # (1, 1, F', h, w)
    video = to_tensor(frames)[None].to(args.device)
    with torch.no_grad(), on_device(args.device, pipe.text_encoder):
        text, text_mask, _, _ = pipe.encode_prompt(
            prompt, do_classifier_free_guidance=False, device=args.device
        )
    with torch.no_grad(), on_device(args.device, pipe.vae):
        found = pipe.vae.encode(video.to(pipe.vae.dtype)).latent_dist.sample()
        latents = pipe._normalize_latents(found, pipe.vae.latents_mean, pipe.vae.latents_std)
    _, _, count, height, width = latents.shape
    tokens = pipe._pack_latents(latents)  # (B, N, C)

    pipe.transformer.to(args.device)
    parameters = add_lora(pipe.transformer, args.rank, ["to_q", "to_k", "to_v", "to_out.0"])
    optimizer = torch.optim.AdamW(parameters, lr=args.rate)
    stretch, scale = pipe.vae_temporal_compression_ratio, pipe.vae_spatial_compression_ratio
    for step in range(1, args.steps + 1):
        # Flow matching, with the times of the model's own trainer.
        sigma = stretched_logit_normal(len(tokens), tokens.shape[1]).to(tokens)
        sigma = sigma[:, None].repeat(1, tokens.shape[1])  # (B, N)
        # The first frame is given: its tokens are clean, at time 0.
        sigma[:, : height * width] = 0
        noise = torch.randn_like(tokens)
        noisy = (1 - sigma[..., None]) * tokens + sigma[..., None] * noise

        prediction = pipe.transformer(
            noisy.to(pipe.transformer.dtype), text.to(pipe.transformer.dtype), 1000 * sigma,
            text_mask, num_frames=count, height=height, width=width,
            rope_interpolation_scale=(stretch / args.fps, scale, scale), return_dict=False,
        )[0]  # fmt: skip
        loss = motion_loss(prediction, noise - tokens, weights, FAMILY, args.motif_weight)
        loss.total.mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        show(step, loss)
    save_lora(pipe, args.output)


if __name__ == "__main__":
    main()
