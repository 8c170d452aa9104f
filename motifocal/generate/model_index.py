"""Read what a model's name refers to, without loading it: a folder, a hub id, or neither."""

from __future__ import annotations

from pathlib import Path

from motifocal.generate.families.registry import class_of
from motifocal.models.folder_files import HUB_ID, PIPELINE, read_config, read_index

BUNDLED = "bundled"


def is_motifocal(folder: Path) -> bool:
    """Return whether a model folder is Motifocal's own; ValueError where it is no model folder."""
    return read_index(folder).get("_class_name") == PIPELINE


def check_folder_or_id(name: str) -> None:
    """Raise ValueError for what is no folder and cannot be an id on the Hugging Face hub."""
    if not Path(name).is_dir() and not HUB_ID.fullmatch(name):
        raise ValueError(f"{name} should be a model folder or a hub id like owner/name; there is "
                         "no such folder")


def check_name(name: str) -> None:
    """Raise ValueError for a name that can be no model: no folder, and no hub id either.

    Of a folder it has to be clear that it holds a pipeline that can animate an image.
    """
    folder = Path(name)
    if name == BUNDLED:
        return
    check_folder_or_id(name)
    if folder.is_dir() and not is_motifocal(folder):
        class_of(read_index(folder), name)


def check_priors(name: str, motion: object, motion_mask: object) -> None:
    """Raise ValueError for a model that cannot be told how much, or where, something moves.

    What only a model on the hub itself can say is found when it is loaded.
    """
    for option, value, key in (("--motion", motion, "motion_score"),
                               ("--motion-mask", motion_mask, "motion_mask")):
        if value is None or (name != BUNDLED and not Path(name).is_dir()):
            continue
        own = name != BUNDLED and is_motifocal(Path(name))
        if not own or not read_config(Path(name), "unet").get(key):
            raise ValueError(f"{option} should go with a model trained with `motifocal train "
                             f"--prior {key.removeprefix('motion_')}`, got {name}")
