"""Open the clips that a training is measured on beside those that it is trained on."""

from __future__ import annotations

from pathlib import Path

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from motifocal.data.shards import Shards
from motifocal.training.loop import Run, check_fit
from motifocal.training.measurement.figure6 import MOVING
from motifocal.training.processes import first_process_decides
from motifocal.training.run_folder import check_encoders

HELD_OUT_CLIPS, HELD_OUT_TIMES = 64, 5  # of a measurement; the first of the clips


def open_held_out(run: Run, vae: AutoencoderKL, folder: Path | None) -> Shards | None:
    """Open held-out shards, or None without a folder.

    Raises ValueError, now rather than when they are first measured, where the run's network cannot
    take them, where another autoencoder made them, and where nothing moves in those measured. Of
    several processes the first one raises it.
    """
    if folder is None:
        return None
    with first_process_decides(run.accelerator) as first:
        if first:
            try:
                _check(run, vae, Shards(folder))
            except ValueError as error:
                raise ValueError(f"--held-out {folder}: {error}") from error
    return Shards(folder)


def _check(run: Run, vae: AutoencoderKL, held_out: Shards) -> None:
    check_fit(run.settings, held_out, run.text.text_encoder.config.hidden_size)
    check_encoders(held_out, vae, run.image_encoder)
    clips = list(range(min(HELD_OUT_CLIPS, len(held_out))))
    if not (held_out.batch(clips).heatmap > MOVING).any():
        raise ValueError(f"something should move in the first {len(clips)} clips, but nothing does")
