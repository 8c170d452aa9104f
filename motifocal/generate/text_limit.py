"""Find how much of a prompt a model folder's pipeline reads before it truncates."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
from transformers import PreTrainedTokenizerBase
from transformers.processing_utils import ProcessorMixin

from motifocal.generate.families.registry import class_of
from motifocal.models.folder import load_text_limit, load_tokenizer
from motifocal.models.folder_files import INDEX, PIPELINE, read_index
from motifocal.models.text_limit import TextLimit


def limit_of_folder(folder: Path) -> TextLimit | None:
    """Return the limit of a Motifocal or diffusers model folder, or of one for `motifocal train`.

    Only the tokenizer is loaded. None for a model that reads no prompt.

    Raises:
        ValueError: the folder is no model of these, or its tokenizer cannot be read.
    """
    if (folder / INDEX).exists():
        index = read_index(folder)
        if index.get("_class_name") != PIPELINE:
            kind = getattr(diffusers, class_of(index, str(folder)))
            tokenizer = load_tokenizer(folder) if "tokenizer" in index else None
            return limit_of_class(kind, tokenizer, {})
    return load_text_limit(folder)


def limit_of_class(
    kind: type, tokenizer: PreTrainedTokenizerBase | ProcessorMixin | None, call: Mapping[str, Any]
) -> TextLimit | None:
    """The limit of a pipeline class of diffusers that is called with the arguments `call`."""
    # Kandinsky has a processor in the tokenizer's place, which reads pictures too.
    text: PreTrainedTokenizerBase | None = (
        tokenizer.tokenizer if isinstance(tokenizer, ProcessorMixin) else tokenizer
    )
    if text is None:
        return None
    parameters = inspect.signature(kind.__call__).parameters
    arguments = {name: parameter.default for name, parameter in parameters.items()} | dict(call)
    tokens = arguments.get("max_sequence_length", text.model_max_length)
    template = arguments.get("prompt_template")
    if template is None:
        return TextLimit(text, tokens)
    # HunyuanVideo: instructions stand before the prompt and are cut off after encoding.
    prefix = template["template"].partition("{}")[0]
    return TextLimit(text, tokens + template["crop_start"], prefix)
