"""The released VideoCrafter2 checkpoint becomes a folder in the diffusers layout.

Every one of its tensors is either used or on a list with the reason; every parameter of ours has
a source. A name or a shape that does not fit stops the import before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from huggingface_hub import save_torch_state_dict
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from motifocal.files.atomic import replacing_folder
from motifocal.files.tensor_file import read_tensors
from motifocal.models.schedule import ddim_scheduler
from motifocal.models.text import load_tokenizer, text_config
from motifocal.models.unet import VIDEOCRAFTER2, ImageCondition, TI2VUNet, UNetConfig
from motifocal.models.videocrafter2_names import (
    Source,
    autoencoder_sources,
    text_sources,
    unet_sources,
    unused_tensors,
)

#: Stable Diffusion's KL-f8 autoencoder.
AUTOENCODER_KL_F8: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "layers_per_block": 2,
    "latent_channels": 4,
    "sample_size": 256,
    "scaling_factor": 0.18215,
}

NO_TOKENIZER = (
    "the checkpoint holds no tokenizer: put CLIP's vocab.json and merges.txt in a folder and "
    "import again with it as the tokenizer, or give the hub id of a model with CLIP's tokenizer"
)


@dataclass(frozen=True)
class BaseModel:
    """The sizes of a checkpoint with the released structure."""

    unet: UNetConfig
    autoencoder: dict[str, Any]
    text_encoder: CLIPTextConfig


VIDEOCRAFTER2_BASE = BaseModel(
    unet=VIDEOCRAFTER2,
    autoencoder=AUTOENCODER_KL_F8,
    text_encoder=text_config(width=1024, heads=16, layers=23, vocabulary=49408),
)


@dataclass(frozen=True)
class Plan:
    """Which tensor goes where: per component our models (without memory) and their sources."""

    models: dict[str, nn.Module]
    sources: dict[str, dict[str, Source]]
    unused: dict[str, str]  # released name -> reason
    fresh: dict[str, tuple[int, ...]] = field(default_factory=dict)  # U-Net parameters, start at 0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every released name that is used, with the shape it should have."""
        shapes = {}
        for component, sources in self.sources.items():
            ours = self.models[component].state_dict()
            for name, source in sources.items():
                shape = tuple(ours[name].shape)
                if name == "conv_in.weight" and component == "unet":
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
    """Our three models on the meta device, and for each parameter its place in the checkpoint."""
    with torch.device("meta"):
        unet = TI2VUNet.build(base.unet)
        autoencoder = AutoencoderKL(**base.autoencoder)
        text_encoder = CLIPTextModel(base.text_encoder)
    state = unet.state_dict()
    fresh = {n: tuple(v.shape) for n, v in state.items() if n.startswith("image_proj.")}
    levels = len(autoencoder.config.block_out_channels)
    return Plan(
        models={"unet": unet, "vae": autoencoder, "text_encoder": text_encoder},
        sources={
            "unet": unet_sources(base.unet, [n for n in state if n not in fresh]),
            "vae": autoencoder_sources(levels, autoencoder.state_dict()),
            "text_encoder": text_sources(text_encoder.state_dict()),
        },
        unused=unused_tensors(base.text_encoder.num_hidden_layers),
        fresh=fresh,
    )


