"""What a model was trained on is kept beside it, so that a request outside of it gets a kind note.

`familiar.json` in the model's folder holds the words of its sentences and how well its autoencoder
brings back a picture of its world. Photographs come back worse: the limit measured on 240 drawn
pictures, 26.3 dB, tells 41 of 42 pictures of TI2V-Bench from them.

Shape letters: B batch, H W pixels.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from motifocal.files.atomic import replacing
from motifocal.files.json_text import parse_json
from motifocal.media.picture import Pixels
from motifocal.media.video import to_tensor
from motifocal.models.autoencoder import decode, encode
from motifocal.scenes.render import first_picture
from motifocal.scenes.stage import SCENARIOS, make_stage

FILE = "familiar.json"
MARGIN = 0.5  # dB under the worst of the measured pictures
WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")  # \u2019: the typographic apostrophe


@dataclass(frozen=True)
class Familiar:
    """The words a model has read, lower case, and the least PSNR, in dB, of a familiar picture."""

    words: frozenset[str]
    least_psnr: float


def read_familiar(folder: Path) -> Familiar | None:
    """What is kept in a model's folder; None where nothing is.

    Raises ValueError for a file that does not hold the two entries.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    kept = parse_json(path.read_text(encoding="utf-8"))
    words, least = kept.get("words"), kept.get("least_psnr")
    if not isinstance(words, list) or not isinstance(least, int | float):
        raise ValueError(f"{path} should hold words and least_psnr, got {sorted(kept)}")
    return Familiar(frozenset(words), float(least))


def write_familiar(folder: Path, familiar: Familiar) -> None:
    """Keep it in a model's folder."""
    kept = {"least_psnr": familiar.least_psnr, "words": sorted(familiar.words)}
    with replacing(folder / FILE) as temporary:
        temporary.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def words_of(sentence: str) -> list[str]:
    """The distinct words of a sentence, lower case, in order."""
    return list(dict.fromkeys(WORD.findall(sentence.lower())))


def reconstruction_psnr(autoencoder: AutoencoderKL, picture: Pixels) -> float:
    """PSNR in dB of `(H, W, 3)` uint8 after encoding and decoding; infinite where nothing is lost.

    H and W divide by the autoencoder's downsampling factor.
    """
    video = to_tensor(picture[None])[None].to(autoencoder.device)
    made = decode(autoencoder, encode(autoencoder, video, 1), 1).clamp(-1, 1)
    error = float(((made.float() - video) / 2).square().mean())
    return -10 * math.log10(error) if error > 0 else math.inf


def notes(
    familiar: Familiar, autoencoder: AutoencoderKL, picture: Pixels, sentences: Sequence[str]
) -> list[str]:
    """One line for words that the model never read and one for a picture unlike those it saw."""
    found = []
    unknown = [w for w in words_of(" ".join(sentences)) if w not in familiar.words]
    if unknown:
        listed = ", ".join(unknown[:8]) + (", ..." if len(unknown) > 8 else "")
        found.append(f"this model knows {len(familiar.words)} words; it has never read: {listed}")
    if reconstruction_psnr(autoencoder, picture) < familiar.least_psnr:
        found.append(
            "this picture is not of the synthetic scenes that the model was trained on; the result "
            "may be nonsense"
        )
    return found


def measure_drawn_world(
    autoencoder: AutoencoderKL, size: int, stages: int = 120, pictures: int = 16
) -> Familiar:
    """What a model of the drawn world knows.

    Args:
        autoencoder: the model's.
        size: side of its pictures in pixels.
        stages: training stages of each scenario whose sentences are read.
        pictures: evaluation pictures of each scenario that are brought back; the least PSNR is
            that of the worst, less a margin of 0.5 dB.
    """
    actions = [
        action
        for scenario in SCENARIOS
        for seed in range(stages)
        for action in make_stage(scenario, "train", seed).actions
    ]
    read = " ".join(text for action in actions for text in (action.sentence, *action.paraphrases))
    seen = [
        reconstruction_psnr(autoencoder, first_picture(make_stage(scenario, "eval", seed), size))
        for scenario in SCENARIOS
        for seed in range(pictures)
    ]
    return Familiar(frozenset(words_of(read)), round(min(seen) - MARGIN, 1))
