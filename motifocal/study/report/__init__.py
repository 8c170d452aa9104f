"""Write the votes of a study as tables, plots and sentences."""

from motifocal._moved import moved_names

__getattr__ = moved_names(__name__)