def check_names_and_shapes(plan: Plan, found: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse a checkpoint that does not fit `plan` exactly.

    Raises:
        ValueError: names the missing, unknown, or wrongly shaped tensors.
    """
    shapes = plan.shapes()
    expected = shapes.keys() | plan.unused.keys()
    for what, names in (("missing", expected - found.keys()), ("unknown", found.keys() - expected)):
        if names:
            raise ValueError(
                f"checkpoint should hold {len(expected)} known tensors, got {len(names)} {what}: "
                + ", ".join(sorted(names)[:5])
            )
    for name, shape in shapes.items():
        if tuple(found[name]) != shape:
            raise ValueError(f"{name} should be {shape}, got {tuple(found[name])}")


def component_state(
    plan: Plan, component: str, released: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The released tensors under our names, for one of "unet", "vae", "text_encoder".

    Where the U-Net's first convolution is wider than theirs (x-cat), the new channels are zero:
    it starts as the text-to-video model exactly. Projections of image tokens start at zero too.
    """
    ours = plan.models[component].state_dict()
    state = {n: s.read(released[s.name]) for n, s in plan.sources[component].items()}
    if component == "unet":
        narrow = state["conv_in.weight"]
        wide = narrow.new_zeros(tuple(ours["conv_in.weight"].shape))
        wide[:, : narrow.shape[1]] = narrow
        state["conv_in.weight"] = wide
        state |= {n: narrow.new_zeros(shape) for n, shape in plan.fresh.items()}
    return state


def import_videocrafter2(
    checkpoint: Path,
    folder: Path,
    image_condition: ImageCondition = "concat",
    tokenizer: str | Path | None = None,
    image_token_dim: int | None = None,
    base: BaseModel = VIDEOCRAFTER2_BASE,
    shard_size: str = "2GB",
) -> ImportReport:
    """Write `unet/`, `vae/`, `text_encoder/`, `scheduler/` and, given one, `tokenizer/`.

    The scheduler is the one the weights were trained with: noise prediction, with the x0 factor.
    The folder appears whole or not at all.

    Args:
        checkpoint: the released `.ckpt`, or the same tensors as `.safetensors`.
        folder: must not exist.
        image_condition: how the picture will enter; "none" keeps the text-to-video model.
        tokenizer: a local folder with CLIP's tokenizer, or a hub id.
        image_token_dim: width of the image tokens, for "attention" and "both".
        base: the sizes of the checkpoint.
        shard_size: the largest file. Tensors are read from the mapped checkpoint as they are
            written: the real import needs less than 1 GB of memory.

    Raises:
        ValueError: a tensor is missing, unknown or of the wrong shape, or the schedule differs.
        FileExistsError: `folder` exists.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} should not exist")
    unet = replace(base.unet, image_condition=image_condition, image_token_dim=image_token_dim)
    plan = plan_import(replace(base, unet=unet))
    released = load_released(checkpoint)
    check_names_and_shapes(plan, {n: tuple(v.shape) for n, v in released.items()})
    _check_schedule(released)
    with replacing_folder(folder) as temporary:
        for component in plan.models:
            _write_weights(temporary / component, plan, component, released, shard_size)
        notes = _write_rest(temporary, plan, tokenizer)
    return ImportReport(folder, plan.unused, notes)


def load_released(checkpoint: Path) -> Mapping[str, Tensor]:
    """The tensors of a checkpoint file by name; a pickle is read without running its code.

    Raises ValueError for a damaged file and for one that holds anything else.
    """
    read = read_tensors(checkpoint, mmap=True)
    state = read.get("state_dict", read)
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{checkpoint} should hold tensors by name, got other things")
    return state


def _check_schedule(released: Mapping[str, Tensor]) -> None:
    """The checkpoint carries the schedule it was trained with; ours has to be that one."""
    schedule = ddim_scheduler("epsilon", use_scale=True).noise_schedule
    for name, ours in (("alphas_cumprod", schedule.alphas_cumprod), ("scale_arr", schedule.scale)):
        theirs = released[name].float()[: len(ours)]
        if theirs.shape != ours.shape or not torch.allclose(theirs, ours, atol=1e-5, rtol=0):
            raise ValueError(
                f"{name} should end at {float(ours[-1]):.6f} after {len(ours)} steps, "
                f"got {float(theirs[-1]):.6f} after {len(theirs)}"
            )


def _write_rest(folder: Path, plan: Plan, tokenizer: str | Path | None) -> tuple[str, ...]:
    index: dict[str, Any] = {
        "_class_name": "TI2VPipeline",
        "_diffusers_version": diffusers.__version__,
        "unet": ["motifocal.models.unet", "TI2VUNet"],
        "vae": ["diffusers", "AutoencoderKL"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "scheduler": ["motifocal.models.schedule", "ScaledDDIMScheduler"],
        "tokenizer": [None, None],
    }
    ddim_scheduler("epsilon", use_scale=True).save_pretrained(folder / "scheduler")
    if tokenizer is not None:
        text_encoder: Any = plan.models["text_encoder"]
        load_tokenizer(tokenizer, text_encoder.config).save_pretrained(folder / "tokenizer")
        index["tokenizer"] = ["transformers", "CLIPTokenizer"]
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return () if tokenizer is not None else (NO_TOKENIZER,)


def _write_weights(
    folder: Path, plan: Plan, component: str, released: Mapping[str, Tensor], shard_size: str
) -> None:
    model: Any = plan.models[component]
    state = component_state(plan, component, released)
    folder.mkdir()
    stem = "diffusion_pytorch_model"
    if component == "text_encoder":
        model.config.save_pretrained(folder)
        stem = "model"
        # The name under which every version of transformers finds these weights.
        state = {f"text_model.{n.removeprefix('text_model.')}": v for n, v in state.items()}
    else:
        model.save_config(folder)
    save_torch_state_dict(
        {n: v.contiguous() for n, v in state.items()},
        folder,
        filename_pattern=f"{stem}{{suffix}}.safetensors",
        max_shard_size=shard_size,
    )
