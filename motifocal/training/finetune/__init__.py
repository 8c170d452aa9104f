"""Fine-tune an image-to-video model of diffusers: cache its clips, train a LoRA, look at it."""
