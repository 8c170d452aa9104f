"""The configuration of the denoiser's architecture, checked for consistency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, get_args

from motifocal.models.image.resampler_config import ResamplerConfig

ImageCondition = Literal["none", "concat", "attention", "both"]
# How cross-attention sees image tokens: after the text tokens, or by keys and values of their own.
ImageAttention = Literal["appended", "decoupled"]
ImageProjection = Literal["linear", "resampler", "none"]
# What image tokens are made of: an image encoder's, or the first frame's latent (`latent_tokens`).
ImageTokenSource = Literal["encoder", "latents"]
LATENT_PATCH = 2  # side of the patch of latents that is a token
PLACE_FEATURES = 16  # of a token: where its patch lies
# Which temporal convolutions of a layer of four also reach over neighbouring pixels: none;
# VideoCrafter's first two, 3 x 3 x 3; DynamiCrafter's all, 3 x 3 x 1 and 3 x 1 x 3 in turn.
TemporalKernel = Literal["3x1x1", "3x3x3", "3x3x1,3x1x3"]


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
    image_attention: ImageAttention = "appended"
    image_scale: float = 1.0  # of what decoupled attention to the image adds
    image_projection: ImageProjection = "linear"  # none: tokens are cross_attention_dim wide
    resampler: ResamplerConfig | None = None
    relative_positions: int | None = None  # frames; a learned vector a distance, in all temporal
    causal_attention: bool = False  # a frame sees no later one, in blocks' temporal attention
    causal_input_attention: bool = False  # the same in that after the first convolution
    temporal_kernel: TemporalKernel = "3x1x1"
    image_token_source: ImageTokenSource = "encoder"
    motion_score: bool = False  # told how much a clip moves, one number
    motion_mask: bool = False  # told where it may move, on one more input channel

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> UNetConfig:
        """From values as read from JSON, where a tuple is a list; other keys are left alone.

        Models saved before a field was there have its default.
        """
        own: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in values or field.default is MISSING:
                value = values[field.name]
                own[field.name] = tuple(value) if isinstance(value, list) else value
        if isinstance(own.get("resampler"), Mapping):
            own["resampler"] = ResamplerConfig(**own["resampler"])
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
        self._check_image_tokens()
        if self.temporal_kernel not in get_args(TemporalKernel):
            raise ValueError(
                f"temporal_kernel should be one of {get_args(TemporalKernel)}, "
                f"got {self.temporal_kernel!r}"
            )
        if self.relative_positions is not None and self.relative_positions < 1:
            raise ValueError(
                f"relative_positions should be at least 1 frame, got {self.relative_positions}"
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

    def _check_image_tokens(self) -> None:
        for name, value, kinds in (
            ("image_attention", self.image_attention, get_args(ImageAttention)),
            ("image_projection", self.image_projection, get_args(ImageProjection)),
            ("image_token_source", self.image_token_source, get_args(ImageTokenSource)),
        ):
            if value not in kinds:
                raise ValueError(f"{name} should be one of {kinds}, got {value!r}")
        if (self.image_projection == "resampler") != (self.resampler is not None):
            expected = "sizes" if self.image_projection == "resampler" else "None"
            raise ValueError(
                f"resampler should be {expected} with image_projection "
                f"{self.image_projection!r}, got {self.resampler}"
            )
        width = self.image_token_dim
        if self.image_token_source == "latents" and width != self.latent_token_dim:
            raise ValueError(
                f"image_token_dim should be {self.latent_token_dim} for tokens of latents and "
                f"image_condition 'attention' or 'both', got {width} and {self.image_condition!r}"
            )
        if width is None:
            return
        if self.image_projection == "none" and width != self.cross_attention_dim:
            raise ValueError(
                f"image_token_dim should be cross_attention_dim {self.cross_attention_dim} "
                f"without a projection, got {width}"
            )
        if self.image_attention == "appended" and self.resampler and self.resampler.frames:
            raise ValueError("tokens for each frame should go with decoupled image_attention, "
                             "got 'appended'")

    @property
    def takes_image_latent(self) -> bool:
        return self.image_condition in ("concat", "both")

    @property
    def takes_image_tokens(self) -> bool:
        return self.image_condition in ("attention", "both")

    @property
    def takes_encoded_tokens(self) -> bool:
        """Whether it takes tokens of an image encoder."""
        return self.takes_image_tokens and self.image_token_source == "encoder"

    @property
    def latent_token_dim(self) -> int:
        """The width of tokens that are made of latents."""
        return LATENT_PATCH**2 * self.latent_channels + PLACE_FEATURES

    @property
    def takes_tokens_of_frames(self) -> bool:
        """Whether image tokens may come for each frame; a resampler makes them from the clip's."""
        return self.image_attention == "decoupled" and self.resampler is None

    @property
    def spatial_divisor(self) -> int:
        """What latent height and width must divide by: every level but the last halves them."""
        patch = LATENT_PATCH if self.image_token_source == "latents" else 1
        return max(int(2 ** (len(self.block_out_channels) - 1)), patch)


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
