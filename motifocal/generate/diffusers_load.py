"""Load a diffusers pipeline from a folder or a hub id, and move it to its device.

Only safetensors are read, and only classes of diffusers and transformers are made: a folder cannot
make this import other code.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline
from huggingface_hub import hf_hub_download, snapshot_download

from motifocal.extras import install_extra
from motifocal.files.hub import hub_errors
from motifocal.generate.families.registry import IN_FLOAT32, NEED_FTFY, class_of, other_packages
from motifocal.generate.model import OFFLOADS, Sampling
from motifocal.generate.model_index import check_folder_or_id
from motifocal.models.folder import MODEL_FILES, bars_on_a_terminal, loading_errors
from motifocal.models.folder_files import INDEX, PIPELINE, check_libraries, read_index, refuse_code

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def hub_folder(
    name: str, class_name: Callable[[Mapping[str, Any], str], str] = class_of
) -> Path:
    """Return the folder of a hub's model in the local cache; fetch it if it is not there yet.

    Only what loading needs is fetched, and nothing before the class is known to be one that
    animates images: `class_name` tells it from model_index.json and the name. Raises ValueError
    for what is no hub id and for a model that is neither cached nor within reach.
    """
    check_folder_or_id(name)
    with hub_errors(name):
        index = read_index(Path(hf_hub_download(name, INDEX)).parent)
        if index.get("_class_name") == PIPELINE:
            return Path(snapshot_download(name, allow_patterns=MODEL_FILES))
        pipeline = getattr(diffusers, class_name(index, name))
        return Path(pipeline.download(name, use_safetensors=True, trust_remote_code=False))


def fetch_part(name: str, part: str) -> None:
    """Fetch one folder of a hub's model to the local cache, if the model has it."""
    with hub_errors(name):
        snapshot_download(name, allow_patterns=[f"{part}/*.json", f"{part}/*.safetensors"])


def load(name: str, folder: Path, sampling: Sampling) -> Any:
    """Load the pipeline in a folder, on its device, without progress bars.

    Raises ValueError for a class that cannot animate an image, parts of other libraries, a
    package that is missing, damaged weights, and a device or offload that cannot be.
    """
    index = read_index(folder)
    kind = class_of(index, name)
    _check_parts(index, folder, name)
    _check_packages(kind, folder)
    _check_other_packages(kind, index)
    check_device(sampling)
    dtypes = {"default": DTYPES[sampling.dtype]}
    dtypes |= dict.fromkeys(IN_FLOAT32.get(kind, ()), torch.float32)
    with loading_errors(name), bars_on_a_terminal():
        pipeline = getattr(diffusers, kind).from_pretrained(
            folder, dtype=dtypes, use_safetensors=True, local_files_only=True,
            trust_remote_code=False,
        )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    if hasattr(pipeline.vae, "use_slicing"):  # never changes a video
        pipeline.vae.enable_slicing()
    encoder = getattr(pipeline, "text_encoder", None)
    if kind == "I2VGenXLPipeline" and not hasattr(encoder, "text_model"):
        # The pipeline asks for a level that transformers 5 has folded into the encoder. Not an
        # assignment: the encoder would become a part of itself.
        encoder.__dict__["text_model"] = encoder
    place(pipeline, sampling)
    return pipeline


def check_device(sampling: Sampling) -> None:
    """ValueError for a device that this machine lacks and for an unknown dtype or offload."""
    if sampling.dtype not in DTYPES:
        raise ValueError(f"dtype should be one of {', '.join(DTYPES)}, got {sampling.dtype}")
    if sampling.offload not in OFFLOADS:
        raise ValueError(f"offload should be one of {', '.join(OFFLOADS)}, got {sampling.offload}")
    kind, _, number = sampling.device.partition(":")
    count = {"cpu": 1, "mps": int(torch.backends.mps.is_available()),
             "cuda": torch.cuda.device_count()}.get(kind, 0)
    if (number and not number.isdecimal()) or int(number or 0) >= count:
        raise ValueError(f"device should be one of this machine's, got {sampling.device}")
    if kind == "cpu" and sampling.offload != "none":
        raise ValueError(f"offload should be none on the CPU, got {sampling.offload}")


def place(pipeline: DiffusionPipeline, sampling: Sampling) -> None:
    """Put a pipeline where it will compute, all of it or part by part as it is needed."""
    if sampling.offload == "model":
        pipeline.enable_model_cpu_offload(device=sampling.device)
    elif sampling.offload == "sequential":
        pipeline.enable_sequential_cpu_offload(device=sampling.device)
    else:
        pipeline.to(sampling.device)


def _check_parts(index: Mapping[str, Any], folder: Path, name: str) -> None:
    """ValueError for a part of another library, one that is missing, one with code of its own."""
    parts = {part: value for part, value in index.items()
             if not part.startswith("_") and isinstance(value, list) and len(value) == 2}
    check_libraries(index, name)
    for part, (library, _) in parts.items():
        if library is not None and not (folder / part).is_dir():
            raise ValueError(f"{name} should hold the part {part}, got no such folder in it")
        if library is not None:
            refuse_code(folder / part)


def _check_packages(kind: str, folder: Path) -> None:
    """ValueError for packages that would be missed only later, or under another name."""
    needed = ["ftfy"] if kind in NEED_FTFY else []
    vocabularies = {path.parent for path in folder.glob("*/*.model")}
    if any(not (place / "tokenizer.json").exists() for place in vocabularies):
        needed += ["sentencepiece", "google.protobuf"]
    missing = [name.rpartition(".")[2] for name in needed if not _is_there(name)]
    if missing:
        raise ValueError(f"{kind} should find the packages {', '.join(missing)}; "
                         f"{install_extra('models')}")


def _check_other_packages(kind: str, index: Mapping[str, Any]) -> None:
    """ValueError for packages that have to be installed by themselves, such as a guardrail."""
    missing = [name for name in other_packages(kind, index) if not _is_there(name)]
    if missing:
        raise ValueError(f"{kind} should find {' and '.join(missing)}, without which diffusers "
                         f"does not run it: pip install {' '.join(missing)}")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # its parent is not there
        return False
