"""Send the curves of a training to experiment trackers by accelerate: TensorBoard and others.

Keys and passwords stay where the trackers themselves keep them; nothing here reads or stores one.
"""

from __future__ import annotations

import importlib.util
import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motifocal.extras import install_extra
from motifocal.files.atomic import write_text
from motifocal.files.json_text import read_json_object

if TYPE_CHECKING:
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker
    from pydantic import BaseModel

TRACKERS = ("tensorboard", "wandb", "trackio", "mlflow")
PROJECT = "motifocal"


def is_installed(tracker: str) -> bool:
    """Whether the package of a tracker is there, told without importing it."""
    return importlib.util.find_spec(tracker) is not None


def check_installed(trackers: Sequence[str]) -> None:
    """Raise ValueError, with what to install, for the first tracker that is not installed."""
    for name in trackers:
        if not is_installed(name):
            remedy = install_extra("train") if name == "tensorboard" else f"pip install {name}"
            raise ValueError(f"the tracker {name} should be installed to be logged with; {remedy}")


@contextmanager
def tracking(
    accelerator: Accelerator, trackers: Sequence[str], folder: Path, step: int,
    settings: BaseModel,
) -> Iterator[None]:  # fmt: skip
    """Inside, `accelerator.log` reaches the trackers, which go on with the run after `step`.

    TensorBoard's events lie in `folder`/tensorboard; the other trackers get the name of the folder
    and, once, the settings. For the main process.
    """
    identity = _identity(folder, trackers)
    accelerator.log_with = [_tracker(name, folder, step, identity) for name in trackers]
    accelerator.init_trackers(PROJECT)
    try:
        for tracker in accelerator.trackers:
            if tracker.name == "mlflow" and "mlflow" not in identity:
                identity["mlflow"] = tracker.tracker.info.run_id
                _write_identity(folder, identity)
            # TensorBoard would write a folder of them with every start.
            if tracker.name != "tensorboard" and tracker.name not in identity["told"]:
                tracker.store_init_configuration(_flat(settings))
                identity["told"].append(tracker.name)
                _write_identity(folder, identity)
        yield
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers.clear()


def _tracker(
    name: str, folder: Path, step: int, identity: dict[str, Any]
) -> GeneralTracker:
    """The tracker that a run goes on with; made here, as what it goes on with is known only now."""
    from accelerate import tracking

    run = folder.resolve().name
    makers: dict[str, Any] = {
        "tensorboard": lambda: tracking.TensorBoardTracker(
            "tensorboard", folder, purge_step=step + 1
        ),
        "wandb": lambda: tracking.WandBTracker(
            PROJECT, name=run, id=identity["id"], resume="allow", dir=str(folder)
        ),
        "trackio": lambda: tracking.TrackioTracker(
            PROJECT, name=f"{run}-{identity['id']}", resume="allow"
        ),
        "mlflow": lambda: tracking.MLflowTracker(
            PROJECT, run_name=run, run_id=identity.get("mlflow")
        ),
    }
    tracker: GeneralTracker = makers[name]()
    return tracker


def _identity(folder: Path, trackers: Sequence[str]) -> dict[str, Any]:
    """What trackers know a run by, and which were told its settings ("told")."""
    path = folder / "trackers.json"
    if path.exists():  # that of an earlier version does not say who was told
        return {"told": list(TRACKERS), **read_json_object(path)}
    identity: dict[str, Any] = {"id": uuid.uuid4().hex[:12], "told": []}
    if set(trackers) - {"tensorboard"}:
        _write_identity(folder, identity)
    return identity


def _write_identity(folder: Path, identity: dict[str, Any]) -> None:
    write_text(folder / "trackers.json", json.dumps(identity, indent=1) + "\n")


def _flat(settings: BaseModel) -> dict[str, Any]:
    """The settings as trackers take them: text, numbers and truth values, without nesting."""
    values = settings.model_dump(mode="json")
    network = values.pop("unet", {})
    return values | {f"unet.{key}": value if isinstance(value, int | float | str | None)
                     else json.dumps(value) for key, value in network.items()}
