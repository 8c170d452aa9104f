"""The denoiser, its noise schedule, the frozen models around it, and the published weights."""
