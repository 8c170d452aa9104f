"""The command group `motifocal`: names and help lines here, each command's code loaded when called.

Help has to answer at once, so this file imports nothing but click; torch and its friends stay
inside the command modules.
"""

from __future__ import annotations

import sys

import click

from motifocal import __version__
from motifocal.cli.lazy import LazyGroup, Table
from motifocal.extras import missing_extra

COMMANDS: Table = {
    "animate": ("animate", "animate", "Animate an image as one or more prompts say."),
    "heatmap": ("heatmap", "heatmap", "Write motion heatmaps and overlays of clips."),
    "inspect": ("inspect", "inspect", "A doctor for video data: what is in it, what is wrong."),
    "export": ("export", "export", "Motion weights as files, for trainers that read such."),
    "weights": ("weights", "weights", "Motion weights beside a trainer's cached latents."),
    "latents": ("latents", "latents", "Read which frames a model's latents cover off the model."),
    "scenes": ("scenes", "scenes", "Synthetic scenes: preview, export, score models on them."),
    "bench": ("bench", "bench", "TI2V-Bench: run any model on it, check, score, look at it."),
    "study": ("study", "study", "Ask people which of two videos is better, and why."),
    "base": ("base", "base", "Train autoencoder and text encoder of the synthetic scenes."),
    "prepare": ("prepare", "prepare", "Turn captioned clips into shards of latents and heatmaps."),
    "train": ("train", "train", "Train a denoiser with the motion focal loss."),
    "figure6": ("figure6", "figure6", "Loss in the moving region over mean loss, per timestep."),
    "import": ("import_", "import_", "Turn released weights into a Motifocal folder."),
    "bundle": ("bundle", "bundle", "Put a trained run together as one model folder."),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Try: motifocal animate picture.png "the blue balloon dips down" -o balloon.mp4',
)
@click.version_option(__version__, prog_name="motifocal")
def cli() -> None:
    """Motifocal: image animation that listens to the prompt.

    The motion focal loss of MotiF (CVPR 2025), its heatmaps, a small bundled model, and
    synthetic scenes with exact ground truth to measure on.
    """


def main() -> None:
    """Run the command line; ValueError, OSError and a missing extra give one line and exit 1."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except ModuleNotFoundError as error:
        line = missing_extra(error)
        if line is None:
            raise
        click.echo(f"motifocal: {line}", err=True)
        sys.exit(1)
    except (ValueError, OSError, FloatingPointError) as error:
        click.echo(f"motifocal: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
