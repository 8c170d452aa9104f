"""How diffusers' image-to-video pipelines are called: one file per group of related classes."""
