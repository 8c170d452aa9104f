"""diffusers image-to-video models that can be fine-tuned: one file per family."""
