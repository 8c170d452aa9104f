"""The autoencoder's training goes on where it was, and only as what it was begun as."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from motifocal.training.encoders.autoencoder import AutoencoderSettings, train_autoencoder
from motifocal.training.run_folder import fingerprint, load_vae

SETTINGS = AutoencoderSettings(
    size=16, channels=(8, 8), latent_channels=2, steps=4, batch=2, rate=1e-3, warmup=1, kl=1e-5,
    absolute=0.2, average=0.5, seed=0, save_every=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("unbroken")
    lines = list(train_autoencoder(folder, SETTINGS, workers=0))
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    return folder


def test_a_training_that_was_broken_off_comes_to_the_same_autoencoder(
    unbroken: Path, tmp_path: Path
) -> None:
    steps = train_autoencoder(tmp_path, SETTINGS, workers=0)
    assert [next(steps)["step"] for _ in range(3)] == [1, 2, 3]
    steps.close()
    rest = list(train_autoencoder(tmp_path, SETTINGS, workers=0))
    assert [line["step"] for line in rest] == [3, 4]
    assert fingerprint(load_vae(tmp_path)) == fingerprint(load_vae(unbroken))


def test_a_training_does_not_go_on_with_other_settings_or_another_decoder(
    unbroken: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"steps 4 \(not 8\); use the same settings"):
        next(train_autoencoder(unbroken, replace(SETTINGS, steps=8), workers=0))
    finished = load_vae(unbroken).requires_grad_(True)
    with pytest.raises(ValueError, match="says other decoder_of"):
        next(train_autoencoder(unbroken, SETTINGS, workers=0, finished=finished))
    assert list(train_autoencoder(unbroken, SETTINGS, workers=0)) == []
    before_the_first_checkpoint = train_autoencoder(tmp_path, SETTINGS, workers=0)
    next(before_the_first_checkpoint)
    before_the_first_checkpoint.close()
    assert next(train_autoencoder(tmp_path, replace(SETTINGS, seed=1), workers=0))["step"] == 1
