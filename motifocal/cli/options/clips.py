"""Options for how heatmaps are made, and for motion as an input of the network: --prior."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from motifocal.cli.options.declare import F, together
from motifocal.cli.options.renamed import old_option

if TYPE_CHECKING:
    from motifocal.motion.heatmap import HeatmapSettings

#: --source ... --change, as `settings_of` takes them.
heatmap_options = together(
    click.option("--source",
                 type=click.Choice(["dis", "farneback", "raft-small", "raft-large", "vectors"]),
                 default="dis", show_default=True,
                 help="What measures motion: optical flow by dis or farneback, which run "
                 "anywhere, or by RAFT, the paper's, which needs the extra raft and weights; or "
                 "vectors, the motion vectors of the video file (H.264, MPEG-4 and earlier; not "
                 "VP9, HEVC, AV1), several times as fast and less accurate."),
    click.option("--dis-preset", "preset", type=click.Choice(["ultrafast", "fast", "medium"]),
                 default="fast", show_default=True, help="Preset of dis: accuracy against time."),
    old_option("--preset", "--dis-preset", "preset"),
    click.option("--flow-size", type=click.IntRange(0), metavar="PIXELS", default=240,
                 show_default=True,
                 help="Estimate flow on frames whose shorter side is reduced to at most this; "
                 "heatmaps keep the full size. 0: full size."),
    click.option("--raft-iterations", type=click.IntRange(1), default=12, show_default=True,
                 help="Number of RAFT's flow updates."),
    click.option("--raft-precision", type=click.Choice(["float32", "bfloat16", "float16"]),
                 default="float32", show_default=True, help="Data type that RAFT computes in."),
    click.option("--raft-weights", metavar="FILE", default=None,
                 help="RAFT's weights with torchvision's names, .pth or .safetensors.  [default: "
                 "torchvision's published weights, from torch's cache]"),
    click.option("--fetch-raft", is_flag=True,
                 help="Download RAFT's published weights into torch's cache if they are not "
                 "there; without this option nothing is downloaded."),
    click.option("--camera/--no-camera", default=False, show_default=True,
                 help="Remove the camera's motion from the flow. Not in the paper."),
    click.option("--unit", type=click.Choice(["maximum", "percentile", "pixels", "fraction"]),
                 default="maximum", show_default=True,
                 help="Speed that counts as 1: the clip's maximum or percentile, one pixel per "
                 "frame, or the frame's longer side per frame (fraction)."),
    click.option("--threshold", type=float, default=0.05, show_default=True,
                 help="Speed, in the unit, at which the heatmap is 0.5."),
    click.option("--slope", type=float, default=100.0, show_default=True,
                 help="How steeply the heatmap rises there."),
    click.option("--floor", type=float, default=0.15, show_default=True,
                 help="In pixels per frame; slower motion counts as static."),
    click.option("--percentile", type=float, default=99.0, show_default=True,
                 help="Percentile of the clip's speeds, for --unit percentile."),
    click.option("--noise", type=float, default=2.5, show_default=True,
                 help="In grey levels; where frames differ by less, nothing counts as moving. "
                 "Raise it for grainy clips; 0: flow counts everywhere."),
    click.option("--evidence", type=click.Choice(["regions", "pixels"]), default="regions",
                 show_default=True,
                 help="How frames are compared: by regions of similar colour, which fills plain "
                 "areas and leaves out what is only uncovered, or pixel by pixel."),
    click.option("--sharp/--wide", default=True, show_default=True,
                 help="With --evidence pixels: follow the outline of what moves, or keep a margin "
                 "of about 4 pixels around it."),
    click.option("--change", type=float, default=0.0, show_default=True,
                 help="In grey levels; places whose colour changes by more without motion count "
                 "as moving too. 0: motion alone, as in the paper."),
)


def settings_of(options: dict[str, Any]) -> HeatmapSettings:
    """Take the options of `heatmap_options` out of a command's, and return the settings they say.

    Fetches RAFT's published weights where that was asked for and they are what is needed. Raises
    ValueError for settings that cannot be, BadParameter for --fetch-raft without such a need.
    """
    from dataclasses import fields

    from motifocal.motion.settings import HeatmapSettings

    fetch = options.pop("fetch_raft")
    settings = HeatmapSettings(**{f.name: options.pop(f.name) for f in fields(HeatmapSettings)})
    if fetch:
        from motifocal.motion.raft import NETWORKS, fetch_weights

        if settings.source not in NETWORKS or settings.raft_weights:
            raise click.BadParameter("is for --source raft-small or raft-large without "
                                     "--raft-weights", param_hint="--fetch-raft")  # fmt: skip
        fetch_weights(settings.source)
    return settings


#: How much a clip moves, one number; and where it may move, an image.
PRIORS = ("score", "mask")


def priors(value: Any) -> tuple[str, ...]:
    """Parse names of PRIORS with commas between them, or a list of them, as a tuple."""
    names = tuple(value.split(",") if isinstance(value, str) else value)
    if not set(names) <= set(PRIORS) or len(set(names)) < len(names):
        raise click.BadParameter(f"should be {' or '.join(PRIORS)} or both, with a comma, got "
                                 f"{value}")
    return names


def prior_option(text: str) -> Callable[[F], F]:
    """--prior as the argument `prior`, a tuple of names."""
    return click.option("--prior", type=priors, default=(), metavar="score,mask", help=text)
