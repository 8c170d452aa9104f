"""How well an autoencoder reconstructs images of the synthetic scenes: a table of docs/scenes.md.

    .venv/bin/python scripts/autoencoder_study.py           the autoencoder of the bundled model
    .venv/bin/python scripts/autoencoder_study.py MODEL     that of another model folder

prints the PSNR of standard and hard images at 64 and 128 pixels, the mean over the first evaluation
image of each scenario.
"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from heatmap_study import markdown

from motifocal.media.picture import Pixels
from motifocal.media.video import to_frames, to_tensor
from motifocal.metrics import psnr
from motifocal.models.autoencoder import decode, encode
from motifocal.models.pipeline import BUNDLED
from motifocal.scenes.render import first_image
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.variant import SceneVariant
from motifocal.training.run_folder import load_vae

SIZES = (64, 128)  # pixels
VARIANTS = {"standard": SceneVariant(), "hard": SceneVariant(difficulty="hard")}
CHUNK = 4  # images that are encoded at once


def images(variant: SceneVariant, size: int) -> Pixels:
    """The first evaluation image of each scenario, (N, size, size, 3)."""
    return np.stack([first_image(make_stage(scenario, "eval", 0, variant), size)
                     for scenario in sorted(SCENARIOS)])


def reconstructed(autoencoder: AutoencoderKL, pictures: Pixels) -> Pixels:
    """The images (N, H, W, 3), encoded and decoded."""
    latents = encode(autoencoder, to_tensor(pictures)[None], CHUNK)
    return to_frames(decode(autoencoder, latents, CHUNK)[0])


def mean_psnr(autoencoder: AutoencoderKL, pictures: Pixels) -> float:
    """The mean over images of the PSNR of their reconstructions, in dB."""
    pairs = zip(pictures, reconstructed(autoencoder, pictures), strict=True)
    return float(np.mean([psnr(picture, again) for picture, again in pairs]))


@click.command(help=__doc__.partition("\n")[0] if __doc__ else None)
@click.argument("model", default=BUNDLED,
                type=click.Path(path_type=Path, exists=True, file_okay=False))
def main(model: Path) -> None:
    autoencoder = load_vae(model)
    rows = [(name, str(len(SCENARIOS)),
             *(f"{mean_psnr(autoencoder, images(variant, size)):.1f} dB" for size in SIZES))
            for name, variant in VARIANTS.items()]
    print(markdown(("images", "number", *(f"{size} pixels" for size in SIZES)), rows))


if __name__ == "__main__":
    main()
