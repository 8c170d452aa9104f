"""Score clips with learned weights: CLIP's alignments, DINO's consistencies.

Letters: F frames, U different images, D features, H W pixels. The models are transformers' own
classes from a local folder or the hub: safetensors only, no code of the model's, float32. Each
image goes through the model's own image processor (Pillow), and equal frames are looked at once.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import transformers
from huggingface_hub import snapshot_download

from motifocal.bench.score.clip import ClipFeatures, Learned, Numbers
from motifocal.bench.score.measures import Measure, read_measures
from motifocal.files.atomic import sha256_of
from motifocal.files.hub import hub_errors
from motifocal.media.arrays import Frames
from motifocal.media.picture import one_line
from motifocal.models.folder import loading_errors
from motifocal.models.text_limit import TextLimit

Features = npt.NDArray[np.float32]

FILES = ("*.json", "*.txt", "model*.safetensors")
BATCH = 16  # images in one pass
DINO_KINDS = ("vit", "dinov2", "dinov2_with_registers", "dinov3_vit")

CLIP_MEASURES = read_measures(("clip_image_alignment", "clip_text_alignment"))
DINO_MEASURES = read_measures(("dino_subject_consistency", "dino_image_consistency"))


@dataclass(frozen=True)
class Vision:
    """An image tower with its processor, and what names them: the hash of files and device."""

    model: Any
    processor: Any
    fingerprint: str
    source: str

    def embed(self, images: Sequence[npt.NDArray[np.uint8]]) -> Features:
        """Return features of length 1, (len(images), D), of (H, W, 3) uint8 images of one size.

        Equal images are looked at once and get the very same features.
        """
        places: dict[bytes, int] = {}
        where = [places.setdefault(image.tobytes(), len(places)) for image in images]
        different = [images[where.index(place)] for place in range(len(places))]
        batches = [self._forward(different[at : at + BATCH])
                   for at in range(0, len(different), BATCH)]
        return np.asarray(torch.cat(batches).numpy()[where])

    @torch.inference_mode()
    def _forward(self, images: Sequence[npt.NDArray[np.uint8]]) -> torch.Tensor:
        # The size is not told from the shape, which fails for images of 3 rows.
        pixels = self.processor(list(images), return_tensors="pt",
                                input_data_format="channels_last")["pixel_values"]
        pixels = pixels.to(self.model.device, torch.float32)
        if isinstance(self.model, transformers.CLIPModel):
            features = self.model.get_image_features(pixel_values=pixels).pooler_output
        else:
            # The class token.
            features = self.model(pixel_values=pixels).last_hidden_state[:, 0]
        return torch.nn.functional.normalize(features, dim=-1).cpu()


class _OfImages(Learned):
    """What both have: an image tower, which one clip at a time goes through."""

    def __init__(self, location: str, kinds: Sequence[str], device: str) -> None:
        self._folder = found_folder(location)
        self._vision = _load(self._folder, location, kinds, device)
        self.fingerprint, self.source = self._vision.fingerprint, self._vision.source
        # One clip keeps all cores busy; several at once would only share them.
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Let another process load the same files, rather than send it the weights."""
        return type(self), (self.source, str(self._vision.model.device))

    def _features(self, frames: Frames, image: npt.NDArray[np.uint8]) -> Features:
        """Return features of length 1 of all frames, and last of the image: (F + 1, D)."""
        with self._lock:
            return self._vision.embed([*frames, image])


class ClipAlignment(_OfImages):
    """Image and text alignment as in Animate Bench, with any CLIP of transformers."""

    name = "clip"
    measures: Mapping[str, Measure] = CLIP_MEASURES

    def __init__(self, location: str, device: str = "cpu") -> None:
        super().__init__(location, ("clip",), device)
        with loading_errors(location):
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(
                self._folder, trust_remote_code=False)
        self._places = self._vision.model.config.text_config.max_position_embeddings
        self.text_limit = TextLimit(self._tokenizer, self._places)
        self._prompts: dict[str, Features] = {}

    def embed(self, frames: Frames, image: npt.NDArray[np.uint8],
              orders: Sequence[Sequence[int]]) -> list[ClipFeatures]:
        features = self._features(frames, image)
        features_by_order = []
        for order in orders:
            played = features[list(order)]
            alignment = float(_cosines(played, features[-1]).mean())
            # The mean of cosines with a prompt is the product of the mean with it.
            vector = [float(x) for x in played.mean(axis=0, dtype=np.float64)]
            features_by_order.append(ClipFeatures({"clip_image_alignment": alignment}, vector))
        return features_by_order

    def score_text(self, vector: Sequence[float], prompt: str) -> Numbers:
        if prompt not in self._prompts:
            self._prompts[prompt] = self._embed_prompt(prompt)
        words = self._prompts[prompt].astype(np.float64)
        return {"clip_text_alignment": float(np.asarray(vector) @ words)}

    @torch.inference_mode()
    def _embed_prompt(self, prompt: str) -> Features:
        model = self._vision.model
        tokens = self._tokenizer(
            prompt, truncation=True, return_tensors="pt",
            max_length=self._places,
        )["input_ids"].to(model.device)
        features = model.get_text_features(input_ids=tokens).pooler_output
        return np.asarray(torch.nn.functional.normalize(features, dim=-1)[0].cpu().numpy())


