"""A model folder becomes its parts; what is damaged, foreign or carries code is refused in a line.

The folder has the diffusers layout: `model_index.json`, `unet/`, `vae/`, `text_encoder/`,
`tokenizer/`, `scheduler/`. Only local safetensors and JSON are read, by the classes named here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from transformers import AutoTokenizer, CLIPTextModel, PreTrainedTokenizerBase
from transformers.utils import logging

from motifocal.json_text import parse_json
from motifocal.models.schedule import ScaledDDIMScheduler
from motifocal.models.text_limit import TextLimit
from motifocal.models.unet import TI2VUNet
from motifocal.picture import one_line

INDEX = "model_index.json"
#: What a part's configuration says of its class: the file, its key, and the value that is read.
CLASSES: Mapping[str, tuple[str, str, str]] = {
    "unet": ("config.json", "_class_name", "TI2VUNet"),
    "vae": ("config.json", "_class_name", "AutoencoderKL"),
    "text_encoder": ("config.json", "model_type", "clip_text_model"),
    "scheduler": ("scheduler_config.json", "_class_name", "ScaledDDIMScheduler"),
}
#: The key under which a configuration names classes in Python files of its own folder, or of a
#: repository on the hub.
CODE_KEY = "auto_map"
_LOCAL: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}


def read_index(folder: Path) -> dict[str, Any]:
    """A folder's model_index.json; ValueError where there is none or it is no JSON object."""
    path = folder / INDEX
    if not path.is_file():
        raise ValueError(f"{folder} should be a model folder, got no {INDEX} in it")
    return _read_object(path)


def part_folder(folder: Path, name: str) -> Path:
    """The folder of one part, e.g. "vae"; ValueError where there is none."""
    if not (folder / name).is_dir():
        raise ValueError(f"{folder} should hold a folder {name}/, which it does not")
    return folder / name


def refuse_code(part: Path) -> None:
    """Raise ValueError where a part of a model folder brings Python code of its own.

    Such code is never run here, and without it the part would not be what its author meant: the
    libraries ask whether to run it. Looked for are Python files, and configurations that name
    classes in such files or in a repository on the hub.
    """
    for path in sorted(part.rglob("*.py")):
        raise ValueError(f"{path}: a model folder should hold no code; none of it is run")
    for path in sorted(part.glob("*.json")):
        # A vocabulary is not worth parsing.
        if f'"{CODE_KEY}"'.encode() in path.read_bytes() and CODE_KEY in _read_object(path):
            raise ValueError(f"{path}: {CODE_KEY} names code, which is not run here; a model that "
                             "needs code of its own cannot be used")


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """The configuration of one part; ValueError unless it is of the class that is read here."""
    file, key, expected = CLASSES[name]
    path = part_folder(folder, name) / file
    if not path.is_file():
        raise ValueError(f"{path.parent} should hold {file}, got none")
    config = _read_object(path)
    if config.get(key) != expected:
        raise ValueError(f"{path} should say {key} {expected!r}, got {config.get(key)!r}: it is "
                         "of another kind of model")
    return config


def load_autoencoder(folder: Path, dtype: torch.dtype) -> AutoencoderKL:
    """`vae/` in eval mode; ValueError where it is missing, damaged or of another class."""
    read_config(folder, "vae")
    with _loading(folder / "vae"):
        model, info = AutoencoderKL.from_pretrained(
            folder / "vae", torch_dtype=dtype, output_loading_info=True, trust_remote_code=False,
            **_LOCAL,
        )  # fmt: skip
        return _whole(model, info)


def load_network(folder: Path, dtype: torch.dtype) -> TI2VUNet:
    """`unet/` in eval mode; ValueError where it is missing, damaged or of another class."""
    read_config(folder, "unet")
    with _loading(folder / "unet"):
        model, info = TI2VUNet.from_pretrained(
            folder / "unet", torch_dtype=dtype, output_loading_info=True, trust_remote_code=False,
            **_LOCAL,
        )  # fmt: skip
        return _whole(model, info)


def load_text_encoder(folder: Path, dtype: torch.dtype) -> CLIPTextModel:
    """`text_encoder/` in eval mode; ValueError where it is missing, damaged or another class."""
    read_config(folder, "text_encoder")
    with _loading(folder / "text_encoder"), without_progress_bars():
        loaded: Any = CLIPTextModel.from_pretrained(
            folder / "text_encoder", dtype=dtype, output_loading_info=True,
            trust_remote_code=False, **_LOCAL,
        )  # fmt: skip
        return _whole(*loaded)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """`tokenizer/`; ValueError where it is missing or damaged, or names code of its own."""
    place = part_folder(folder, "tokenizer")
    with _loading(place):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            place, local_files_only=True, trust_remote_code=False
        )
        return tokenizer


def load_text_limit(folder: Path) -> TextLimit:
    """How much `text_encoder/` reads of a sentence, without loading its weights."""
    places = read_config(folder, "text_encoder").get("max_position_embeddings")
    if not isinstance(places, int):
        raise ValueError(f"{folder / 'text_encoder'} should say its max_position_embeddings, got "
                         f"{places!r}")
    return TextLimit(load_tokenizer(folder), places)


def load_scheduler(folder: Path) -> ScaledDDIMScheduler:
    """`scheduler/`; ValueError where it is missing, damaged or of another class."""
    read_config(folder, "scheduler")
    with _loading(folder / "scheduler"):
        return ScaledDDIMScheduler.from_pretrained(
            folder / "scheduler", local_files_only=True, trust_remote_code=False
        )


@contextmanager
def without_progress_bars() -> Iterator[None]:
    """transformers' bars over reading and writing a single file, which takes no time."""
    shown = logging.is_progress_bar_enabled()
    if shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


@contextmanager
def loading_errors(name: str | Path) -> Iterator[None]:
    """Whatever the libraries raise while they load the files of `name` becomes a ValueError."""
    try:
        yield
    # Damage has no type of its own: it comes as KeyError, TypeError, RuntimeError, SafetensorError,
    # UnpicklingError, and tokenizers raises Exception itself.
    except Exception as error:
        kind, words = type(error).__name__, one_line(error)[:300]
        raise ValueError(f"{name} cannot be loaded, its files should be whole and fit each other: "
                         f"{kind}: {words}") from error


@contextmanager
def _loading(part: Path) -> Iterator[None]:
    refuse_code(part)
    with loading_errors(part):
        yield


def _whole(model: Any, info: Mapping[str, Any]) -> Any:
    """The model, unless some of its weights are not in the file: they would be random."""
    missing = sorted(info["missing_keys"])
    if missing:
        raise ValueError(f"weights are missing: {', '.join(missing[:3])}")
    return model


def _read_object(path: Path) -> dict[str, Any]:
    try:
        read = parse_json(path.read_text(encoding="utf-8"))
    # The last: nested deeper than Python's stack.
    except ValueError as error:
        raise ValueError(f"{path} should be JSON, got {one_line(error)}") from error
    if not isinstance(read, dict):
        raise ValueError(f"{path} should hold an object, got {type(read).__name__}")
    return read
