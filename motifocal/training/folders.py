"""Model folders and runs, told from file names and JSON alone.

What is wrong with a folder is so known before torch, which takes seconds to load, is needed.
"""

from __future__ import annotations

from pathlib import Path

from motifocal.models.folder_files import part_folder, read_config
from motifocal.models.unet_config import UNetConfig


def settings_path(run: Path) -> Path:
    """Where a run keeps its settings."""
    return run / "training.json"


def check_parts(folder: Path, *names: str) -> None:
    """Raise ValueError unless a model folder has all these parts."""
    for name in names:
        part_folder(folder, name)


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a training with a checkpoint."""
    return settings_path(folder).exists() and (folder / "checkpoints").is_dir()


def check_run(folder: Path) -> None:
    """Raise ValueError unless a folder holds a training."""
    if not settings_path(folder).exists():
        raise ValueError(f"{folder} should hold {settings_path(folder).name}: it is no run of a "
                         "training")


def check_denoiser(folder: Path) -> None:
    """Raise ValueError unless a folder is a run or a model folder with unet/."""
    if not is_run(folder) and not (folder / "unet").is_dir():
        raise ValueError(f"{folder} should be a run or a model folder with unet/, got neither")


def unet_config_of(folder: Path) -> UNetConfig | None:
    """Read the configuration of a model folder's denoiser; None where the folder has none."""
    if not (folder / "unet").is_dir():
        return None
    config = read_config(folder, "unet")
    try:
        return UNetConfig.from_mapping(config)
    except (TypeError, KeyError) as error:
        raise ValueError(f"{folder / 'unet'} should hold a whole configuration, got: {error}"
                         ) from error


def text_width_of(folder: Path) -> int:
    """Return the width of a model folder's text features, without loading the text encoder."""
    width = read_config(folder, "text_encoder").get("hidden_size")
    if not isinstance(width, int):
        raise ValueError(f"{folder / 'text_encoder'} should say its hidden_size, got {width!r}")
    return width
