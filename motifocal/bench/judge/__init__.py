"""Judges: does a video do what its prompt says? A model answers yes-or-no questions."""
