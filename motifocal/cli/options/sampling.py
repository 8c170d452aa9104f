"""Options for how a model samples, and the `Sampling` that they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import Size, parse_assignment, together
from motifocal.cli.options.device import AUTO, PRECISIONS, Device, chosen_device
from motifocal.cli.options.renamed import old_option

if TYPE_CHECKING:
    from motifocal.generate.model import Sampling

MODELS = "[default: the model's own]"


def parse_extra(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, Any]:
    """("a=1", "b=text") -> {"a": 1, "b": "text"}; keys are names of arguments."""
    extra = dict(parse_assignment(text) for text in value)
    for key in extra:
        if not key.isidentifier():
            raise click.BadParameter(f"should be KEY=VALUE, got {key!r} as a key")
    return extra


#: --steps ... --extra, as `sampling_of` takes them; all None or empty where not given.
sampling_options = together(
    click.option("--steps", type=click.IntRange(1, 1000),
                 help=f"Denoising steps; the paper uses 50.  {MODELS}"),
    click.option("--guidance", type=click.FloatRange(0, 100),
                 help="Scale of classifier-free guidance; 1 is no guidance, and twice as fast; the "
                 f"paper uses 7.5.  {MODELS}"),
    click.option("--frames", type=click.IntRange(1, 1000), help=f"Frames of the video.  {MODELS}"),
    click.option("--size", type=Size(), metavar="HEIGHTxWIDTH",
                 help=f"Size that the image is scaled and cropped to.  {MODELS}"),
    click.option("--fps", type=click.FloatRange(1, 120),
                 help=f"Frames per second of the video.  {MODELS}"),
    click.option("--negative-prompt", metavar="TEXT", help="What the video should not show.  "
                 "[default: the model's own]"),
    click.option("--device", type=Device(), metavar="DEVICE",
                 help="Where to compute: cpu, cuda, cuda:1, mps; auto takes an accelerator if "
                 "there is one.  [default: auto]"),
    click.option("--precision", type=click.Choice(PRECISIONS),
                 help="Data type to compute in.  [default: float32]"),
    old_option("--dtype", "--precision", "precision"),
    click.option("--offload", type=click.Choice(["none", "model", "sequential"]),
                 help="Keep parts of the model off the accelerator while they are not needed: "
                 "less memory, slower.  [default: none]"),
    click.option("--extra", multiple=True, metavar="KEY=VALUE", callback=parse_extra,
                 help="Another argument of the pipeline's call, e.g. motion_bucket_id=180; "
                 "repeatable."),
)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {key: value for key, value in options.items() if value is not None and value != {}}


def refuse_sampling(options: Mapping[str, Any]) -> None:
    """Raise UsageError where sampling options are given for a program, which would not see them."""
    if words := ", ".join(f"--{key.replace('_', '-')}" for key in given(options)):
        raise click.UsageError(f"--command ignores the sampling options {words}")


def sampling_of(options: Mapping[str, Any], *, elsewhere: bool = False) -> Sampling:
    """Return the options as a model takes them; says on stderr which device `auto` has chosen.

    `elsewhere`: another machine samples, so that a device that is named need not be on this one.
    """
    from motifocal.generate.model import Sampling

    arguments = given(options)
    if "precision" in arguments:
        arguments["dtype"] = arguments.pop("precision")
    device = arguments.get("device", AUTO)
    arguments["device"] = device if elsewhere and device != AUTO else chosen_device(device)
    return Sampling(**arguments)
