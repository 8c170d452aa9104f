"""Check whether a request is in the domain that a model was trained on.

`familiar.json` in the model's folder holds the words of the training prompts and the least
reconstruction PSNR of the autoencoder on in-domain images. Photographs are reconstructed worse: the
limit measured on 240 images of the synthetic scenes, 26.3 dB, tells 41 of 42 images of TI2V-Bench
from them.

H W pixels.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from motifocal.files.atomic import write_text
from motifocal.files.json_text import read_json_object
from motifocal.media.picture import Pixels
from motifocal.media.video import to_tensor
from motifocal.models.autoencoder import computing_device, decode, encode
from motifocal.scenes.render import first_image
from motifocal.scenes.stage import SCENARIOS, make_stage

FILE = "familiar.json"
MARGIN = 0.5  # dB under the worst of the measured images
WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")  # \u2019: the typographic apostrophe


@dataclass(frozen=True)
class Domain:
    """Words of the training prompts, lower case, and least PSNR, in dB, of an in-domain image."""

    words: frozenset[str]
    least_psnr: float


def read_domain(folder: Path) -> Domain | None:
    """Return the domain stored in a model's folder, or None.

    Raises ValueError for a file that does not hold the two entries.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    entries = read_json_object(path)
    words, least = entries.get("words"), entries.get("least_psnr")
    if (isinstance(words, list) and all(isinstance(word, str) for word in words)
            and isinstance(least, int | float)):  # fmt: skip
        return Domain(frozenset(words), float(least))
    raise ValueError(f"{path} should hold words and least_psnr, got {sorted(entries)}")


def write_domain(folder: Path, domain: Domain) -> None:
    """Store the domain in a model's folder."""
    entries = {"least_psnr": domain.least_psnr, "words": sorted(domain.words)}
    write_text(folder / FILE, json.dumps(entries, indent=1) + "\n")


def words_of(prompt: str) -> list[str]:
    """Return the distinct words of a prompt, lower case, in order."""
    return list(dict.fromkeys(WORD.findall(prompt.lower())))


def reconstruction_psnr(autoencoder: AutoencoderKL, image: Pixels) -> float:
    """Return the PSNR in dB of an (H, W, 3) uint8 image that is encoded and decoded, perhaps inf.

    H and W divide by the autoencoder's downsampling factor.
    """
    video = to_tensor(image[None])[None].to(computing_device(autoencoder))
    decoded = decode(autoencoder, encode(autoencoder, video, 1), 1).clamp(-1, 1)
    error = float(((decoded.float() - video) / 2).square().mean())
    return -10 * math.log10(error) if error > 0 else math.inf


def domain_notes(
    domain: Domain, autoencoder: AutoencoderKL, image: Pixels, prompts: Sequence[str]
) -> list[str]:
    """Return one line for words outside of the domain and one for an (H, W, 3) image outside."""
    lines = []
    unknown = [word for word in words_of(" ".join(prompts)) if word not in domain.words]
    if unknown:
        listed = ", ".join(unknown[:8]) + (", ..." if len(unknown) > 8 else "")
        lines.append(f"this model knows {len(domain.words)} words; it has never read: {listed}")
    if reconstruction_psnr(autoencoder, image) < domain.least_psnr:
        lines.append(
            "this image is not of the synthetic scenes that the model was trained on; the result "
            "may be nonsense"
        )
    return lines


def measure_synthetic_scenes(
    autoencoder: AutoencoderKL, size: int, stages: int = 120, images: int = 16
) -> Domain:
    """Measure the domain of a model that was trained on the synthetic scenes.

    Args:
        autoencoder: the model's.
        size: side of its images in pixels.
        stages: training stages of each scenario whose prompts are read.
        images: evaluation images of each scenario that are reconstructed; the least PSNR is that
            of the worst, less a margin of 0.5 dB.
    """
    actions = [
        action
        for scenario in SCENARIOS
        for seed in range(stages)
        for action in make_stage(scenario, "train", seed).actions
    ]
    prompts = [text for action in actions for text in (action.sentence, *action.paraphrases)]
    psnrs = [
        reconstruction_psnr(autoencoder, first_image(make_stage(scenario, "eval", seed), size))
        for scenario in SCENARIOS
        for seed in range(images)
    ]
    return Domain(frozenset(words_of(" ".join(prompts))), round(min(psnrs) - MARGIN, 1))
