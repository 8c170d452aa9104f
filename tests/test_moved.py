"""Import paths of earlier versions work and warn."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from motifocal._moved import _PACKAGES, MOVES


@pytest.mark.parametrize("before", sorted(MOVES))
def test_an_old_module_is_the_new_one_and_warns(
    before: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{before}.")]:
        monkeypatch.delitem(sys.modules, name)
    importlib.import_module(MOVES[before])
    with pytest.warns(DeprecationWarning, match="goes with the next release"):
        module = importlib.import_module(before)
    assert module is importlib.import_module(MOVES[before])
    assert module.__spec__ is not None
    assert module.__spec__.name == module.__name__ == MOVES[before]


@pytest.mark.parametrize("package", sorted(_PACKAGES))
def test_a_module_that_is_a_package_now_has_its_names_still(package: str) -> None:
    now = importlib.import_module(_PACKAGES[package])
    public = next(name for name, value in vars(now).items()
                  if getattr(value, "__module__", "") == now.__name__ and name[0] != "_")
    with pytest.warns(DeprecationWarning, match=f"{package}.{public} is {now.__name__}"):
        assert getattr(importlib.import_module(package), public) is getattr(now, public)
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(package).no_such_name  # noqa: B018


def test_an_old_name_works_in_a_fresh_interpreter_and_says_where_it_is_used() -> None:
    code = ("from motifocal.heatmap import clip_heatmap\n"
            "from motifocal.loss import motion_focal_loss\n")
    done = subprocess.run([sys.executable, "-W", "always::DeprecationWarning", "-c", code],
                          check=True, capture_output=True, text=True)
    assert "<string>:1: DeprecationWarning: motifocal.heatmap is motifocal.motion.heatmap" \
        in done.stderr
    assert "loss.motion_focal_loss is motifocal.loss.focal.motion_focal_loss" in done.stderr
