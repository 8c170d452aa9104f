"""Any image-to-video model behind one protocol: bundled, diffusers, an external command."""
