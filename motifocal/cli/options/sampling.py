"""Options that say how a model samples, and what they come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from motifocal.cli.options.device import AUTO, PRECISIONS, Device, chosen_device
from motifocal.cli.options.renamed import old_option
from motifocal.cli.options.size import Size
from motifocal.files.json_text import parse_json

if TYPE_CHECKING:
    from motifocal.generate.model import Sampling

F = TypeVar("F", bound=Callable[..., Any])

MODELS = "[default: what the model is made for]"


def parse_extra(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, Any]:
    """("a=1", "b=text") -> {"a": 1, "b": "text"}: JSON where it is JSON, else text."""
    found: dict[str, Any] = {}
    for text in value:
        key, equals, written = text.partition("=")
        if not (equals and key.isidentifier()):
            raise click.BadParameter(f"should be KEY=VALUE, got {text}")
        try:
            found[key] = parse_json(written)
        except ValueError:  # plain words need no quotes
            found[key] = written
    return found


def sampling_options(command: F) -> F:
    """--steps ... --extra, as `sampling_of` takes them; all None or empty where not given."""
    for option in reversed((
        click.option("--steps", type=click.IntRange(1, 1000), help=f"Denoising steps.  {MODELS}"),
        click.option("--guidance", type=click.FloatRange(0, 100),
                     help=f"How much the sentence counts; 1 is no guidance.  {MODELS}"),
        click.option("--frames", type=click.IntRange(1, 1000), help=MODELS),
        click.option("--size", type=Size(), metavar="HEIGHTxWIDTH", help=MODELS),
        click.option("--fps", type=click.FloatRange(1, 120), help=MODELS),
        click.option("--negative-prompt", metavar="TEXT", help="What should not be seen.  "
                     "[default: the model's own]"),
        click.option("--device", type=Device(), metavar="DEVICE",
                     help="Where to compute: cpu, cuda, cuda:1, mps; auto takes an accelerator if "
                     "there is one.  [default: auto]"),
        click.option("--precision", type=click.Choice(PRECISIONS),
                     help="What to compute in.  [default: float32]"),
        old_option("--dtype", "--precision", "precision"),
        click.option("--offload", type=click.Choice(["none", "model", "sequential"]),
                     help="Keep parts of the model off the accelerator while they are not needed: "
                     "less memory, slower.  [default: none]"),
        click.option("--extra", multiple=True, metavar="KEY=VALUE", callback=parse_extra,
                     help="What else goes into the pipeline's call, e.g. motion_bucket_id=180; "
                     "repeatable."),
    )):
        command = option(command)
    return command


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given."""
    return {key: value for key, value in options.items() if value is not None and value != {}}


def sampling_of(options: Mapping[str, Any]) -> Sampling:
    """The options as a model takes them; says on stderr which device they come to."""
    from motifocal.generate.model import Sampling

    said = given(options)
    if "precision" in said:
        said["dtype"] = said.pop("precision")
    said["device"] = chosen_device(said.get("device", AUTO))
    return Sampling(**said)
