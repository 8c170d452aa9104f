"""The motion focal loss: latent grids, weights per latent, the loss."""

from motifocal._moved import moved_names

__getattr__ = moved_names(__name__)
