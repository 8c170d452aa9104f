"""Prepare shards at scale: on workers, with a record of those written, and as WebDataset tars."""
