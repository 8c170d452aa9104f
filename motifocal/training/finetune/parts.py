"""Load a model folder in groups, so that the text encoder is never in memory with the rest.

    text encoder -> texts cached; autoencoder -> clips cached; one transformer -> trained
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from motifocal.files.atomic import sha256_of
from motifocal.files.json_text import parse_json
from motifocal.files.tensor_file import open_safetensors
from motifocal.models.folder import bars_on_a_terminal, loading_errors
from motifocal.models.folder_files import check_libraries, part_folder, refuse_code
from motifocal.models.schedule import set_flow_shift
from motifocal.training.families.base import Family

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_ALWAYS = "scheduler"  # a few numbers
SAMPLED = 4096  # bytes


@contextmanager
def loaded_parts(
    folder: Path, family: Family, names: Sequence[str], device: torch.device, precision: str
) -> Iterator[Any]:
    """Inside, the family's pipeline with these parts alone, on `device`, without gradients.

    They are frozen and in eval mode, and the autoencoder works in tiles where the family's does.
    Raises ValueError for damaged weights and for parts that bring code of their own.
    """
    pipe = load_pipeline(folder, family, names, precision)
    if family.tiled and pipe.vae is not None:
        pipe.vae.enable_tiling()
    pipe.to(device)
    try:
        with torch.no_grad():
            yield pipe
    finally:
        del pipe
        release(device)


def load_pipeline(folder: Path, family: Family, names: Sequence[str], precision: str) -> Any:
    """Load the family's pipeline with the named parts, others None, on the CPU."""
    import diffusers

    check_libraries(family.index, folder)
    kind = getattr(diffusers, family.pipeline)
    # Some folders list parts of other pipelines too, such as a second decoder.
    known = {*inspect.signature(kind).parameters} - {*names, _ALWAYS}
    absent = {part: hollow(family, part) for part, value in family.index.items()
              if isinstance(value, list) and part in known}
    dtypes: dict[str, Any] = {"default": DTYPES[precision]}
    dtypes |= dict.fromkeys(family.float32_parts, torch.float32)
    for part in names:
        if part in family.index and family.index[part][0] is not None:
            refuse_code(part_folder(folder, part))
    with loading_errors(folder), bars_on_a_terminal():
        pipe = kind.from_pretrained(
            folder, dtype=dtypes, use_safetensors=True, local_files_only=True,
            trust_remote_code=False, **absent,
        )  # fmt: skip
    pipe.register_modules(**dict.fromkeys(absent))
    if family.sampling_shift is not None:
        set_flow_shift(pipe, family.sampling_shift)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def hollow(family: Family, part: str) -> Any:
    """Make a model of diffusers without any memory for its weights; None for other parts.

    Some pipelines read the configuration of all their parts while they are made.
    """
    import diffusers

    library, kind = family.index[part][:2]
    if library != "diffusers" or part not in family.configs:
        return None
    model = getattr(diffusers, kind)
    if not issubclass(model, torch.nn.Module):
        return None
    with torch.device("meta"):
        return model.from_config(family.configs[part], trust_remote_code=False)


def load_trained(folder: Path, family: Family, part: str, precision: str, nf4: bool = False) -> Any:
    """Load the transformer that is trained, on the CPU; ValueError where the folder has none."""
    import diffusers

    place = part_folder(folder, family.weights_folder(part))
    refuse_code(place)
    kind = getattr(diffusers, family.index[part][1])
    with loading_errors(place), bars_on_a_terminal():
        network = kind.from_pretrained(
            place, torch_dtype=DTYPES[precision], use_safetensors=True, local_files_only=True,
            trust_remote_code=False,
        )  # fmt: skip
    if nf4:
        store_in_four_bits(network, DTYPES[precision])
    return network


def store_in_four_bits(network: Any, computed: torch.dtype) -> None:
    """Replace linear layers by bitsandbytes' of nf4 weights, which compute in `computed`.

    Layers that the model's authors keep in float32 stay. Not by diffusers' quantiser, which
    refuses to work without a GPU. Raises ValueError where bitsandbytes is not installed.
    """
    try:
        bnb: Any = importlib.import_module("bitsandbytes")
    except ModuleNotFoundError as error:
        raise ValueError("storage nf4 needs the package bitsandbytes, which is not installed"
                         ) from error  # fmt: skip
    kept = set(network._keep_in_fp32_modules or ())
    linear = {name: module for name, module in network.named_modules()
              if type(module) is torch.nn.Linear and kept.isdisjoint(name.split("."))}
    for name, module in linear.items():
        packed = bnb.nn.Linear4bit(module.in_features, module.out_features, bias=False,
                                   compute_dtype=computed, quant_type="nf4", device="meta")
        packed.weight = bnb.nn.Params4bit(module.weight.data, requires_grad=False,
                                          quant_type="nf4").to("cpu")  # fmt: skip
        packed.bias = module.bias
        network.set_submodule(name, packed)
    network.is_loaded_in_4bit = True  # peft asks for it


def release(device: torch.device) -> None:
    """Give back what no object holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def digest_of(folder: Path, names: Sequence[str]) -> str:
    """Return the sha256 of the files that decide what these parts compute."""
    files = [path for name in names if (folder / name).is_dir()
             for path in sorted((folder / name).rglob("*"))
             if path.suffix in (".safetensors", ".json", ".txt", ".model")]
    return sha256_of(*files)


def base_digest(folder: Path, family: Family, part: str) -> str:
    """Return the sha256 of what decides the training of a transformer, besides the encoders.

    Of all JSON configuration (that of the scheduler decides the noise levels), and of every
    tensor's name, type, shape and first, middle and last SAMPLED bytes: read in a second where all
    bytes would take a minute, and no tensor of another model is the same in all three.
    """
    facts = {"index": _own(family.index), "configs": {name: _own(config)
             for name, config in family.configs.items()}}  # fmt: skip
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for path in sorted((folder / family.weights_folder(part)).glob("*.safetensors")):
        for sample in _samples(path):
            digest.update(sample)
    return digest.hexdigest()


def _own(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out who wrote a configuration, and where."""
    return {key: value for key, value in config.items()
            if key not in ("_diffusers_version", "_name_or_path", "transformers_version")}


def _samples(path: Path) -> Iterator[bytes]:
    """Yield a safetensors file's header, and bytes of every tensor."""
    with open_safetensors(path), path.open("rb") as file:  # the first refuses damaged headers
        start = 8 + int.from_bytes(file.read(8), "little")
        header = file.read(start - 8)
        yield header
        for name, tensor in sorted(parse_json(header.decode()).items()):
            if name == "__metadata__":
                continue
            low, high = tensor["data_offsets"]
            for offset in sorted({low, (low + high) // 2, max(low, high - SAMPLED)}):
                file.seek(start + offset)
                yield file.read(min(SAMPLED, high - offset))
