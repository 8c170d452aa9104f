"""The lines of README that install Motifocal put a working `motifocal` on the PATH."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest
from document_blocks import ROOT, blocks_of, commands_of, pages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def install_lines() -> list[list[str]]:
    """Every `pip install` and `pipx install` of the documents, as words."""
    blocks = [block for page in pages() for block in blocks_of(page)]
    commands = [words for block in blocks if block.language in ("sh", "inline")
                for words in commands_of(block)]  # fmt: skip
    return [words for words in commands if words[:2] in (["pip", "install"], ["pipx", "install"])]


def test_every_line_installs_the_clone_with_extras_that_there_are() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = install_lines()
    assert ["pip", "install", "."] in lines
    assert ["pipx", "install", "."] in lines
    names = {re.split("[<>=;]", line)[0] for line in known["dependencies"]}
    for words in lines:
        if words[2:] == ["--no-deps", "."] or set(words[2:]) <= names:
            continue  # into a trainer's environment: tests/bridges/test_trainer_pins.py
        found = re.fullmatch(r"\.(?:\[([\w,-]+)\])?", words[2])
        assert found, f"{' '.join(words)}: it is on no index, it is installed from its folder"
        extras = set(found[1].split(",")) if found[1] else set()
        assert extras <= set(known["optional-dependencies"]), words


def test_no_page_and_no_message_names_a_package_of_an_index() -> None:
    sources = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("motifocal/**/*.py")]
    named = re.compile(r"""install\s+["'`]*motifocal\b""")
    assert [str(path) for path in sources if named.search(path.read_text(encoding="utf-8"))] == []


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with Motifocal, built as a wheel from a copy of the clone.

    Its dependencies are those of this environment, so that nothing is downloaded.
    """
    folder = tmp_path_factory.mktemp("install")
    clone = folder / "clone"
    clone.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, clone / name)
    shutil.copytree(ROOT / "motifocal", clone / "motifocal",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    (packages / "parent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python)]
    alone = ["--no-deps", "--no-build-isolation", "--no-index", "--no-warn-script-location"]
    subprocess.run([*pip, "install", *alone, "."], cwd=clone, check=True, capture_output=True)
    return folder / "venv"


@pytest.mark.slow
def test_the_installed_command_runs_and_finds_its_model(environment: Path, tmp_path: Path) -> None:
    command = environment / "bin" / "motifocal"
    said = subprocess.run([command, "--version"], cwd=tmp_path, check=True, capture_output=True,
                          text=True, env={})  # fmt: skip
    assert said.stdout.startswith("motifocal, version ")
    code = "import motifocal; print(motifocal.__file__)"
    where = subprocess.run([environment / "bin" / "python", "-c", code], cwd=tmp_path, check=True,
                           capture_output=True, text=True, env={})  # fmt: skip
    package = Path(where.stdout.strip()).parent
    assert package.is_relative_to(environment)
    wanted = {path.relative_to(ROOT / "motifocal") for path in (ROOT / "motifocal").rglob("*")
              if path.is_file() and path.suffix != ".pyc"}  # fmt: skip
    missing = sorted(str(path) for path in wanted if not (package / path).exists())
    assert missing == []


def test_links_of_the_readme_are_absolute_in_the_metadata() -> None:
    code = ("from unittest.mock import patch\nwith patch('setuptools.setup') as setup:\n"
            "    exec(open('setup.py').read(), {'__file__': 'setup.py'})\n"
            "print(setup.call_args.kwargs['long_description'])")  # fmt: skip
    text = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True,
                          text=True).stdout  # fmt: skip
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert len(links) == len(re.findall(r"\]\(([^)\s]+)\)", readme)) > 0
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert re.search(r"!\[[^\]]*\]\(https://raw\.githubusercontent\.com/", text)
