"""Measurements of checkpoints: one-step probe, Figure 6 of the paper."""
