"""Judge by a vision-language model of transformers, from a folder or the hub.

Letters: B queries, N frames of a query, V tokens of the vocabulary.

The frames go in as images, each by the model's own image processor (Pillow), in one message with
the text; P(yes) is read off the logits of the first token of the answer. Nothing is generated, no
code of the model's is run, and video processors, which need torchvision, are not used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES

from motifocal.bench.judge.judge import Answer, Failure, Query, answer_of, form_of
from motifocal.bench.score.learned import found_folder, move
from motifocal.files.atomic import sha256_of
from motifocal.models.folder import bars_on_a_terminal, loading_errors

FILES = ("*.json", "*.txt", "*.jinja", "*.model", "model*.safetensors")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class VisionLanguageJudge:
    """Any image-text-to-text model of transformers: Qwen2.5-VL, Qwen3-VL, InternVL, SmolVLM2, ...

    Raises ValueError for what is no such model, weights that are no safetensors or not all there,
    and a model without a chat template; `ask` does for more tokens than the model has positions.
    """

    def __init__(
        self, location: str, *, device: str = "cpu", precision: str = "float32", batch: int = 1
    ) -> None:
        folder = found_folder(location, FILES)
        self.batch = batch
        with loading_errors(location), bars_on_a_terminal():
            self._processor = _processor(folder)
            self._model = _model(folder, PRECISIONS[precision])
        if not self._processor.chat_template:
            raise ValueError(f"{location} should have a chat template, got none")
        move(self._model, device)
        self.name = Path(location).name if Path(location).is_dir() else location
        self.identity: Mapping[str, Any] = {
            "judge": "transformers", "model": self.name, "files": _fingerprint(folder),
            "precision": precision, "transformers": transformers.__version__}
        # A frame as one image: a dozen parts of each would leave no room for the frames. What
        # LLaVA-NeXT calls image_grid_pinpoints cannot be switched off: its network counts on them.
        self._whole = {name: False for name in ("do_image_splitting", "crop_to_patches")
                       if hasattr(self._processor.image_processor, name)}
        tokenizer = self._processor.tokenizer
        # Every token that reads yes or no, whatever its case and spaces.
        self._forms = [token for token in range(len(tokenizer))
                       if form_of(tokenizer.decode([token])) is not None]
        self._words = [tokenizer.decode([token]) for token in self._forms]

    def ask(self, queries: Sequence[Query]) -> list[Answer | Failure]:
        """Answer every query; they go through the network together."""
        probabilities = self._first_token([_message(query) for query in queries])
        likeliest = probabilities.max(-1)
        answers = []
        for row, most, token in zip(probabilities, likeliest.values, likeliest.indices,
                                    strict=True):  # fmt: skip
            pairs = [(word, float(row[form])) for word, form in
                     zip(self._words, self._forms, strict=True)]
            if int(token) not in self._forms:
                pairs.append((self._processor.tokenizer.decode([int(token)]), float(most)))
            answers.append(answer_of(pairs))
        return answers

    @torch.inference_mode()
    def _first_token(self, messages: Sequence[list[dict[str, Any]]]) -> torch.Tensor:
        """Return the probabilities (B, V) of the first token of each answer, in float64."""
        # The method of the base class: that of some models asks for a video processor.
        inputs: Any = transformers.ProcessorMixin.apply_chat_template(
            self._processor, list(messages), tokenize=True, add_generation_prompt=True,
            return_dict=True, return_tensors="pt",
            processor_kwargs={"padding": True, "images_kwargs": self._whole})
        self._check_length(inputs["input_ids"].shape[1], len(messages[0][0]["content"]) - 1)
        inputs = inputs.to(self._model.device, self._model.dtype)
        logits = self._model(**inputs, logits_to_keep=1).logits[:, -1]
        return torch.softmax(logits.cpu().double(), -1)

    def _check_length(self, tokens: int, frames: int) -> None:
        """Raise ValueError for more tokens than positions: what is answered then is noise."""
        most = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        if most is not None and tokens > most:
            raise ValueError(f"a question should have at most {most} tokens for {self.name}, got "
                             f"{tokens} with {frames} frames; give fewer --frames")


def _message(query: Query) -> list[dict[str, Any]]:
    images = [{"type": "image", "image": Image.fromarray(frame)} for frame in query.frames]
    return [{"role": "user", "content": [*images, {"type": "text", "text": query.text}]}]


def _processor(folder: Path) -> Any:
    """Load a processor for text and images; padding goes to the left, so that the answer is last.
    """
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    name = PROCESSOR_MAPPING_NAMES.get(config.model_type)
    if name is None:
        raise ValueError(f"a {config.model_type} takes no images and text")
    processor: Any = _images_only(getattr(transformers, name)).from_pretrained(
        folder, trust_remote_code=False)
    # Pillow everywhere: with torchvision installed the same frame would differ slightly.
    processor.image_processor = transformers.AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False)
    processor.tokenizer.padding_side = "left"
    return processor


def _images_only(kind: Any) -> Any:
    """Return the class of processors without a video processor, None where one insists on it."""
    every = kind.get_attributes()
    attributes = [part for part in every if part != "video_processor"]

    def made(cls: Any, parts: Sequence[Any], settings: dict[str, Any], **more: Any) -> Any:
        named = dict(zip(attributes, parts, strict=True))
        return kind.from_args_and_dict.__func__(cls, [named.get(part) for part in every], settings,
                                                **more)

    return type(kind.__name__, (kind,), {
        "get_attributes": classmethod(lambda cls: attributes),
        "from_args_and_dict": classmethod(made)})


def _model(folder: Path, precision: torch.dtype) -> Any:
    kind: Any = transformers.AutoModelForImageTextToText
    model, info = kind.from_pretrained(
        folder, use_safetensors=True, dtype=precision, trust_remote_code=False,
        output_loading_info=True)
    if info["missing_keys"]:
        raise ValueError(f"it lacks {', '.join(sorted(info['missing_keys'])[:3])}")
    return model.eval()


def _fingerprint(folder: Path) -> str:
    """Hash the files that decide what a model computes."""
    files = sorted({path for pattern in FILES for path in folder.glob(pattern)})
    content = json.dumps([[path.name, sha256_of(path)] for path in files])
    return hashlib.sha256(content.encode()).hexdigest()
