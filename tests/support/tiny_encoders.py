"""Tiny random encoders of transformers' own classes, of text and of images, and a tokenizer."""

from __future__ import annotations

from typing import Any

import transformers
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

PAD, START, END = "<pad>", "<s>", "</s>"
SENTENCES = ["the blue balloon dips down", "the red balloon rises", "nothing moves at all"]
#: What HunyuanVideo's prompt template is made of besides words.
MARKS = ["<image>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "\n\n"]
WIDTH = 16  # of every text encoder


def tiny_tokenizer(length: int, *marks: str, words: str = "", start: bool = True) -> Any:
    """Known words are one token each; `marks` are tokens of their own, from id 3 on."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=900, special_tokens=[PAD, START, END, *marks], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator([*SENTENCES, *([words] * 3)], trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}" if start else f"$A {END}",
        special_tokens=[(START, 1), (END, 2)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=PAD, unk_token=END,
        additional_special_tokens=list(marks), model_max_length=length, padding_side="right",
    )  # fmt: skip


def tiny_t5(kind: str = "T5EncoderModel", vocabulary: int = 900) -> Any:
    config = getattr(transformers, kind.replace("EncoderModel", "Config"))(
        vocab_size=vocabulary, d_model=WIDTH, d_kv=8, d_ff=32, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=2, decoder_start_token_id=0,
    )  # fmt: skip
    return getattr(transformers, kind)(config)


def tiny_clip_text(layers: int = 1) -> Any:
    return transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=900, hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=layers,
            num_attention_heads=2, max_position_embeddings=77, pad_token_id=0, bos_token_id=1,
            eos_token_id=2, projection_dim=WIDTH,
        )
    )  # fmt: skip


def tiny_clip_vision(kind: str = "CLIPVisionModel", side: int = 32, patch: int = 8) -> Any:
    config = transformers.CLIPVisionConfig(
        hidden_size=WIDTH, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        projection_dim=WIDTH, image_size=side, patch_size=patch,
    )  # fmt: skip
    return getattr(transformers, kind)(config)


def tiny_clip_processor(side: int = 32) -> Any:
    return transformers.CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
