"""Training: the step, the loop, presets, checkpoints, and the measurement of checkpoints."""
