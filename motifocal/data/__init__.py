"""Clips with captions become shards of latents and heatmaps, and shards become batches."""
