"""Open the model that is fine-tuned, and check that a cache was made by it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from motifocal.training.families.base import Family
    from motifocal.training.finetune.cache import ClipCache


def opened(model: Path | str) -> tuple[Path, Family]:
    """Return a model's folder, fetched to the local cache where it is an id, and its family."""
    from motifocal.generate.diffusers_load import hub_folder
    from motifocal.training.families.registry import family_of

    folder = model if isinstance(model, Path) else hub_folder(model)
    return folder, family_of(folder)


def check_cache(cache: ClipCache, family: Family, folder: Path) -> None:
    """Raise ValueError where a cache was made by another model's parts."""
    from motifocal.training.finetune.parts import digest_of

    made = cache.settings["family"]
    if made != family.name:
        raise ValueError(f"{cache.folder} should be made for {family.name}, got {made}")
    digest = digest_of(folder, (*family.text_parts, *family.clip_parts))
    if cache.settings["weights"] != digest:
        raise ValueError(f"{cache.folder} should be made by this model's text encoder and "
                         "autoencoder, got other weights")  # fmt: skip
