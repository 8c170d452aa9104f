"""Scores of models on synthetic scenes, and comparisons of runs."""
