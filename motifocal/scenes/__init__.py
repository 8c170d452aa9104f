"""The drawn world: a seed becomes a short clip whose motion, mask and sentence are known exactly."""
