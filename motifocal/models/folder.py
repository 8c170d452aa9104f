"""Load the parts of a model folder; refuse damaged, unknown or code-carrying ones in one line.

The folder has the diffusers layout: `model_index.json`, `unet/`, `vae/`, `text_encoder/`,
`tokenizer/`, `scheduler/`. Only local safetensors and JSON are read, by the classes named here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import snapshot_download
from transformers import (
    AutoTokenizer,
    CLIPTextModel,
    CLIPVisionModelWithProjection,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from motifocal.media.picture import one_line
from motifocal.models.folder_files import HUB_ID, part_folder, read_config, refuse_code
from motifocal.models.schedule import ScaledDDIMScheduler
from motifocal.models.text_limit import TextLimit
from motifocal.models.unet import TI2VUNet

_LOCAL: dict[str, Any] = {"local_files_only": True, "use_safetensors": True}
#: All that a model folder is loaded from; nothing else is fetched.
MODEL_FILES = ["*.json", "*.safetensors", "*.txt"]


def model_folder(name: str | Path, **hub: Any) -> Path:
    """The folder `name`, or the local copy of the model "owner/name" on the Hugging Face hub.

    A Path and the name of a folder that exists are never looked up on the hub. `hub` are options
    of `huggingface_hub.snapshot_download`: revision, token, cache_dir, local_files_only.
    """
    folder = Path(name)
    if isinstance(name, Path) or folder.exists() or not HUB_ID.fullmatch(name):
        return folder
    return Path(snapshot_download(name, allow_patterns=MODEL_FILES, **hub))


def load_autoencoder(folder: Path, dtype: torch.dtype) -> AutoencoderKL:
    """`vae/` in eval mode; ValueError where it is missing, damaged or of another class."""
    model: AutoencoderKL = _load_model(AutoencoderKL, folder, "vae", dtype)
    return model


def load_network(folder: Path, dtype: torch.dtype) -> TI2VUNet:
    """`unet/` in eval mode; ValueError where it is missing, damaged or of another class."""
    model: TI2VUNet = _load_model(TI2VUNet, folder, "unet", dtype)
    return model


def _load_model(kind: type[ModelMixin], folder: Path, part: str, dtype: torch.dtype) -> Any:
    """A part that diffusers saved."""
    read_config(folder, part)
    with _loading(folder / part):
        loaded: Any = kind.from_pretrained(
            folder / part, torch_dtype=dtype, output_loading_info=True, trust_remote_code=False,
            **_LOCAL,
        )  # fmt: skip
        return _whole(*loaded)


def load_text_encoder(folder: Path, dtype: torch.dtype) -> CLIPTextModel:
    """`text_encoder/` in eval mode; ValueError where it is missing, damaged or another class."""
    model: CLIPTextModel = _load_clip(CLIPTextModel, folder, "text_encoder", dtype)
    return model


def load_image_encoder(folder: Path, dtype: torch.dtype) -> CLIPVisionModelWithProjection | None:
    """`image_encoder/` in eval mode, or None where the folder has none.

    ValueError where it is damaged or of another class.
    """
    if not (folder / "image_encoder").is_dir():
        return None
    kind = CLIPVisionModelWithProjection
    model: CLIPVisionModelWithProjection = _load_clip(kind, folder, "image_encoder", dtype)
    return model


def _load_clip(kind: Any, folder: Path, part: str, dtype: torch.dtype) -> Any:
    """A part that transformers saved."""
    read_config(folder, part)
    with _loading(folder / part), without_progress_bars():
        loaded: Any = kind.from_pretrained(
            folder / part, dtype=dtype, output_loading_info=True, trust_remote_code=False, **_LOCAL
        )
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
    """How much `text_encoder/` reads of a prompt, without loading its weights."""
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
    enabled = logging.is_progress_bar_enabled()
    if enabled:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            logging.enable_progress_bar()


@contextmanager
def loading_errors(name: str | Path) -> Iterator[None]:
    """Whatever the libraries raise while they load the files of `name` becomes a ValueError."""
    try:
        yield
    except ImportError as error:  # a package that this model's code wants
        raise ValueError(f"{name} cannot be loaded: {one_line(error)[:300]}") from error
    # Damage has no type of its own: it comes as KeyError, TypeError, RuntimeError, SafetensorError,
    # UnpicklingError, and tokenizers raises Exception itself.
    except Exception as error:
        kind, words = type(error).__name__, one_line(error)[:300]
        raise ValueError(f"{name} cannot be loaded, its files should be whole and fit each other: "
                         f"{kind}: {words}") from error


@contextmanager
def bars_on_a_terminal() -> Iterator[None]:
    """Loading billions of weights shows how far it is; a file of logs is spared that."""
    if sys.stderr.isatty():
        yield
        return
    switches = (diffusers_logging, logging)
    enabled = [switch.is_progress_bar_enabled() for switch in switches]
    for switch in switches:
        switch.disable_progress_bar()
    try:
        yield
    finally:
        for switch, before in zip(switches, enabled, strict=True):
            if before:
                switch.enable_progress_bar()


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
