"""Open the model that is fine-tuned, and check that a cache was made with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from motifocal.training.families.base import Family
    from motifocal.training.finetune.cache import ClipCache


def opened(model: Path | str, *, trained: bool = False) -> tuple[Path, Family]:
    """Return a model's folder, fetched to the local cache where it is an id, and its family.

    Where it is `trained`, what a pipeline leaves out is fetched too.
    """
    from motifocal.generate.diffusers_load import fetch_part, hub_folder
    from motifocal.training.families.registry import family_of

    folder = model if isinstance(model, Path) else hub_folder(model, _pipeline_of)
    family = family_of(folder)
    if trained and isinstance(model, str) and family.unlisted is not None:
        fetch_part(model, family.unlisted)
        family = family_of(folder)
    return folder, family


def note_distilled(model: Path | str, folder: Path, family: Family) -> None:
    """Warn where the network that is trained seems to be distilled."""
    if family.is_distilled(folder):
        click.echo(f"warning: {model} seems to be distilled to few steps or no guidance, which "
                   "training undoes: train the full model (of LTX-2.5 its transformer_full/)",
                   err=True)


def _pipeline_of(index: Mapping[str, Any], name: str) -> str:
    """Return the class of a model that can be fine-tuned, whether or not `animate` knows it."""
    from motifocal.generate.families.registry import class_of
    from motifocal.training.families.registry import FAMILIES

    named = index.get("_class_name")
    if isinstance(named, str) and named in {family.pipeline for family in FAMILIES}:
        return named
    return class_of(index, name)


def check_caches(caches: Sequence[ClipCache], family: Family, folder: Path) -> None:
    """Raise ValueError where a cache was made by another model's parts, whose files are read once.

    Also where its clips have a length or size that the model cannot be trained at.
    """
    from motifocal.training.finetune.parts import digest_of

    for cache in caches:
        made = cache.settings["family"]
        if made != family.name:
            raise ValueError(f"{cache.folder} should be made for {family.name}, got {made}")
        try:
            family.check_clip(*(cache.settings[name] for name in ("frames", "height", "width")))
        except ValueError as error:
            raise ValueError(f"{cache.folder}: {error}") from error
    digest = digest_of(folder, (*family.text_parts, *family.clip_parts))
    for cache in caches:
        if cache.settings["weights"] != digest:
            raise ValueError(f"{cache.folder} should be made by this model's text encoder and "
                             "autoencoder, got other weights")  # fmt: skip
