"""Shards of latents become weights: the step, checkpoints, presets and the loss ratio figure."""
