"""Fixtures that several tests of models use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import CommandLine, command_line
from opened_pipelines import OpenKind, noise
from tiny_diffusers import KINDS, TINY, save_tiny, tiny_pipeline
from tiny_model import SENTENCES, tiny_folder

from motifocal.generate.diffusers_model import DiffusersModel
from motifocal.generate.domain import Domain, write_domain
from motifocal.generate.families.family import Family
from motifocal.generate.families.registry import family_of
from motifocal.generate.model import Sampling
from motifocal.generate.open import open_model
from motifocal.media.video import write_image

QUICK = ("--steps", "2")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_folder(tmp_path_factory.mktemp("models") / "tiny")
    words = " ".join(SENTENCES).split()
    write_domain(folder, Domain(frozenset(words), least_psnr=-99.0))
    return folder


@pytest.fixture
def duck(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    write_image(tmp_path / "my_duck.png", pixels)
    return tmp_path / "my_duck.png"


@pytest.fixture
def animate(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """Runs the command line in this process; a traceback would fail the test."""
    run = command_line(monkeypatch, capsys, "animate")
    return lambda *arguments: run(*arguments, "--model", model, *QUICK)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("ltx", tmp_path_factory.mktemp("pipelines") / "ltx")


@pytest.fixture
def animate_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """`motifocal animate` with no options of its own."""
    return command_line(monkeypatch, capsys, "animate")


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a kind, saved when it is first asked for."""
    top = tmp_path_factory.mktemp("pipelines")

    def folder(kind: str) -> Path:
        return top / kind if (top / kind).exists() else save_tiny(kind, top / kind)

    return folder


@pytest.fixture(scope="session")
def fresh(saved: Callable[[str], Path]) -> OpenKind:
    """A kind through `open_model`, small and quick unless told otherwise."""

    def open_kind(kind: str, **sampling: Any) -> DiffusersModel:
        size, frames = TINY[kind]
        # HunyuanVideo reads a thousand tokens, however small it is.
        steps = 1 if kind.startswith("hunyuan") else 2
        quick = {"steps": steps, "size": size, "frames": frames}
        model = open_model(str(saved(kind)), Sampling(**{**quick, **sampling}))
        assert isinstance(model, DiffusersModel)
        return model

    return open_kind


@pytest.fixture(scope="session")
def opened(fresh: OpenKind) -> OpenKind:
    """The same, opened once for all tests: not to be changed."""
    held: dict[str, DiffusersModel] = {}

    def open_kind(kind: str, **sampling: Any) -> DiffusersModel:
        key = f"{kind} {sorted(sampling.items())}"
        if key not in held:
            held[key] = fresh(kind, **sampling)
        return held[key]

    return open_kind


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    write_image(tmp_path / "picture.png", noise(0))
    return tmp_path / "picture.png"


@pytest.fixture(scope="session")
def families() -> dict[str, tuple[str, Family]]:
    """Kind -> the name of its class, and its family."""
    pipelines = {kind: tiny_pipeline(kind) for kind in KINDS}
    return {kind: (type(pipeline).__name__, family_of(pipeline))
            for kind, pipeline in pipelines.items()}
