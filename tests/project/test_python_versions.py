"""What the classifiers say of Python: releases of all that the core and the study need exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = re.findall(r":: Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))


def required(extra: str) -> list[Requirement]:
    """What our core and one of its extras ask for, without our own extras."""
    lines = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]
    return [Requirement(line) for line in lines]


def pins(python: str) -> dict[str, str]:
    """The pins of constraints.txt for a Python, by name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [Requirement(line) for line in lines if line and line[0] != "#"]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin in pinned
            if applies(pin, python)}  # fmt: skip


def applies(requirement: Requirement, python: str) -> bool:
    marker = requirement.marker
    return marker is None or marker.evaluate({"python_version": python})


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_one_pin_that_fits_it(python: str) -> None:
    pinned, extras = pins(python), PROJECT["optional-dependencies"]
    needed = {canonicalize_name(need.name): need for extra in extras for need in required(extra)
              if applies(need, python)}  # fmt: skip
    needed = {name: need for name, need in needed.items() if name in pinned}
    assert len(needed) > 40
    assert {name: str(need) for name, need in needed.items()
            if pinned[name] not in need.specifier} == {}  # fmt: skip


@pytest.mark.slow
def test_the_core_and_the_study_install_from_wheels_on_the_newest_python_of_the_classifiers(
    tmp_path: Path,
) -> None:
    newest = PYTHONS[-1]
    pinned = pins(newest)
    wanted = [f"{name}=={pinned[name]}" for need in (*required("study"), *required("report"))
              if applies(need, newest) and (name := canonicalize_name(need.name)) in pinned]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
           "--retries", "0", "--only-binary", ":all:", "--python-version", newest, "--target",
           str(tmp_path)]  # fmt: skip
    if subprocess.run([*pip, "--no-deps", "click"], capture_output=True).returncode:
        pytest.skip("no package index answers")
    done = subprocess.run([*pip, *dict.fromkeys(wanted)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
