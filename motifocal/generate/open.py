"""The name of a model becomes a model: bundled, a Motifocal folder, or a diffusers pipeline."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from motifocal.generate.diffusers_load import hub_folder
from motifocal.generate.diffusers_model import DiffusersModel
from motifocal.generate.model import Model, Sampling
from motifocal.generate.model_index import BUNDLED, is_motifocal
from motifocal.generate.motifocal_model import MotifocalModel
from motifocal.models.pipeline import BUNDLED as BUNDLED_FOLDER

#: What in a folder decides a video: weights, configurations, vocabularies.
DECIDING = frozenset({".safetensors", ".json", ".txt", ".model"})


def open_model(name: str, sampling: Sampling) -> Model:
    """The model `name`: "bundled", a folder, or an id on the Hugging Face hub.

    A folder or a hub's model is either Motifocal's own or any image-to-video pipeline in
    `diffusers_families.FAMILIES`. Raises ValueError, in one line, for what is none of these or
    cannot sample as asked.
    """
    given = BUNDLED_FOLDER if name == BUNDLED else Path(name)
    folder = given if given.is_dir() else hub_folder(name)
    weights = f"sha256 {fingerprint(folder)}" if given.is_dir() else f"commit {folder.name}"
    if is_motifocal(folder):
        return MotifocalModel(name, folder, sampling, weights)
    model = DiffusersModel(name, folder, sampling, weights)
    if not model.settings["reads_sentence"]:
        print(f"note: {model.settings['class']} reads no sentence: all sentences of a picture get "
              "the same video", file=sys.stderr)
    return model


def fingerprint(folder: Path) -> str:
    """SHA-256 of the files that decide a video: tells models apart where one replaced another."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix in DECIDING and path.is_file() and not name.parts[0].startswith("."):
            digest.update(f"{name.as_posix()}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while chunk := file.read(2**20):
                    digest.update(chunk)
    return digest.hexdigest()
