"""Synthetic scenes: clips drawn from a seed whose motion, mask and prompt are known exactly."""
