"""The files of a model folder, found by names and JSON alone, without loading anything.

The folder has the diffusers layout: `model_index.json`, `unet/`, `vae/`, `text_encoder/`,
`tokenizer/`, `scheduler/`. torch, which takes seconds to load, is not needed to refuse one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from motifocal.files.atomic import sha256_of
from motifocal.files.json_text import read_json_object

INDEX = "model_index.json"
#: The class that the index of our own folders names, and the parts that it is made of.
PIPELINE = "TI2VPipeline"
#: owner/name, as models are named on the Hugging Face hub.
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
PARTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
#: What a part's configuration says of its class: the file, its key, and the value that is read.
CLASSES: Mapping[str, tuple[str, str, str]] = {
    "unet": ("config.json", "_class_name", "TI2VUNet"),
    "vae": ("config.json", "_class_name", "AutoencoderKL"),
    "text_encoder": ("config.json", "model_type", "clip_text_model"),
    "image_encoder": ("config.json", "model_type", "clip_vision_model"),
    "scheduler": ("scheduler_config.json", "_class_name", "ScaledDDIMScheduler"),
}
#: Libraries that pipelines name for their parts: other than these two, modules of diffusers.
LIBRARIES = ("diffusers", "transformers", "ltx2")
#: The key under which a configuration names classes in Python files of its own folder, or of a
#: repository on the hub.
CLASS_KEY = "auto_map"
#: How keys end under which it names the library's own function, or a repository on the hub that
#: holds compiled code: "sdpa" against "owner/name".
FUNCTION_KEY = "_implementation"
#: What a vocabulary, which is not worth parsing, does not hold: those keys, or an escaped letter,
#: by which JSON can spell them otherwise.
SUSPECT = re.compile(rf'(?:{CLASS_KEY}|{FUNCTION_KEY})"|\\u00[567]'.encode())

#: The shift of SkyReels-V2's schedule for image to video, as in the examples of diffusers'
#: pipelines. Its folders say 1, since the script that converted the weights gives none.
SKYREELS_V2_SHIFT = 5.0


def read_index(folder: Path) -> dict[str, Any]:
    """A folder's model_index.json; ValueError where there is none or it is no JSON object."""
    path = folder / INDEX
    if not path.is_file():
        raise ValueError(f"{folder} should be a model folder, got no {INDEX} in it")
    return read_json_object(path)


def read_pipeline_index(folder: Path) -> dict[str, Any]:
    """The same; ValueError unless the folder is a whole model of `TI2VPipeline`."""
    index = read_index(folder)
    if index.get("_class_name") != PIPELINE:
        raise ValueError(
            f"{folder / INDEX} should say {PIPELINE}, got {index.get('_class_name')!r}"
        )
    missing = [part for part in PARTS if not (folder / part).is_dir()]
    if missing:
        raise ValueError(f"{folder} should hold {', '.join(PARTS)}, got no {', '.join(missing)}")
    return index


def part_folder(folder: Path, name: str) -> Path:
    """The folder of one part, e.g. "vae"; ValueError where there is none."""
    if not (folder / name).is_dir():
        raise ValueError(f"{folder} should hold a folder {name}/, as models of diffusers do")
    return folder / name


def check_libraries(index: Mapping[str, Any], name: str | Path) -> None:
    """Raise ValueError where a model_index.json takes a part from a library that is not known.

    diffusers imports whatever library is named there.
    """
    for part, value in index.items():
        if part.startswith("_") or not isinstance(value, list) or len(value) != 2:
            continue
        if value[0] not in (None, *LIBRARIES):
            raise ValueError(f"{name}: {part} should be of diffusers or transformers, got "
                             f"{value[0]}.{value[1]}")


def named_distilled(folder: Path) -> bool:
    """Whether a model's name says that it is distilled, as Lightricks' do: no configuration does.

    A folder in the hub's cache has the name of its repository.
    """
    place = folder.resolve()
    # models--owner--name/snapshots/commit
    name = place.parent.parent.name if place.parent.name == "snapshots" else place.name
    return "distilled" in name.lower()


def weights_digest(folder: Path) -> str:
    """SHA-256 of all safetensors of a folder: tells apart models that were saved over another."""
    return sha256_of(*sorted(folder.rglob("*.safetensors")))


def refuse_code(part: Path) -> None:
    """Raise ValueError where a part of a model folder brings Python code of its own.

    Such code is never run here, and without it the part would not be what its author meant: the
    libraries ask whether to run it. Looked for are Python files, and configurations that name
    classes in such files, or classes or functions in a repository on the hub.
    """
    for path in sorted(part.rglob("*.py")):
        raise ValueError(f"{path}: a model folder should hold no code; none of it is run")
    for path in sorted(part.glob("*.json")):
        if SUSPECT.search(path.read_bytes()):
            key = _code_key(read_json_object(path))
            if key is not None:
                raise ValueError(f"{path}: {key} names code, which is not run here; a model that "
                                 "needs code of its own cannot be used")


def _code_key(config: dict[str, Any]) -> str | None:
    """The key, at any depth, under which a configuration names code."""
    left: list[Any] = [config]
    while left:
        value = left.pop()
        if isinstance(value, list):
            left += value
        elif isinstance(value, dict):
            for key, inside in value.items():
                if key == CLASS_KEY or (f"_{key}".endswith(FUNCTION_KEY) and "/" in str(inside)):
                    return key
            left += value.values()
    return None


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """The configuration of one part; ValueError unless it is of the class that is read here."""
    file, key, expected = CLASSES[name]
    path = part_folder(folder, name) / file
    if not path.is_file():
        raise ValueError(f"{path.parent} should hold {file}, got none")
    config = read_json_object(path)
    if config.get(key) != expected:
        raise ValueError(f"{path} should say {key} {expected!r}, got {config.get(key)!r}: it is "
                         "of another kind of model")
    return config


def flow_shift(scheduler: Mapping[str, Any]) -> float:
    """How far a scheduler's configuration moves the times of flow matching towards noise."""
    return float(scheduler.get("flow_shift", scheduler.get("shift", 1.0)))


def skyreels_v2_shift(scheduler: Mapping[str, Any]) -> float:
    """The same of SkyReels-V2 for image to video, whose folders leave it at 1."""
    shift = flow_shift(scheduler)
    return SKYREELS_V2_SHIFT if shift == 1.0 else shift
