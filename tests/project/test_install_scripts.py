"""Environments, and packages that only tests compare with, are made whole or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(params=["torchvision", "diffsynth", "finetrainers"])
def package(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def checkout(package: str, tmp_path: Path) -> Path:
    """A folder with the installer, and a python whose pip takes a second and needs no net."""
    root = tmp_path / "a checkout"
    (root / "scripts").mkdir(parents=True)
    for name in (f"install_{package}.sh", "install_apart.sh"):
        shutil.copy(SCRIPTS / name, root / "scripts")
    (root / "python").write_text(f"""#!/bin/sh
[ "$1" = -m ] || exec '{sys.executable}' "$@"
for last; do [ "${{before:-}}" != --target ] || target="$last"; before="$last"; done
mkdir -p "$target/{package}" && touch "$root/begun" && sleep 1
touch "$target/{package}/__init__.py"
""")
    (root / "python").chmod(0o755)
    return root


def start_installer(package: str, root: Path, **more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["sh", f"scripts/install_{package}.sh", root / "python"], cwd=root, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "root": str(root), **more},
    )  # fmt: skip


def test_installers_at_once_print_one_whole_folder_wherever_they_look_first(
    package: str, checkout: Path
) -> None:
    both = [start_installer(package, checkout, CDPATH=str(checkout)) for _ in range(2)]
    (folder, other) = [installer.communicate()[0] for installer in both]
    assert folder == other
    assert Path(folder.removesuffix("\n"), package, "__init__.py").exists()
    assert len(list((checkout / f".{package}").iterdir())) == 1


def test_an_installer_that_is_stopped_leaves_nothing_behind(package: str, checkout: Path) -> None:
    installer = start_installer(package, checkout)
    while not (checkout / "begun").exists():
        assert installer.poll() is None
        time.sleep(0.01)
    installer.terminate()
    assert installer.communicate()[0] == ""
    assert installer.returncode == 130
    assert list((checkout / f".{package}").iterdir()) == []


@pytest.mark.parametrize("command", [["make", "demo", "PYTHON=./python"],
                                     ["sh", "scripts/test_pythons.sh", "./python"]])  # fmt: skip
def test_an_environment_that_fails_leaves_nothing_behind(
    command: list[str], tmp_path: Path
) -> None:
    """As on a Debian without python3-venv, which makes bin/python and then finds no pip."""
    (tmp_path / "scripts").mkdir()
    for name in ("Makefile", "scripts/test_pythons.sh"):
        shutil.copy(SCRIPTS.parent / name, tmp_path / name)
    (tmp_path / "python").write_text(f"""#!/bin/sh
[ "$1" = -m ] || exec '{sys.executable}' "$@"
mkdir -p "$3/bin" && cp '{sys.executable}' "$3/bin/python" && echo "no pip" >&2
exit 1
""")
    (tmp_path / "python").chmod(0o755)
    for _ in range(2):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "no pip" in done.stderr
        assert not list(tmp_path.glob("**/bin"))
