"""Open a model by its name: the bundled one, a Motifocal folder, or a diffusers pipeline."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from motifocal.generate.diffusers_load import hub_folder
from motifocal.generate.diffusers_model import DiffusersModel
from motifocal.generate.frame_model import FrameModel
from motifocal.generate.model import Sampling
from motifocal.generate.model_index import BUNDLED, is_motifocal
from motifocal.generate.motifocal_model import MotifocalModel
from motifocal.models.pipeline import BUNDLED as BUNDLED_FOLDER

#: What in a folder decides a video: weights, configurations, vocabularies.
DECIDING = frozenset({".safetensors", ".json", ".txt", ".model"})


def open_model(name: str, sampling: Sampling, *, hash_weights: bool = True) -> FrameModel:
    """Load the model `name`: "bundled", a folder, or an id on the Hugging Face hub.

    A folder or a hub's model is either Motifocal's own or any image-to-video pipeline in
    `families.registry.FAMILIES`. Its settings tell a folder's weights by their sha256, which takes
    seconds for large ones, unless `hash_weights` is False. Raises ValueError, in one line, for what
    is none of these or cannot sample as asked.
    """
    local = BUNDLED_FOLDER if name == BUNDLED else Path(name)
    folder = local if local.is_dir() else hub_folder(name)
    if not local.is_dir():
        weights = f"commit {folder.name}"
    else:
        weights = f"sha256 {fingerprint(folder)}" if hash_weights else "not hashed"
    if is_motifocal(folder):
        return MotifocalModel(name, folder, sampling, weights)
    model = DiffusersModel(name, folder, sampling, weights)
    if not model.settings["reads_prompt"]:
        print(f"note: {model.settings['class']} reads no prompt: all prompts of an image get "
              "the same video", file=sys.stderr)
    if not model.settings.get("sees_image", True):
        print(f"note: {model.settings['class']} sees no image: its videos follow the prompt "
              "alone", file=sys.stderr)
    return model


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 of the files that decide a video: names, sizes and bytes."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix in DECIDING and path.is_file() and not name.parts[0].startswith("."):
            digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(2**20):
                    digest.update(chunk)
    return digest.hexdigest()
