"""Image-to-video models of diffusers that can be fine-tuned: one file a family."""
