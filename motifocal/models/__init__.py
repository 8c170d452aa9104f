"""The denoiser, its noise schedule, the frozen models around it, and released weights."""
