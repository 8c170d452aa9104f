"""Convert released checkpoints to model folders: shared code, and models with image tokens."""
