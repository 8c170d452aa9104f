"""Import other trainers, whose packages lie apart, without what they need for other things.

    apart("diffsynth"), apart("finetrainers")    True where the trainer can be imported

The packages are installed without their dependencies (scripts/install_diffsynth.sh,
scripts/install_finetrainers.sh), so that they cannot change this project's. What a training step
does not use (readers of video, trackers, torchvision) is replaced by empty modules.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"diffsynth": ROOT / ".diffsynth" / "2.1.12",
           "finetrainers": ROOT / ".finetrainers" / "0.2.0"}  # fmt: skip
#: Imported by them at the top and not used in a step.
UNUSED = ("av", "datasets", "decord", "imageio", "modelscope", "torchdata", "torchvision", "wandb")

#: Imported by finetrainers and not in its wheel.
LEFT_OUT = "finetrainers.patches.dependencies"


def apart(name: str) -> bool:
    """Make a trainer importable; False where it is not installed."""
    folder = FOLDERS[name]
    if not (folder / name / "__init__.py").is_file():
        return False
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    if not any(isinstance(finder, _Empty) for finder in sys.meta_path):
        _remember_what_is_installed()
        sys.meta_path.append(_Empty())
    return True


def _remember_what_is_installed() -> None:
    """Have transformers and diffusers look for packages now, and keep the answer."""
    import diffusers  # noqa: F401
    from transformers.utils import import_utils

    for name in UNUSED:
        getattr(import_utils, f"is_{name}_available", bool)()


class _Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules of `UNUSED` and `LEFT_OUT` that are not there: it is asked last."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] not in UNUSED and not name.startswith(LEFT_OUT):
            return None
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        module.__path__ = []
        module.__version__ = "99"  # type: ignore[attr-defined]


class _Module(types.ModuleType):
    """Names in it with a capital are empty classes; others are functions that do nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {}) if name[0].isupper() else _Module(name)

    def __call__(self, *values: Any, **named: Any) -> None:
        pass
