"""Inspect a folder of clips before training: its content and its faults."""
