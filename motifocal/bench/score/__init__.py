"""Scores of results: measures of one clip, tables with intervals, the report."""

from motifocal._moved import moved_names

__getattr__ = moved_names(__name__)
