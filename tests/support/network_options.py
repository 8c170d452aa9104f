"""What a network can be told besides the caption, as options of its configuration."""

from __future__ import annotations

PRIORS = {"motion_score": True, "motion_mask": True}
LATENT_TOKENS = {"image_attention": "decoupled", "image_token_source": "latents",
                 "image_token_dim": 32}
