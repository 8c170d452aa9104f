"""Convert a released checkpoint to a folder in the diffusers layout.

Every one of its tensors is either used or on a list with the reason; every parameter of ours has
a source. A name or a shape that does not fit stops the import before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from motifocal.files.atomic import replacing_folder, write_text
from motifocal.files.tensor_file import read_tensors
from motifocal.models.folder_files import PIPELINE
from motifocal.models.released.image_names import (
    image_encoder_sources,
    projection_sources,
    unused_image_tensors,
)
from motifocal.models.released.videocrafter2_names import (
    Source,
    autoencoder_sources,
    text_sources,
    unet_sources,
    unused_tensors,
)
from motifocal.models.schedule import PredictionType, ScaledDDIMScheduler, ddim_scheduler
from motifocal.models.text import load_tokenizer
from motifocal.models.unet import TI2VUNet, UNetConfig

NO_TOKENIZER = (
    "the checkpoint holds no tokenizer: put CLIP's vocab.json and merges.txt in a folder and "
    "import again with it as the tokenizer, or give the hub id of a model with CLIP's tokenizer"
)


@dataclass(frozen=True)
class BaseModel:
    """The sizes of a checkpoint with the released structure, and the schedule it was trained with.

    With an `image_encoder` the checkpoint is an image-to-video model and holds its projection of
    image tokens; without one the U-Net is text-to-video and is widened for what we add.
    """

    unet: UNetConfig
    autoencoder: dict[str, Any]
    text_encoder: CLIPTextConfig
    image_encoder: CLIPVisionConfig | None = None
    prediction_type: PredictionType = "epsilon"
    zero_terminal_snr: bool = False
    dynamic_rescale: bool = False
    sample: Mapping[str, float] = field(default_factory=dict)  # `sample_*` of the pipeline

    def scheduler(self) -> ScaledDDIMScheduler:
        """The sampler as released."""
        return ddim_scheduler(
            self.prediction_type, self.zero_terminal_snr, True, self.dynamic_rescale
        )


@dataclass(frozen=True)
class Plan:
    """Which tensor goes where: per component our models (without memory) and their sources."""

    models: dict[str, nn.Module]
    sources: dict[str, dict[str, Source]]
    unused: dict[str, str]  # released name -> reason
    fresh: dict[str, tuple[int, ...]] = field(default_factory=dict)  # U-Net parameters, start at 0
    widened: bool = True  # our first convolution may take more channels than theirs

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every released name that is used, with the shape it should have."""
        shapes = {}
        for component, sources in self.sources.items():
            ours = self.models[component].state_dict()
            for name, source in sources.items():
                shape = tuple(ours[name].shape)
                if name == "conv_in.weight" and component == "unet" and self.widened:
                    shape = (shape[0], ours["conv_out.weight"].shape[0], *shape[2:])
                shapes[source.name] = source.shape(shape)
        return shapes


@dataclass(frozen=True)
class ImportReport:
    """What an import wrote, what it left out and why, and what is still missing."""

    folder: Path
    unused: dict[str, str]
    notes: tuple[str, ...]


def plan_import(base: BaseModel) -> Plan:
    """Our models on the meta device, and for each parameter its place in the checkpoint."""
    with torch.device("meta"):
        unet = TI2VUNet.build(base.unet)
        autoencoder = AutoencoderKL(**base.autoencoder)
        text_encoder = CLIPTextModel(base.text_encoder)
    state = unet.state_dict()
    projection = [n for n in state if n.startswith("image_proj.")]
    levels = len(autoencoder.config.block_out_channels)
    plan = Plan(
        models={"unet": unet, "vae": autoencoder, "text_encoder": text_encoder},
        sources={
            "unet": unet_sources(base.unet, [n for n in state if n not in projection]),
            "vae": autoencoder_sources(levels, autoencoder.state_dict()),
            "text_encoder": text_sources(text_encoder.state_dict()),
        },
        unused=unused_tensors(base.text_encoder.num_hidden_layers),
        fresh={} if base.image_encoder else {n: tuple(state[n].shape) for n in projection},
        widened=base.image_encoder is None,
    )
    if base.image_encoder is not None:
        with torch.device("meta"):
            image_encoder = CLIPVisionModelWithProjection(base.image_encoder)
        plan.models["image_encoder"] = image_encoder
        plan.sources["image_encoder"] = image_encoder_sources(image_encoder.state_dict())
        plan.sources["unet"].update(projection_sources(projection))
        plan.unused.update(unused_image_tensors())
    return plan


