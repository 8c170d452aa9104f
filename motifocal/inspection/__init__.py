"""Inspect a folder of clips before training: what is in it and what is wrong."""
