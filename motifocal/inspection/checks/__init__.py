"""Checks of a clip or a folder, one kind of fault each."""
