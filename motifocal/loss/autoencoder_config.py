"""Build the autoencoder of a diffusers model from its configuration alone, without its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from motifocal.extras import install_extra
from motifocal.files.hub import hub_errors
from motifocal.files.json_text import read_json_object

CONFIG = "config.json"


def read_autoencoder_config(model: str) -> dict[str, Any]:
    """Read ``vae/config.json`` of a pipeline, or an autoencoder's own ``config.json``.

    ``model`` is a folder, or a hub id, of which only this file is fetched.

    Raises:
        ValueError: there is none, or it does not name an autoencoder of diffusers.
    """
    folder = Path(model)
    if folder.is_dir():
        paths = [folder / "vae" / CONFIG, folder / CONFIG]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise ValueError(f"{model} should hold vae/{CONFIG} or {CONFIG}, got neither")
    else:
        path = _fetched(model)
    config = read_json_object(path)
    name = config.get("_class_name")
    if not isinstance(name, str) or not name.startswith("Autoencoder"):
        raise ValueError(f"{path} should name an autoencoder of diffusers as _class_name, got "
                         f"{name!r}")  # fmt: skip
    return config


def _fetched(model: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    with hub_errors(model):
        try:
            return Path(hf_hub_download(model, f"vae/{CONFIG}"))
        except EntryNotFoundError:
            return Path(hf_hub_download(model, CONFIG))


def build_autoencoder(config: dict[str, Any], seed: int = 0) -> torch.nn.Module:
    """Build an autoencoder with random weights from ``seed``; the global generator is left alone.

    Raises:
        ValueError: the installed diffusers has no such class, or refuses its settings.
    """
    import diffusers

    name = config["_class_name"]
    kind = getattr(diffusers, name, None)
    if kind is None:
        raise ValueError(f"diffusers {diffusers.__version__} should have {name}, which it does "
                         f"not; {install_extra('models')} brings a newer one")  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model: torch.nn.Module = kind.from_config(config, trust_remote_code=False)
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError(f"{name} should be built from its settings, got {error}") from error
    return model
