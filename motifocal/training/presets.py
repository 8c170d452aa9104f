"""Make the complete settings of a training from a preset's name and overrides."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from motifocal.models.unet_config import VIDEOCRAFTER2, UNetConfig

#: Settings by the names that they had before, which go with the next release.
RENAMED = {"rate": "learning_rate", "clip": "max_grad_norm", "average": "ema_decay"}


def _deprecated(text: str) -> None:
    warnings.warn(text, DeprecationWarning, stacklevel=3)


def current_names(
    values: Mapping[str, Any], warn: Callable[[str], None] = _deprecated
) -> dict[str, Any]:
    """Return settings under the names of today; `warn` is told of each old one.

    Raises ValueError for a setting that is given by both its names.
    """
    both = [f"{old} and {now}" for old, now in RENAMED.items() if {old, now} <= values.keys()]
    if both:
        raise ValueError(f"a setting should be given once, got {', '.join(both)}, which are the "
                         "same")
    for old, now in RENAMED.items():
        if old in values:
            warn(f"the setting {old} is now {now}; the old name will go")
    return {RENAMED.get(key, key): value for key, value in values.items()}


class TrainingSettings(BaseModel):
    """Everything that decides what a training computes. Unknown keys are refused.

    `timestep_power` p draws t = 1000 u^(1/p) for uniform u: 1 is uniform (the paper), 2 draws
    noisier times more often, where the motion is decided (our extension). Image tokens are dropped
    with the text, each motion prior by itself.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    unet: UNetConfig
    prediction_type: Literal["epsilon", "v_prediction"]
    zero_terminal_snr: bool
    use_scale: bool
    timestep_power: float = Field(gt=0)
    motif_weight: float = Field(ge=0)
    motif_variant: Literal["motif", "inverse", "none", "normalised", "difference", "dynamics",
                           "dynamics-rms", "consistency", "drift", "discrepancy"]
    text_dropout: float = Field(ge=0, le=1)
    prior_dropout: float = Field(default=0.1, ge=0, le=1)
    steps: int = Field(gt=0)
    global_batch: int = Field(gt=0)
    micro_batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    warmup: int = Field(gt=0)
    cooldown: int = Field(ge=0)
    optimizer: Literal["adamw", "muon"]
    weight_decay: float = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
    ema_decay: float = Field(ge=0, lt=1)
    precision: Literal["no", "bf16"]
    gradient_checkpointing: bool
    save_every: int = Field(gt=0)
    sample_every: int = Field(gt=0)
    seed: int = Field(ge=0)

    @model_validator(mode="before")
    @classmethod
    def _under_current_names(cls, values: object) -> object:
        """Runs of earlier versions stored old names."""
        return current_names(values) if isinstance(values, dict) else values

    @field_validator("precision", mode="before")
    @classmethod
    def _in_stored_words(cls, precision: object) -> object:
        """Commands say float32 and bfloat16; runs store accelerate's words."""
        return {"float32": "no", "bfloat16": "bf16"}.get(str(precision), precision)

    def accumulation(self, processes: int) -> int:
        """Micro-batches per optimiser step; ValueError where the batch cannot be split so."""
        return split_batch(self.global_batch, self.micro_batch, processes)


def split_batch(global_batch: int, micro_batch: int, processes: int) -> int:
    """Return the micro-batches per optimiser step of a process; ValueError where it cannot be."""
    together = micro_batch * processes
    if global_batch % together:
        raise ValueError(f"global_batch should be a multiple of micro_batch x processes = "
                         f"{together}, got {global_batch}")  # fmt: skip
    return global_batch // together


