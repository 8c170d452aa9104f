"""What a source file may be called, how long it may be, and what it may not hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys

import pytest
from project_files import ROOT, project_files, python_files

NAMES_THAT_SAY_NOTHING = {"utils", "util", "common", "helpers", "helper", "misc", "config"}
MOST_LINES = 300
HEAVY = {"torch", "cv2", "av", "numpy", "diffusers", "transformers", "PIL", "accelerate"}

# The backslashes keep these lines from being what they look for.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|anaconda\.(?:org|com)|npmjs\.(?:org|com)|crates\.io"
    r"|ghcr\.io|docker\.io|quay\.io|pkg\.dev|download\.pytorch\.org",
    re.IGNORECASE,
)
MACHINE_PATH = re.compile(
    r"(?<![\w.~$})*-])/(?:home|Users|root|work|workspace|mnt|scratch)/\w|\b[A-Z]:\\Users\\"
)


def test_no_file_has_a_name_that_says_nothing() -> None:
    files = python_files("motifocal", "tests", "scripts", "benchmarks")
    assert [str(path) for path in files if path.stem in NAMES_THAT_SAY_NOTHING] == []


def test_no_file_is_longer_than_three_hundred_lines() -> None:
    lengths = {
        str(path): len((ROOT / path).read_text(encoding="utf-8").splitlines())
        for path in python_files("motifocal", "tests", "scripts", "benchmarks")
    }
    assert {path: lines for path, lines in lengths.items() if lines > MOST_LINES} == {}


def test_json_is_parsed_in_one_place_which_refuses_deep_nesting() -> None:
    call = re.compile(r"\bjson\.loads?\(")
    elsewhere = [str(path) for path in python_files("motifocal")
                 if path.name != "json_text.py" and call.search((ROOT / path).read_text("utf-8"))]
    assert elsewhere == [], "these should call motifocal.files.json_text.parse_json"


def test_every_module_opens_with_a_docstring() -> None:
    files = python_files("motifocal", "tests", "scripts", "benchmarks")
    bare = [
        str(path)
        for path in files
        if not ast.get_docstring(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    ]
    assert bare == []


@pytest.mark.parametrize("module", ["motifocal", "motifocal.cli"])
def test_importing_is_cheap(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    loaded = set(done.stdout.split())
    assert "motifocal" in loaded
    assert loaded & HEAVY == set()


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    """`file:line` wherever the pattern occurs in a text file of the project."""
    found = []
    for path in project_files():
        try:
            text = (ROOT / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:  # weights, pictures, videos
            continue
        found += [
            f"{path}:{number}"
            for number, line in enumerate(text.splitlines(), start=1)
            if pattern.search(line)
        ]
    return found


def test_no_file_names_the_host_of_a_package_registry() -> None:
    assert lines_with(REGISTRY) == []


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    assert lines_with(MACHINE_PATH) == []


def test_registries_and_machine_paths_are_recognised() -> None:
    assert REGISTRY.search("https://PyPI" + ".org/simple")
    for path in ("/ho" + "me/ann/clips", "at (/ro" + "ot/x", "C:\\Us" + "ers\\ann"):
        assert MACHINE_PATH.search(path), path
    for fine in ("/usr/bin/env bash", "docs/home/page", "https://example.org/work/x", "a/root/b"):
        assert not MACHINE_PATH.search(fine), fine
