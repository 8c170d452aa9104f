"""Released checkpoints become model folders: what they share, and those that take image tokens."""
