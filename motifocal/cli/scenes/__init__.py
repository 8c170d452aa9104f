"""`motifocal scenes`: preview and export the synthetic scenes, and score models on them."""

from __future__ import annotations

import click

from motifocal.cli.lazy import LazyGroup, Table

COMMANDS: Table = {
    "preview": ("scenes.preview", "preview", "Draw scenes, each with all its prompts."),
    "export": ("scenes.export", "export", "Write scenes as folders that other tools read."),
    "eval": ("scenes.evaluate", "evaluate", "Score a model, or finished videos: do they follow?"),
    "probe": ("scenes.probe", "probe", "Follows the prompt? One forward pass a pair."),
    "compare": ("scenes.compare", "compare", "Compare arms of an experiment, with intervals."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def scenes() -> None:
    """Synthetic scenes: images drawn by code, each with several prompts that animate it.

    Because image and prompt fix the video, what moves, where and how is known exactly.
    """
