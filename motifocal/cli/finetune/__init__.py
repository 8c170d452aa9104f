"""`motifocal prepare` and `train` for models of diffusers: what the commands do with those."""
