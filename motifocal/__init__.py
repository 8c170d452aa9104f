"""Motifocal: make text count in image animation by weighting the loss with a motion heatmap."""

from motifocal._moved import install_finder

__version__ = "0.1.0"

install_finder()
