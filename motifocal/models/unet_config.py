"""The numbers that decide the shape of the denoiser, checked against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

ImageCondition = Literal["none", "concat", "attention", "both"]


@dataclass(frozen=True)
class UNetConfig:
    """Every number that decides the shape of a `TI2VUNet`; one entry a level where a tuple.

    Choose `norm_num_groups` below the narrowest level: with one channel a group the norm removes
    exactly what the time and the frame rate add to a feature map.
    """

    latent_channels: int
    block_out_channels: tuple[int, ...]
    attention: tuple[bool, ...]  # spatial + temporal attention; the middle block always has both
    layers_per_block: int
    norm_num_groups: int
    head_width: int
    input_attention_heads: int  # temporal attention after the first convolution
    cross_attention_dim: int
    temporal_dropout: float
    image_condition: ImageCondition = "concat"
    image_token_dim: int | None = None  # needed by "attention" and "both", refused otherwise

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> UNetConfig:
        """From values as read from JSON, where a tuple is a list; other keys are left alone."""
        own: dict[str, Any] = {}
        for field in fields(cls):
            value = values[field.name]
            own[field.name] = tuple(value) if isinstance(value, list) else value
        return cls(**own)

    def __post_init__(self) -> None:
        channels = self.block_out_channels
        if len(self.attention) != len(channels):
            raise ValueError(f"attention should have {len(channels)} entries, got {self.attention}")
        if self.image_condition not in get_args(ImageCondition):
            raise ValueError(
                f"image_condition should be one of {get_args(ImageCondition)}, "
                f"got {self.image_condition!r}"
            )
        if self.takes_image_tokens != (self.image_token_dim is not None):
            expected = "a width" if self.takes_image_tokens else "None"
            raise ValueError(
                f"image_token_dim should be {expected} with image_condition "
                f"{self.image_condition!r}, got {self.image_token_dim}"
            )
        for width, attends in zip(channels, (*self.attention[:-1], True), strict=True):
            if width % self.norm_num_groups:
                raise ValueError(
                    f"block_out_channels should divide by norm_num_groups "
                    f"{self.norm_num_groups}, got {width}"
                )
            if attends and width % self.head_width:
                raise ValueError(
                    f"levels with attention (the last always has, in the middle block) should "
                    f"divide by head_width {self.head_width}, got {width}"
                )

    @property
    def takes_image_latent(self) -> bool:
        return self.image_condition in ("concat", "both")

    @property
    def takes_image_tokens(self) -> bool:
        return self.image_condition in ("attention", "both")

    @property
    def spatial_divisor(self) -> int:
        """What latent height and width must divide by: every level but the last halves them."""
        return int(2 ** (len(self.block_out_channels) - 1))


#: The published base model, widened for x-cat as in the paper.
VIDEOCRAFTER2 = UNetConfig(
    latent_channels=4,
    block_out_channels=(320, 640, 1280, 1280),
    attention=(True, True, True, False),
    layers_per_block=2,
    norm_num_groups=32,
    head_width=64,
    input_attention_heads=8,
    cross_attention_dim=1024,
    temporal_dropout=0.1,
    image_condition="concat",
)
