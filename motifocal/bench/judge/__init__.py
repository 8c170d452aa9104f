"""Judges: does a video do what its prompt says, by a model that answers yes-or-no questions."""