class DinoConsistency(_OfImages):
    """Subject consistency as in VBench and VBench-I2V, with a ViT, DINO, DINOv2 or DINOv3."""

    name = "dino"
    measures: Mapping[str, Measure] = DINO_MEASURES

    def __init__(self, location: str, device: str = "cpu") -> None:
        super().__init__(location, DINO_KINDS, device)

    def embed(self, frames: Frames, image: npt.NDArray[np.uint8],
              orders: Sequence[Sequence[int]]) -> list[ClipFeatures]:
        features = self._features(frames, image)
        return [ClipFeatures(consistency(features[list(order)], features[-1])) for order in orders]

    def score_text(self, vector: Sequence[float], prompt: str) -> Numbers:
        return {}


def consistency(frames: Features, image: Features) -> Numbers:
    """Return the measures of `DINO_MEASURES` from features of length 1: frames (F, D), image
    (D,)."""
    to_first = np.maximum(_cosines(frames[1:], frames[0]), 0)
    to_previous = np.maximum(_cosines(frames[1:], frames[:-1]), 0)
    likest = max(0.0, _cosines(frames, image).max())
    return {
        "dino_subject_consistency": float((to_first + to_previous).mean() / 2),
        "dino_image_consistency": float((likest + to_previous.mean()) / 2),
    }


def _cosines(a: Features, b: Features) -> npt.NDArray[np.float64]:
    """Return the cosines of features of length 1, row by row; exactly 1 where they are the same."""
    same = (a == b).all(axis=-1)
    return np.where(same, 1.0, (a.astype(np.float64) * b).sum(axis=-1).clip(-1, 1))


def found_folder(location: str, files: Sequence[str] = FILES) -> Path:
    """Return a model's local folder: the one given, or the hub's copy in the cache, of which
    `files` (patterns) are fetched if need be.

    Raises ValueError, in one line, where there is neither.
    """
    if Path(location).is_dir():
        return Path(location)
    with hub_errors(location):
        return Path(snapshot_download(location, allow_patterns=list(files)))


def _load(folder: Path, location: str, kinds: Sequence[str], device: str) -> Vision:
    """Load a model. Raise ValueError for another kind, pickled weights, or weights in part."""
    try:
        with loading_errors(location):
            model, processor = _loaded(folder, kinds)
    except ValueError as error:
        raise ValueError(f"{location} should hold one of {', '.join(kinds)} as safetensors, with "
                         f"its image processor: {one_line(error)[:200]}") from error
    move(model.eval(), device)
    return Vision(model, processor, _fingerprint(folder, device), location)


def move(model: Any, device: str) -> None:
    """Move a model to a device; ValueError, in one line, where it cannot be used here."""
    try:
        model.to(device)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise ValueError(f"{device} cannot be used here: {one_line(error)[:200]}") from error


def _loaded(folder: Path, kinds: Sequence[str]) -> tuple[Any, Any]:
    """Load the model and its image processor."""
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=False)
    if config.model_type not in kinds:
        raise ValueError(f"it is a {config.model_type}")
    extra = {"add_pooling_layer": False} if config.model_type == "vit" else {}
    kind: Any = transformers.CLIPModel if config.model_type == "clip" else transformers.AutoModel
    model, info = kind.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, trust_remote_code=False,
        output_loading_info=True, **extra,
    )  # fmt: skip
    if info["missing_keys"]:
        raise ValueError(f"it lacks {', '.join(sorted(info['missing_keys'])[:3])}")
    # Pillow everywhere: with torchvision installed the same image would differ slightly.
    processor = transformers.AutoImageProcessor.from_pretrained(
        folder, backend="pil", trust_remote_code=False)
    return model, processor


def _fingerprint(folder: Path, device: str) -> str:
    """Hash the files that decide what a model computes, and what it computes with."""
    digest = hashlib.sha256(json.dumps([device, torch.__version__, transformers.__version__])
                            .encode())
    for path in sorted({path for pattern in FILES for path in folder.glob(pattern)}):
        digest.update(f"{path.name} {sha256_of(path)}".encode())
    return digest.hexdigest()
