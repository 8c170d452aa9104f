"""Train a tokenizer and a small CLIP text encoder on the prompts of the synthetic scenes.

Letters: N prompts, L tokens, D width. The encoder learns to recover what a prompt means (its
`facts`: scenario, who, what happens), is then frozen, and its token features feed the denoiser.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

from motifocal.files.atomic import replacing_folder
from motifocal.scenes.render import CAMERA_WORDS
from motifocal.scenes.stage import SCENARIOS, make_stage

START, END, PAD = "<|startoftext|>", "<|endoftext|>", "<|pad|>"


@dataclass(frozen=True)
class TextEncoderSettings:
    """Everything that decides what a training of the text encoder computes."""

    width: int
    layers: int
    heads: int
    tokens: int
    vocabulary: int
    steps: int
    rate: float
    seed: int
    stages: int  # how many training stages of each scenario are read for sentences


BUNDLED_TEXT_ENCODER = TextEncoderSettings(
    width=128, layers=3, heads=4, tokens=24, vocabulary=640, steps=400, rate=1e-3, seed=0,
    stages=120,
)  # fmt: skip


def corpus(stages: int) -> dict[str, tuple[str, ...]]:
    """Return all prompts of the training stages, paraphrases and camera words, with their facts."""
    sentences: dict[str, tuple[str, ...]] = {}
    for scenario in sorted(SCENARIOS):
        for seed in range(stages):
            for action in make_stage(scenario, "train", seed).actions:
                for text in (action.sentence, *action.paraphrases):
                    for camera, words in CAMERA_WORDS.items():
                        sentences[text + words] = (*action.facts, f"camera {camera}")
    return dict(sorted(sentences.items()))


def train_tokenizer(sentences: list[str], settings: TextEncoderSettings) -> PreTrainedTokenizerFast:
    """Train a lower-casing byte-level BPE: any text encodes, known words are one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary, special_tokens=[PAD, START, END], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(sentences, trainer)
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A {END}", special_tokens=[(START, start), (END, end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=PAD, unk_token=END,
        model_max_length=settings.tokens,
    )  # fmt: skip


def build_text_encoder(
    tokenizer: PreTrainedTokenizerFast, settings: TextEncoderSettings
) -> CLIPTextModel:
    """Build an encoder for this tokenizer, with random weights."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer), hidden_size=settings.width,
            intermediate_size=settings.width * 2, num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads, max_position_embeddings=settings.tokens,
            hidden_act="gelu", pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        )
    )  # fmt: skip


class FactHeads(nn.Module):
    """One linear classifier for each slot of the facts, read off the mean and the end token."""

    def __init__(self, facts: list[tuple[str, ...]], width: int) -> None:
        super().__init__()
        self.labels = [sorted({f[slot] for f in facts}) for slot in range(len(facts[0]))]
        self.heads = nn.ModuleList(nn.Linear(2 * width, len(names)) for names in self.labels)

    def targets(self, facts: list[tuple[str, ...]]) -> torch.Tensor:
        """Return (N, slots) label numbers."""
        return torch.tensor([[self.labels[k].index(v) for k, v in enumerate(f)] for f in facts])

    def forward(
        self, features: torch.Tensor, end: torch.Tensor, keep: torch.Tensor
    ) -> list[torch.Tensor]:
        """Logits a slot from features (N, L, D), the end token's place (N,), real tokens (N, L)."""
        mean = (features * keep[..., None]).sum(1) / keep.sum(1, keepdim=True)
        last = features[torch.arange(len(features)), end]
        return [head(torch.cat([mean, last], dim=-1)) for head in self.heads]


def train_text_encoder(folder: Path, settings: TextEncoderSettings) -> dict[str, float]:
    """Write `folder/tokenizer` and `folder/text_encoder`; returns how well facts are recovered."""
    torch.manual_seed(settings.seed)
    known = corpus(settings.stages)
    tokenizer = train_tokenizer(list(known), settings)
    encoder = build_text_encoder(tokenizer, settings)
    facts = list(known.values())
    heads = FactHeads(facts, settings.width)
    batch = tokenizer(list(known), padding="max_length", truncation=True, return_tensors="pt",
                      max_length=settings.tokens)
    ids, keep = batch["input_ids"], batch["attention_mask"].float()
    end = (ids == tokenizer.eos_token_id).int().argmax(1)
    if not (ids == tokenizer.eos_token_id).any(1).all():
        raise ValueError(f"a prompt is longer than {settings.tokens} tokens")
    targets = heads.targets(facts)
    loss = _fit(encoder, heads, (ids, end, keep), targets, settings)
    encoder.eval()
    with torch.no_grad():
        logits = heads(encoder(ids).last_hidden_state, end, keep)
        right = torch.stack([x.argmax(1) for x in logits], 1) == targets
    with replacing_folder(folder / "tokenizer") as temporary:
        tokenizer.save_pretrained(temporary)
    with replacing_folder(folder / "text_encoder") as temporary:
        encoder.save_pretrained(temporary)
    return {
        "sentences": len(known),
        "tokens": float(keep.sum(1).max()),
        "right": float(right.all(1).float().mean()),
        "loss": loss,
    }


def _fit(
    encoder: nn.Module, heads: FactHeads, prompts: tuple[torch.Tensor, ...], targets: torch.Tensor,
    settings: TextEncoderSettings,
) -> float:  # fmt: skip
    """Train to tell the facts of prompts (ids, end, keep); returns the last step's loss."""
    optimizer = torch.optim.AdamW([*encoder.parameters(), *heads.parameters()], lr=settings.rate)
    generator = torch.Generator().manual_seed(settings.seed)
    for step in range(settings.steps):
        chosen = torch.randint(len(targets), (256,), generator=generator)
        ids, end, keep = (values[chosen] for values in prompts)
        logits = heads(encoder(ids).last_hidden_state, end, keep)
        losses = [nn.functional.cross_entropy(x, targets[chosen, k]) for k, x in enumerate(logits)]
        loss = torch.stack(losses).sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"text encoder loss is {loss.item()} at step {step}")
    return float(loss.detach())
