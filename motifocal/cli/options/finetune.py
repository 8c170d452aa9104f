"""Options of `prepare` and `train` for diffusers models, beside those for Motifocal's own.

Both kinds of model share the commands. What the options of one kind mean nothing for is refused in
one line, where it was given.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from motifocal.cli.options.declare import RATE, F, together

#: Takes the command's parameters.
Command = Callable[[dict[str, Any]], None]


class ModelName(click.Path):
    """A folder as a Path, or an id on the Hugging Face hub, owner/name, as a str."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, exists=True, file_okay=False)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        if isinstance(value, str) and is_hub_id(value):
            return value
        return super().convert(value, param, ctx)


def is_hub_id(text: str, folder: Path = Path()) -> bool:
    """Tell whether a name is an id on the hub, owner/name, rather than a folder inside `folder`."""
    from motifocal.models.folder_files import HUB_ID

    return bool(HUB_ID.fullmatch(text)) and not (folder / text).exists()


def is_of_diffusers(model: Path | str | None) -> bool:
    """Tell whether a model is a pipeline of diffusers: a hub id, or a folder whose index says so.
    """
    from motifocal.models.folder_files import INDEX, PIPELINE, read_index

    if isinstance(model, str):
        return True
    if model is None or not (model / INDEX).is_file():
        return False
    return read_index(model).get("_class_name") != PIPELINE


def with_finetuning(run: str, own: frozenset[str], shared: frozenset[str]) -> Callable[[F], F]:
    """Make a command call `run` ("module:function") instead where --model is one of diffusers.

    `own` are parameters for such models alone, `shared` those for both kinds; all others are for
    Motifocal's own. Raises UsageError for a parameter that was given and is the other kind's.
    """

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def dispatched(**parameters: Any) -> None:
            context = click.get_current_context()
            if is_of_diffusers(parameters["model"]):
                others = parameters.keys() - own - shared
                _refuse(context, others, "is not for models of diffusers")
                _imported(run)({key: parameters[key] for key in own | shared})
                return
            _refuse(context, own, "is for models of diffusers (a pipeline's folder or hub id)")
            command(**{key: parameters[key] for key in parameters.keys() - own})

        return dispatched

    return decorated  # type: ignore[return-value]


def was_given(context: click.Context, name: str) -> bool:
    """Tell whether a parameter has more than its default value."""
    return context.get_parameter_source(name) not in (ParameterSource.DEFAULT, None)


def _refuse(context: click.Context, names: Any, reason: str) -> None:
    options = {param.name: param.opts[0] for param in context.command.params}
    given = [options[name] for name in sorted(names) if was_given(context, name)]
    if given:
        raise click.UsageError(f"{', '.join(given)} {reason}")


def _imported(name: str) -> Command:
    import importlib

    module, _, function = name.partition(":")
    found: Command = getattr(importlib.import_module(module), function)
    return found


PREPARE = frozenset({"fps"})
PREPARE_SHARED = frozenset({
    "clips_at", "output", "model", "size", "frames", "windows", "workers", "precision", "device",
    "source", "preset", "flow_size", "raft_iterations", "raft_precision", "raft_weights",
    "fetch_raft", "camera", "unit", "threshold", "slope", "floor", "percentile", "noise", "sharp",
    "change", "evidence",
})  # fmt: skip
TRAIN = frozenset({"lora", "full", "memory", "motif_weight", "fsdp"})
TRAIN_SHARED = frozenset({"shards", "output", "model", "config", "assignments", "held_out",
                          "samples", "log_with", "device", "dry_run"})  # fmt: skip
#: What the run.toml of a fine-tuning holds besides its settings.
IN_RUN_FILE = TRAIN_SHARED | {"full", "fsdp"}


class MemorySize(click.ParamType):
    """`24G` or `24` as gigabytes (10^9 bytes)."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            size = float(str(value).upper().removesuffix("B").removesuffix("G"))
        except ValueError:
            size = 0.0
        if not 0 < size < float("inf"):
            self.fail(f"should be like 24G, got {value!r}", param, ctx)
        return size


class MotifWeights(click.ParamType):
    """`1` or `0,1`: one or more lambdas, each at least 0, of different names of folders."""

    name = "weights"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            weights = tuple(float(part) for part in str(value).split(","))
        except ValueError:
            weights = ()
        named = {f"{abs(weight):g}" for weight in weights}
        if not weights or len(named) < len(weights) or not all(
            0 <= weight < float("inf") for weight in weights
        ):
            self.fail(f"should be like 1 or 0,1, got {value!r}", param, ctx)
        return weights


#: --lora, --full, --memory, --fsdp and --motif-weight of `train`.
lora_options = together(
    click.option("--lora", type=click.IntRange(1), metavar="RANK",
                 help="Fine-tune a diffusers model with a LoRA of this rank.  "
                 "[default: 16]"),
    click.option("--full", is_flag=True,
                 help="Fine-tune every weight of the transformer instead of a LoRA, at a learning "
                 "rate of 1e-5 unless it is set."),
    click.option("--memory", type=MemorySize(), metavar="SIZE",
                 help="Memory of the accelerator, e.g. 24G (with --fsdp, of each): takes the "
                 "first way to store the frozen weights that is estimated to fit, and prints it "
                 "(diffusers models)."),
    click.option("--fsdp", is_flag=True,
                 help="Shard the weights over the processes that torchrun starts, for a model "
                 "that does not fit on one accelerator (diffusers models)."),
    click.option("--motif-weight", type=MotifWeights(), metavar="WEIGHT[,WEIGHT...]",
                 help="Lambda of the motion focal loss. With several values, one run for each "
                 "with the same noise, and a page that compares them (diffusers models)."),
)


fps_option = click.option(
    "--fps", type=RATE,
    help="Frame rate that clips are resampled to (diffusers models).  [default: the rate that the "
    "model was trained at]",
)  # fmt: skip
