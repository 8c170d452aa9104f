"""What can be imported from `motifocal` itself, and what that loads."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import motifocal

PUBLIC = {
    "FAMILIES", "HeatmapSettings", "LatentGeometry", "TI2VPipeline", "clip_heatmap",
    "motion_focal_loss", "motion_loss", "motion_weights", "read_video",
}


def in_a_fresh_interpreter(code: str) -> str:
    """What the code prints; warnings are errors there too."""
    done = subprocess.run([sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code],
                          capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_names_are_those_of_all_and_are_listed_before_they_are_loaded() -> None:
    assert set(motifocal.__all__) == PUBLIC
    listed = in_a_fresh_interpreter("import motifocal; print(*dir(motifocal))").split()
    assert set(listed) >= PUBLIC | {"__version__"}


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_a_public_name_is_the_one_of_its_module(name: str) -> None:
    value = getattr(motifocal, name)
    module = "motifocal.loss.latent_grid" if name == "FAMILIES" else value.__module__
    assert getattr(importlib.import_module(module), name) is value
    assert vars(motifocal)[name] is value  # the second time it is not looked up


def test_all_names_can_be_imported_by_a_star() -> None:
    names = in_a_fresh_interpreter("from motifocal import *; print(*globals())").split()
    assert set(names) >= PUBLIC


def test_the_loss_and_its_weights_load_no_codec_no_opencv_and_no_library_of_models() -> None:
    code = "import sys; from motifocal import motion_loss, motion_weights; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in in_a_fresh_interpreter(code).split()}
    assert "torch" in loaded
    assert loaded & {"av", "cv2", "diffusers", "transformers", "accelerate", "PIL"} == set()


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'motifocal' has no attribute 'motion_los'"):
        motifocal.motion_los  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'motion_los'"):
        from motifocal import motion_los  # noqa: F401


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(motifocal.__file__).parent / "py.typed").exists()
