"""The database of a study."""

from motifocal._moved import moved_names

__getattr__ = moved_names(__name__)
