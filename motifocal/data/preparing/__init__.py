"""Prepare shards at scale: on workers, which of them are written, and as WebDataset tars."""
