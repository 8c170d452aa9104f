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
    "inspect": ("inspect", "inspect", "Check training clips: faults, frames, how much moves."),
    "prepare": ("prepare", "prepare", "Encode captioned clips once, for `train`."),
    "train": ("train", "train", "Train a LoRA, or Motifocal's own network, with the loss."),
    "animate": ("animate", "animate", "Animate an image as one or more prompts say."),
    "heatmap": ("heatmap", "heatmap", "Write motion heatmaps and overlays of clips."),
    "export": ("export", "export", "Write motion weights as files, for other trainers."),
    "weights": ("weights", "weights", "Add motion weights to the latents that a trainer cached."),
    "latents": ("latents", "latents", "Measure which frames each latent of a model covers."),
    "bench": ("bench", "bench", "Compare models: TI2V-Bench, scores, judges, a gallery."),
    "study": ("study", "study", "Ask people which of two videos is better, and why."),
    "scenes": ("scenes", "scenes", "Synthetic scenes: preview, export, score models on them."),
    "base": ("base", "base", "Train autoencoder and text encoder of the synthetic scenes."),
    "figure6": ("figure6", "figure6", "Loss in the moving region over mean loss, per timestep."),
    "bundle": ("bundle", "bundle", "Make a model folder of a run of Motifocal's own network."),
    "import": ("import_", "import_", "Convert released weights to a Motifocal folder."),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="For a LoRA of an open model run inspect, prepare, train and animate, in this order. "
           "Each command's --help ends with examples.",
)
@click.version_option(__version__, prog_name="motifocal")
def cli() -> None:
    """Train image-to-video models with the motion focal loss of MotiF (CVPR 2025), and compare
    them on TI2V-Bench.
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