def check_names_and_shapes(plan: Plan, stored: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a checkpoint that does not fit `plan` exactly.

    Raises:
        ValueError: names the missing, unknown, or wrongly shaped tensors.
    """
    shapes = plan.shapes()
    expected = shapes.keys() | plan.unused.keys()
    names_of = {"missing": expected - stored.keys(), "unknown": stored.keys() - expected}
    for what, names in names_of.items():
        if names:
            raise ValueError(
                f"checkpoint should hold {len(expected)} known tensors, got {len(names)} {what}: "
                + ", ".join(sorted(names)[:5])
            )
    for name, shape in shapes.items():
        if tuple(stored[name]) != shape:
            raise ValueError(f"{name} should be {shape}, got {tuple(stored[name])}")


def component_state(
    plan: Plan, component: str, released: Mapping[str, Tensor], names: Iterable[str] | None = None
) -> dict[str, Tensor]:
    """The released tensors under our names, for one of the plan's models; all, or those named.

    Where the U-Net's first convolution is wider than theirs (x-cat), the new channels are zero:
    it starts as the text-to-video model exactly. Projections of image tokens start at zero too.
    """
    ours = plan.models[component].state_dict()
    chosen = set(ours if names is None else names)
    sources = plan.sources[component]
    state = {n: s.read(released[s.name]) for n, s in sources.items() if n in chosen}
    if component == "unet" and plan.widened:
        narrow = released[sources["conv_in.weight"].name]
        if "conv_in.weight" in chosen:
            wide = narrow.new_zeros(tuple(ours["conv_in.weight"].shape))
            wide[:, : narrow.shape[1]] = narrow
            state["conv_in.weight"] = wide
        state |= {n: narrow.new_zeros(shape) for n, shape in plan.fresh.items() if n in chosen}
    return state


def import_checkpoint(
    checkpoint: Path,
    folder: Path,
    base: BaseModel,
    tokenizer: str | Path | None = None,
    shard_size: str = "2GB",
) -> ImportReport:
    """Write `unet/`, `vae/`, `text_encoder/`, `scheduler/`, and what of the rest there is.

    The rest are `image_encoder/`, where the checkpoint has one, and `tokenizer/`, where one is
    given. The scheduler is the one that the weights were trained with. The folder appears whole or
    not at all.

    Args:
        checkpoint: the released `.ckpt`, or the same tensors as `.safetensors`.
        folder: must not exist.
        base: the sizes of the checkpoint.
        tokenizer: a local folder with CLIP's tokenizer, or a hub id.
        shard_size: the largest file. Tensors are read from the mapped checkpoint as they are
            written: the real import needs less than 1 GB of memory.

    Raises:
        ValueError: a tensor is missing, unknown or of the wrong shape, or the schedule differs.
        FileExistsError: `folder` exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} should not exist")
    plan = plan_import(base)
    released = load_released(checkpoint)
    check_names_and_shapes(plan, {n: tuple(v.shape) for n, v in released.items()})
    _check_schedule(released, base)
    with replacing_folder(folder) as temporary:
        for component in plan.models:
            _write_weights(temporary / component, plan, component, released, shard_size)
        notes = _write_rest(temporary, plan, base, tokenizer)
    return ImportReport(folder, plan.unused, notes)


def load_released(checkpoint: Path) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint file by name; a pickle is read without running its code.

    Raises ValueError for a damaged file and for one that holds anything else.
    """
    read = read_tensors(checkpoint, mmap=True)
    state = read.get("state_dict", read.get("module", read))
    if "module" in read and isinstance(state, Mapping):  # as DeepSpeed saves it
        state = {name.removeprefix("_forward_module."): v for name, v in state.items()}
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{checkpoint} should hold tensors by name, got other things")
    return state


def _check_schedule(released: Mapping[str, Tensor], base: BaseModel) -> None:
    """The checkpoint carries the schedule it was trained with; ours has to be that one."""
    schedule = base.scheduler().noise_schedule
    for name, ours in (("alphas_cumprod", schedule.alphas_cumprod), ("scale_arr", schedule.scale)):
        theirs = released[name].float()[: len(ours)]
        if theirs.shape != ours.shape or not torch.allclose(theirs, ours, atol=1e-5, rtol=0):
            raise ValueError(
                f"{name} should end at {float(ours[-1]):.6f} after {len(ours)} steps, "
                f"got {float(theirs[-1]):.6f} after {len(theirs)}"
            )


def _write_rest(
    folder: Path, plan: Plan, base: BaseModel, tokenizer: str | Path | None
) -> tuple[str, ...]:
    index: dict[str, Any] = {
        "_class_name": PIPELINE,
        "_diffusers_version": diffusers.__version__,
        "unet": ["motifocal.models.unet", "TI2VUNet"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "scheduler": ["motifocal.models.schedule", "ScaledDDIMScheduler"],
        "tokenizer": [None, None],
    } | {f"sample_{name}": value for name, value in base.sample.items()}
    if base.image_encoder is not None:
        index["image_encoder"] = ["transformers", "CLIPVisionModelWithProjection"]
    base.scheduler().save_pretrained(folder / "scheduler")
    if tokenizer is not None:
        text_encoder: Any = plan.models["text_encoder"]
        load_tokenizer(tokenizer, text_encoder.config).save_pretrained(folder / "tokenizer")
        index["tokenizer"] = ["transformers", "CLIPTokenizer"]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return () if tokenizer is not None else (NO_TOKENIZER,)


def _write_weights(
    folder: Path, plan: Plan, component: str, released: Mapping[str, Tensor], shard_size: str
) -> None:
    """Save a model's configuration and weights, a file's tensors in memory at a time."""
    model: Any = plan.models[component]
    folder.mkdir()
    stem = "diffusion_pytorch_model"
    prefix = {"text_encoder": "text_model.", "image_encoder": "vision_model."}.get(component, "")
    if prefix:
        model.config.save_pretrained(folder)
        stem = "model"
    else:
        model.save_config(folder)
    ours = model.state_dict()
    # The names under which every version of transformers finds its weights.
    names = {n if n.startswith("visual_projection") else prefix + n.removeprefix(prefix): n
             for n in ours}
    dtype = next(iter(released[s.name].dtype for s in plan.sources[component].values()))
    like = {n: ours[o].to(dtype) for n, o in names.items()}  # without memory
    split = split_torch_state_dict_into_shards(
        like, filename_pattern=f"{stem}{{suffix}}.safetensors", max_shard_size=shard_size
    )
    for file, stored in split.filename_to_tensors.items():
        state = component_state(plan, component, released, [names[n] for n in stored])
        tensors = {n: state[names[n]].contiguous() for n in stored}
        save_file(tensors, folder / file, metadata={"format": "pt"})
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        write_text(folder / f"{stem}.safetensors.index.json", json.dumps(index, indent=2) + "\n")
