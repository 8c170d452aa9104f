"""All settings that determine what fine-tuning computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from motifocal.training.presets import describe_fault, split_batch

SETTINGS = "finetune.json"  # where a run keeps them
#: The learning rates where none is given. Commands of full fine-tuning have a tenth of a LoRA's,
#: as DiffSynth-Studio's for Wan.
LORA_RATE, FULL_RATE = 1e-4, 1e-5


class FinetuneSettings(BaseModel):
    """Settings of a fine-tuning. Unknown keys are refused.

    lora_rank of None trains every weight, at FULL_RATE unless a rate is given. lora_alpha of None
    is the rank. lora_targets and parts, where empty, are the family's. ema_decay of 0 keeps no
    average. precision is that of the frozen weights; what is trained is float32. storage is how
    frozen weights lie in memory: "fp8" casts each layer for its own computation, "nf4" is
    bitsandbytes' four bits. sample_guidance of None is the guidance scale that the pipeline samples
    with; flow_shift of None is the schedule of the model's folder.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    lora_rank: int | None = Field(default=16, gt=0)
    lora_alpha: float | None = Field(default=None, gt=0)
    lora_targets: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    flow_shift: float | None = Field(default=None, gt=0)
    motif_weight: float = Field(default=1.0, ge=0)
    motif_variant: Literal["motif", "inverse", "none", "normalised", "difference", "dynamics",
                           "dynamics-rms"] = "motif"
    steps: int = Field(default=1000, gt=0)
    global_batch: int = Field(default=1, gt=0)
    micro_batch: int = Field(default=1, gt=0)
    learning_rate: float = Field(default=LORA_RATE, gt=0)
    warmup: int = Field(default=10, gt=0)
    cooldown: int = Field(default=0, ge=0)
    optimizer: Literal["adamw", "muon"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    gradient_checkpointing: bool = True
    storage: Literal["full", "fp8", "nf4"] = "full"
    save_every: int = Field(default=100, gt=0)
    validate_every: int = Field(default=250, gt=0)
    sample_steps: int = Field(default=25, gt=0)
    sample_guidance: float | None = Field(default=None, ge=0)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _with_the_rate_of_full(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("lora_rank", 0) is None:
            return {"learning_rate": FULL_RATE, **values}
        return values

    def accumulation(self, processes: int) -> int:
        """Micro-batches per optimiser step; ValueError where the batch cannot be split so."""
        return split_batch(self.global_batch, self.micro_batch, processes)

    @property
    def alpha(self) -> float:
        """What a LoRA's update is scaled by, times its rank."""
        return float(self.lora_rank or 0) if self.lora_alpha is None else self.lora_alpha


#: What may change between two starts of one run: it decides nothing that was computed so far. The
#: model is known by its weights, wherever it lies.
FREE_TO_CHANGE = frozenset({"model", "save_every", "validate_every", "sample_steps",
                            "sample_guidance", "steps", "gradient_checkpointing"})  # fmt: skip


def finetune_settings(values: dict[str, Any]) -> FinetuneSettings:
    """Check settings; ValueError naming every unknown key and every bad value."""
    try:
        settings = FinetuneSettings.model_validate(values)
    except ValidationError as error:
        raise ValueError("; ".join(describe_fault(fault) for fault in error.errors())) from error
    if settings.lora_rank is None and settings.storage != "full":
        raise ValueError(f"storage should be full where every weight is trained, got "
                         f"{settings.storage}")
    return settings


def read_finetune_settings(path: Path) -> FinetuneSettings:
    """Read the settings that a run keeps; ValueError, naming the file, for other text."""
    try:
        return FinetuneSettings.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ValueError(f"{path} should hold the settings of a fine-tuning: "
                         f"{describe_fault(error.errors()[0])}") from error
