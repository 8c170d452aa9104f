"""One interface to any image-to-video model: bundled, diffusers, an external command."""
