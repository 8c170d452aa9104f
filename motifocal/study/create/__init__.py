"""Create a study: match, encode and write the videos of several models."""

from motifocal._moved import moved_names

__getattr__ = moved_names(__name__)
