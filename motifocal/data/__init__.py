"""Captioned clips, the frames that trainers take, shards of latents and heatmaps."""
