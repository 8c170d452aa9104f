"""--device and --precision, the same in every command that computes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import click

from motifocal.cli.options.declare import F
from motifocal.cli.options.renamed import ChoiceOfNew
from motifocal.cli.output.progress import announce

AUTO = "auto"
DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
PRECISIONS = ("float32", "bfloat16", "float16")


class Device(click.ParamType):
    """`auto`, `cpu`, `cuda`, `cuda:1` or `mps`; whether it is there is not asked here."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not DEVICE.fullmatch(str(value)):
            self.fail(f"should be auto, cpu, cuda, cuda:1 or mps, got {value!r}", param, ctx)
        return str(value)


def device_option(what: str = "Where to compute") -> Callable[[F], F]:
    """Add --device, the same everywhere; `chosen_device` says what it comes to."""
    return click.option(
        "--device", type=Device(), metavar="DEVICE", default=AUTO, show_default=True,
        help=f"{what}: cpu, cuda, cuda:1, mps; auto takes an accelerator if there is one.",
    )


def precision_option(
    what: str, default: str = "float32", choices: tuple[str, ...] = PRECISIONS,
    before: Mapping[str, str] = MappingProxyType({}),
) -> Callable[[F], F]:
    """Add --precision as the parameter `precision`; `before` are values of earlier releases."""
    return click.option("--precision", type=ChoiceOfNew(choices, before), default=default,
                        show_default=True, help=what)


def chosen_device(name: str) -> str:
    """Return the device that `name` stands for here; say on stderr which one `auto` has chosen.

    Raises BadParameter for a device that is not there.
    """
    import torch

    count = torch.cuda.device_count()
    available = ["cpu", *(["mps"] if torch.backends.mps.is_available() else []),
             *(["cuda"] if count else []), *(f"cuda:{number}" for number in range(count))]
    if name == AUTO:
        best = next(kind for kind in ("cuda", "mps", "cpu") if kind in available)
        model = f" ({torch.cuda.get_device_name()})" if best == "cuda" else ""
        announce(f"device: {best}{model}")
        return best
    if name not in available:
        words = f"should be one of this machine's ({', '.join(available)}), got {name}"
        raise click.BadParameter(words, param_hint="--device")
    return name
