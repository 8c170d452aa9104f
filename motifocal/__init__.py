"""Motifocal: make text count in image animation by weighting the loss with a motion heatmap."""

__version__ = "0.1.0"
