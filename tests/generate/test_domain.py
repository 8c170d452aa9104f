"""Notes appear for what a model never saw, and only for that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import cpu_offload, cpu_offload_with_hook
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from tiny_model import tiny_autoencoder

from motifocal.generate.domain import (
    FILE,
    MARGIN,
    Domain,
    domain_notes,
    measure_synthetic_scenes,
    read_domain,
    reconstruction_psnr,
    words_of,
    write_domain,
)
from motifocal.media.video import to_tensor
from motifocal.models.autoencoder import computing_device, decode, encode
from motifocal.scenes.render import first_image
from motifocal.scenes.stage import SCENARIOS, make_stage


@pytest.fixture(scope="module")
def autoencoder() -> AutoencoderKL:
    return tiny_autoencoder()


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def test_words_are_lower_case_distinct_and_without_punctuation() -> None:
    said = "The blue balloon, the BLUE one: isn't it 2-coloured?"
    assert words_of(said) == ["the", "blue", "balloon", "one", "isn't", "it", "2", "coloured"]
    assert words_of("?! ...") == []


def test_the_psnr_is_that_of_eight_bit_pictures(
    autoencoder: AutoencoderKL, picture: np.ndarray
) -> None:
    video = to_tensor(picture[None])[None]
    made = decode(autoencoder, encode(autoencoder, video, 1), 1).clamp(-1, 1)
    levels = (made - video).mul(127.5).square().mean()
    expected = 10 * torch.log10(255**2 / levels)
    assert reconstruction_psnr(autoencoder, picture) == pytest.approx(float(expected), abs=1e-3)


def test_a_request_in_the_domain_gets_no_note(
    autoencoder: AutoencoderKL, picture: np.ndarray
) -> None:
    known = Domain(frozenset({"the", "car", "stops"}), least_psnr=-99.0)
    assert domain_notes(known, autoencoder, picture, ["The car stops.", "the car"]) == []


def test_unknown_words_are_named_once(autoencoder: AutoencoderKL, picture: np.ndarray) -> None:
    known = Domain(frozenset({"the", "car"}), least_psnr=-99.0)
    found = domain_notes(known, autoencoder, picture, ["the car flies", "the dragon flies"])
    assert found == ["this model knows 2 words; it has never read: flies, dragon"]
    (many,) = domain_notes(known, autoencoder, picture, ["a b c d e f g h i j"])
    assert many.endswith("a, b, c, d, e, f, g, h, ...")


def test_a_picture_that_comes_back_badly_is_told_in_words_for_everybody(
    autoencoder: AutoencoderKL, picture: np.ndarray
) -> None:
    psnr = reconstruction_psnr(autoencoder, picture)
    known = Domain(frozenset({"car"}), least_psnr=psnr + 3)
    (found,) = domain_notes(known, autoencoder, picture, ["car"])
    assert found == (
        "this image is not of the synthetic scenes that the model was trained on; the result may "
        "be nonsense"
    )


def test_an_autoencoder_that_is_offloaded_is_measured_where_it_computes(
    picture: np.ndarray,
) -> None:
    psnr, offloaded = reconstruction_psnr(tiny_autoencoder(), picture), tiny_autoencoder()
    cpu_offload(offloaded, torch.device("cpu"))
    assert offloaded.device.type == "meta"  # its weights are nowhere until they are used
    assert reconstruction_psnr(offloaded, picture) == psnr
    waiting = tiny_autoencoder()
    cpu_offload_with_hook(waiting, torch.device("meta"))
    assert (waiting.device.type, computing_device(waiting).type) == ("cpu", "meta")


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    assert read_domain(tmp_path) is None
    known = Domain(frozenset({"the", "car"}), 25.5)
    write_domain(tmp_path, known)
    assert read_domain(tmp_path) == known


@pytest.mark.parametrize(("text", "words"), [
    ('{"words": ["car"]}', r"should hold words and least_psnr, got \['words'\]"),
    ('{"words": [["car"]], "least_psnr": 20}', "should hold words and least_psnr"),
    ("[]", "should hold an object, got list"), ("{", "should be JSON"),
])  # fmt: skip
def test_a_file_without_its_entries_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=f"{FILE} {words}"):
        read_domain(tmp_path)


def test_the_synthetic_scenes_are_in_the_domain_that_is_measured_on_them(
    autoencoder: AutoencoderKL,
) -> None:
    known = measure_synthetic_scenes(autoencoder, size=16, stages=1, images=1)
    stages = [make_stage(scenario, "train", 0) for scenario in SCENARIOS]
    sentences = [action.sentence for stage in stages for action in stage.actions]
    assert {"balloon", "fish", "the"} <= known.words
    assert "camera" not in known.words
    worst = np.inf
    for scenario in SCENARIOS:
        drawn = first_image(make_stage(scenario, "eval", 0), 16)
        assert domain_notes(known, autoencoder, drawn, sentences) == []
        worst = min(worst, reconstruction_psnr(autoencoder, drawn))
    assert known.least_psnr == pytest.approx(worst - MARGIN, abs=0.051)
