"""`motifocal prepare` and `train` for diffusers models."""
