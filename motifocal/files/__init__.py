"""Files, folders and their names on the disk; nothing about images or videos."""

from motifocal._moved import moved_names

__getattr__ = moved_names(__name__)
