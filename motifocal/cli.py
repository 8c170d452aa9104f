"""The command group `motifocal`: names and help lines here, each command's code loaded when called.

Help has to answer at once, so this file imports nothing but click; torch and its friends stay
inside the command modules.
"""

from __future__ import annotations

import importlib
import sys

import click

from motifocal import __version__

#: name -> (module in motifocal.commands, its click command, one line of help)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "animate": ("animate", "animate", "Animate a picture as one or more sentences say."),
    "heatmap": ("heatmap", "heatmap", "Write motion heatmaps and overlays of clips."),
    "scenes": ("scenes", "scenes", "The drawn world: look at it, export it, score on it."),
    "base": ("base", "base", "Train the drawn world's autoencoder and text tower."),
    "prepare": ("prepare", "prepare", "Turn captioned clips into shards of latents and heatmaps."),
    "train": ("train", "train", "Train a denoiser with the motion focal loss."),
    "figure6": ("figure6", "figure6", "Loss in the moving region over mean loss, per timestep."),
    "import": ("import_", "import_", "Turn released weights into a Motifocal folder."),
    "bundle": ("bundle", "bundle", "Put a trained run together as one model folder."),
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and help, and imports one only to run it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"motifocal.commands.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, _, line) in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Try: motifocal animate picture.png "the blue balloon dips down" -o balloon.mp4',
)
@click.version_option(__version__, prog_name="motifocal")
def cli() -> None:
    """Motifocal: image animation that listens to the sentence.

    The motion focal loss of MotiF (CVPR 2025), its heatmaps, a small bundled model, and a drawn
    world with exact ground truth to measure on.
    """


def main() -> None:
    """Run the command line; a ValueError or OSError becomes one line and exit code 1."""
    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    except (ValueError, OSError, FloatingPointError) as error:
        click.echo(f"motifocal: {' '.join(str(error).split())}", err=True)
        sys.exit(1)
