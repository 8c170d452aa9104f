"""Fine-tune a diffusers image-to-video model: cache its clips, train a LoRA, validate it."""
