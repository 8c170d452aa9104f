"""Optional dependencies, and how to install a missing one."""

from __future__ import annotations

import importlib
import traceback

#: Package that is imported -> the smallest extra of pyproject.toml that brings it.
EXTRA_OF = {
    "torch": "torch",
    "accelerate": "models", "diffusers": "models", "huggingface_hub": "models", "peft": "models",
    "tokenizers": "models", "transformers": "models",
    "tensorboard": "train",
    "yaml": "bench",
    "itsdangerous": "study", "jinja2": "study", "markdown_it": "study", "sqlalchemy": "study",
    "starlette": "study", "uvicorn": "study",
    "matplotlib": "report", "scipy": "report",
    "psycopg": "postgresql",
    "torchvision": "raft",
    "ray": "ray",
    "pyarrow": "parquet",
    "fsspec": "remote", "s3fs": "remote",
}  # fmt: skip
# Where torch or what `models` brings is missing, all that this code needs is; first match first.
_EXTRA_OF_CODE = {
    "remote": ("files.remote",),
    "train": ("training", "cli.train", "cli.base", "cli.prepare", "cli.figure6"),
    "bench": ("bench", "cli.bench"),
    "models": ("models", "generate", "cli.animate", "cli.bundle", "cli.import_", "cli.scenes"),
}


def install_extra(name: str) -> str:
    """What to type for an extra of pyproject.toml: Motifocal is installed from its folder."""
    return f"install the extra {name}: pip install '.[{name}]' in Motifocal's folder"


def require(package: str, extra: str, user: str, otherwise: str = "") -> None:
    """Raise ValueError, before anything is computed, where what `user` needs is not installed."""
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise ValueError(f"{user} {package}; {install_extra(extra)}{otherwise}") from error


def missing_extra(error: ModuleNotFoundError) -> str | None:
    """Say in one line which extra brings the package that an import did not find.

    The extra is that of the code which wanted it: `animate` without torch needs all of `models`.
    None for a package of no extra; that is a fault, to be shown as one.
    """
    package = (error.name or "").partition(".")[0]
    extra = EXTRA_OF.get(package)
    if extra is None:
        return None
    if extra in ("torch", "models"):
        extra = _extra_of_code(error) or extra
    return f"{package} is not installed; {install_extra(extra)}"


def _extra_of_code(error: ModuleNotFoundError) -> str | None:
    """The extra of the commands and modules through which the error came."""
    modules = [f"{frame.f_globals.get('__name__')}."
               for frame, _ in traceback.walk_tb(error.__traceback__)]
    for extra, names in _EXTRA_OF_CODE.items():
        starts = tuple(f"motifocal.{name}." for name in names)
        if any(module.startswith(starts) for module in modules):
            return extra
    return None
