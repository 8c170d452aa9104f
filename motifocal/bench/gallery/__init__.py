"""The gallery: a page that shows the results of several models side by side."""

from motifocal._moved import moved_names

__getattr__ = moved_names(__name__)
