"""Encode prompts as the text features that the U-Net attends to.

The base model takes OpenCLIP's features before the last block, through the final norm, at all 77
places. In transformers that is a `CLIPTextModel` with one block fewer and the exact GELU.

Shape letters: B batch, L text tokens (77 there, fewer in small encoders), D text width.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    PreTrainedTokenizerBase,
)

#: Places of the text encoder, and token 0, "!", which fills those after the end token.
TEXT_LENGTH = 77
PAD_TOKEN_ID = 0


def text_config(width: int, heads: int, layers: int, vocabulary: int) -> CLIPTextConfig:
    """The configuration of an encoder that keeps `layers` blocks; the end token is the last id."""
    return CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=TEXT_LENGTH,
        hidden_act="gelu",
        layer_norm_eps=1e-5,
        projection_dim=width,
        pad_token_id=PAD_TOKEN_ID,
        bos_token_id=vocabulary - 2,
        eos_token_id=vocabulary - 1,
    )


def load_tokenizer(location: str | Path, config: CLIPTextConfig) -> CLIPTokenizer:
    """CLIP's tokenizer from a local folder or a hub id, for the text encoder of `config`.

    Raises:
        ValueError: its vocabulary or its start and end tokens are not those of the encoder.
    """
    tokenizer = CLIPTokenizer.from_pretrained(str(location), trust_remote_code=False)
    ids = (len(tokenizer), tokenizer.bos_token_id, tokenizer.eos_token_id)
    expected = (config.vocab_size, config.bos_token_id, config.eos_token_id)
    if ids != expected:
        raise ValueError(
            f"tokenizer should have (size, start, end) {expected}, got {ids} from {location}"
        )
    return tokenizer


def tokenize(
    tokenizer: PreTrainedTokenizerBase, text_encoder: CLIPTextModel, prompts: Sequence[str]
) -> Tensor:
    """`(B, L)` int64: start, prompt, end, padding to the encoder's length; longer ones are cut.

    Padded here, with the encoder's padding id: OpenCLIP's is token 0, and a tokenizer told to pad
    with "!" would also read every "!" of a prompt as token 0.

    Raises:
        ValueError: the encoder's config names no padding id.
    """
    length = text_encoder.config.max_position_embeddings
    padding = text_encoder.config.pad_token_id
    if padding is None:
        raise ValueError("the text encoder's config should name its pad_token_id, got None")
    tokens = torch.full((len(prompts), length), padding, dtype=torch.int64)
    for row, prompt in zip(tokens, prompts, strict=True):
        ids = tokenizer(prompt, truncation=True, max_length=length)["input_ids"]
        row[: len(ids)] = torch.tensor(ids)
    return tokens


def encode_tokens(text_encoder: CLIPTextModel, tokens: Tensor) -> Tensor:
    """Token ids `(B, L)` become features `(B, L, D)`; padding is attended to, as in training."""
    length = text_encoder.config.max_position_embeddings
    if tokens.ndim != 2 or tokens.shape[1] != length:
        raise ValueError(f"tokens should be (B, {length}), got {tuple(tokens.shape)}")
    return text_encoder(input_ids=tokens).last_hidden_state


@torch.no_grad()
def encode_text(
    tokenizer: PreTrainedTokenizerBase, text_encoder: CLIPTextModel, prompts: Sequence[str]
) -> Tensor:
    """Prompts become features `(B, L, D)`. The unconditional prompt is "", not zeros."""
    tokens = tokenize(tokenizer, text_encoder, prompts).to(text_encoder.device)
    return encode_tokens(text_encoder, tokens)


@torch.no_grad()
def encode_distinct(
    tokenizer: PreTrainedTokenizerBase, text_encoder: CLIPTextModel, prompts: Sequence[str],
    device: torch.device,
) -> Tensor:  # fmt: skip
    """Features `(B, L, D)`, computed on `device`; a prompt that occurs again is encoded once."""
    distinct = list(dict.fromkeys(prompts))
    features = encode_tokens(text_encoder,
                             tokenize(tokenizer, text_encoder, distinct).to(device))
    return features[[distinct.index(prompt) for prompt in prompts]]
