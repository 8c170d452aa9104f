"""Everything that happens before a study begins: matching, encoding, writing."""

from motifocal._moved import moved_names

__getattr__ = moved_names(__name__)
