"""Load a LoRA into a diffusers pipeline, from a folder or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from motifocal.files.atomic import sha256_of
from motifocal.models.folder import loading_errors

FILE = "pytorch_lora_weights.safetensors"
SECOND = "transformer_2"  # the folder of the LoRA of a second expert, and its part


def lora_files(place: Path, pipeline: Any) -> list[tuple[Path, dict[str, Any]]]:
    """Return the files of a LoRA, each with the arguments that say where it goes.

    Raises ValueError where the folder holds none, or a second one that the pipeline has no part
    for.
    """
    file = place / FILE if place.is_dir() else place
    files: list[tuple[Path, dict[str, Any]]] = [(file, {})] if file.is_file() else []
    second = place / SECOND / FILE
    if second.is_file():
        if getattr(pipeline, SECOND, None) is None:
            raise ValueError(f"{place} holds a LoRA for {SECOND}, which "
                             f"{type(pipeline).__name__} here does not have")  # fmt: skip
        files.append((second, {f"load_into_{SECOND}": True}))
    if not files:
        raise ValueError(f"{place} should hold {FILE}, got no such file")
    return files


def load_lora(pipeline: Any, place: Path) -> str:
    """Load a LoRA, and that of a second expert where there is one; returns their sha256.

    Raises ValueError where there is none, or where it does not fit.
    """
    files = lora_files(place, pipeline)
    for file, arguments in files:
        if file.suffix != ".safetensors":
            raise ValueError(f"{file} should be a .safetensors file")
        with loading_errors(file):
            # Some pipelines of diffusers have no loader of their own, but their transformers do.
            load = getattr(pipeline, "load_lora_weights", None)
            if load is None:
                load = pipeline.transformer.load_lora_adapter
            load(file.parent, weight_name=file.name, **arguments)
    return sha256_of(*(file for file, _ in files))