# Section 4 of the paper; micro_batch is ours (8 a GPU on eight GPUs), as are warmup and ema_decay.
PAPER = TrainingSettings(
    unet=VIDEOCRAFTER2,
    prediction_type="v_prediction",
    zero_terminal_snr=False,
    use_scale=True,
    timestep_power=1.0,
    motif_weight=1.0,
    motif_variant="motif",
    text_dropout=0.1,
    steps=32_000,
    global_batch=64,
    micro_batch=8,
    learning_rate=5e-5,
    warmup=500,
    cooldown=0,
    optimizer="adamw",
    weight_decay=0.01,
    max_grad_norm=1.0,
    ema_decay=0.9999,
    precision="bf16",
    gradient_checkpointing=True,
    save_every=1000,
    sample_every=2000,
    seed=0,
)

# The bundled model: the same step on synthetic scenes, sized for two CPU cores.
SCENES = PAPER.model_copy(
    update={
        "unet": UNetConfig(
            latent_channels=8,
            block_out_channels=(64, 128),
            attention=(True, True),
            layers_per_block=1,
            norm_num_groups=8,
            head_width=32,
            input_attention_heads=2,
            cross_attention_dim=128,
            temporal_dropout=0.0,
            image_condition="concat",
        ),
        "zero_terminal_snr": True,
        "use_scale": False,
        "timestep_power": 2.0,
        "steps": 1400,
        "global_batch": 16,
        "micro_batch": 16,
        "optimizer": "muon",
        "learning_rate": 2e-3,
        "warmup": 100,
        "cooldown": 800,
        "ema_decay": 0.995,
        "gradient_checkpointing": False,
        "save_every": 100,
        "sample_every": 500,
    }
)

PRESETS: dict[str, TrainingSettings] = {"paper": PAPER, "scenes": SCENES}


def resolve(preset: str, overrides: dict[str, Any]) -> TrainingSettings:
    """The preset with `overrides` checked and applied; those of the network lie under "unet".

    Raises ValueError naming every unknown key and every bad value.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset should be one of {sorted(PRESETS)}, got {preset!r}")
    values, overrides = dict(PRESETS[preset]), current_names(overrides)
    unet = overrides.get("unet", {})
    if isinstance(unet, dict):
        overrides = {**overrides, "unet": {**asdict(values["unet"]), **unet}}
    try:
        settings = TrainingSettings.model_validate({**values, **overrides})
    except ValidationError as error:
        faults = [describe_fault(fault) for fault in error.errors()]
        raise ValueError("; ".join(faults)) from error
    _check_schedule(settings, PRESETS[preset])
    return settings


def _check_schedule(settings: TrainingSettings, preset: TrainingSettings) -> None:
    """Raise ValueError where the training ends within its warm-up, with numbers that would do."""
    if settings.steps >= settings.warmup:
        return
    part = settings.steps / preset.steps
    warmup, cooldown = max(1, round(preset.warmup * part)), round(preset.cooldown * part)
    raise ValueError(
        f"steps {settings.steps} end within the warm-up of {settings.warmup}, so the rate would "
        f"never reach {settings.learning_rate:g}; in the preset's proportions: warmup={warmup} and "
        f"cooldown={cooldown}"
    )


def decay_start(*, warmup: int, total: int, cooldown: int) -> int:
    """Return the step from which on the learning rate depends on the number of steps."""
    return max(warmup, total - cooldown)


def read_settings(path: Path) -> TrainingSettings:
    """The settings that a run keeps. ValueError, naming the file and the faults, for other text."""
    try:
        return TrainingSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(describe_fault(fault) for fault in error.errors()[:3])
        raise ValueError(f"{path} should hold the settings of a training: {faults}") from error


def describe_fault(fault: ErrorDetails) -> str:
    """One of pydantic's findings as a phrase."""
    key = ".".join(map(str, fault["loc"]))
    if fault["type"] == "json_invalid":
        return fault["msg"]
    if fault["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"there is no setting {key!r}"
    if fault["type"] == "value_error":
        return ": ".join(filter(None, (key, str(fault["ctx"]["error"]))))
    message = fault["msg"].removeprefix("Input ")
    return f"{key} {message}, got {fault['input']!r}"
