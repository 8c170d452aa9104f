"""The drawn world: a seed becomes a clip whose motion, mask and sentence are known exactly."""
