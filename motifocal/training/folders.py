"""Recognise model folders and runs by file names and JSON alone.

What is wrong with a folder is so known before torch, which takes seconds to load, is needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from motifocal.files.atomic import sha256_of, write_text
from motifocal.files.json_text import parse_json, read_json_object
from motifocal.files.settings import lock_settings
from motifocal.models.folder_files import CLASSES, INDEX, part_folder, read_config, read_index
from motifocal.models.unet_config import UNetConfig
from motifocal.training.presets import decay_start

#: What a model folder may say of a call, beside the size and the length of a clip.
CALL = ("sample_fps", "sample_steps", "sample_guidance", "sample_guidance_rescale")


def settings_path(run: Path) -> Path:
    """Where a run keeps its settings."""
    return run / "training.json"


def inputs_path(run: Path) -> Path:
    """Where a run keeps the digests of what it was begun with."""
    return run / "inputs.json"


def keep_settings(
    path: Path, settings: BaseModel, read: Callable[[Path], BaseModel], free: frozenset[str],
    done: int,
) -> None:  # fmt: skip
    """Write the settings to `path`; refuse to go on with others that would compute others.

    `read` reads those of an earlier start, `free` may change between two starts, and `done` steps
    are taken already: before the first checkpoint other settings lose nothing. A run may be made
    longer or shorter until it cools down. Raises ValueError, naming what differs.
    """
    now = parse_json(settings.model_dump_json())

    def upgrade(stored: object) -> dict[str, Any]:
        before = parse_json(read(path).model_dump_json())
        cooling = done > min(decay_start(warmup=s["warmup"], total=s["steps"],
                                         cooldown=s["cooldown"]) for s in (before, now))
        return {**before, **{key: now[key] for key in (free - {"steps"} if cooling else free)}}

    if done:
        lock_settings(path, now, upgrade=upgrade)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(now, indent=1) + "\n")


def check_parts(folder: Path, *names: str) -> None:
    """Raise ValueError unless a model folder has all these parts."""
    for name in names:
        part_folder(folder, name)


def text_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of what a model folder's text features come from, by part."""
    encoder, tokenizer = folder / "text_encoder", folder / "tokenizer"
    return {
        "text_encoder": sha256_of(*sorted(encoder.glob("*.safetensors"))),
        "text_encoder_config": sha256_of(encoder / "config.json"),
        "tokenizer": sha256_of(*sorted(p for p in tokenizer.rglob("*") if p.is_file())),
    }


def check_base(run: Path, base: Path, latent_channels: int) -> None:
    """Raise ValueError where a run's network cannot be used with the parts of a model folder.

    Its text encoder and tokenizer have to be those of the training, as far as the run notes them.
    Of the autoencoder only the number of channels counts: its decoder may have been trained since.
    """
    path = inputs_path(run)
    noted = read_json_object(path) if path.exists() else {}
    for part, digest in text_digests(base).items():
        if noted.get(part, digest) != digest:
            raise ValueError(f"{base} should hold the {part} that {run} was trained with, got "
                             "another")
    channels = read_config(base, "vae").get("latent_channels")
    if channels != latent_channels:
        raise ValueError(f"{base / 'vae'} should have {latent_channels} latent channels, as the "
                         f"network of {run}, got {channels}")


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


def call_of(folder: Path) -> dict[str, Any]:
    """Read what a model folder says of `CALL`; nothing where it has no model_index.json."""
    index = read_index(folder) if (folder / INDEX).exists() else {}
    return {key: index[key] for key in CALL if key in index}


def scheduler_of(folder: Path) -> dict[str, Any]:
    """Read the configuration of a model folder's scheduler; empty where it has none of ours."""
    file, key, ours = CLASSES["scheduler"]
    path = folder / "scheduler" / file
    config = read_json_object(path) if path.exists() else {}
    return config if config.get(key) == ours else {}
