"""RAFT by torchvision's own code, in a process apart; without torchvision, words that help."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from torchvision_shim import SCRIPT, installed

from motifocal.motion.flow import estimate_flow
from motifocal.motion.raft import RaftOptions

ROOT = Path(__file__).parents[2]
CHECKS = ROOT / "tests" / "support" / "raft_with_torchvision.py"
FRAMES = np.zeros((2, 16, 16, 3), np.uint8)


def names_of_checks() -> list[str]:
    tree = ast.parse(CHECKS.read_text(encoding="utf-8"))
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What became of each check: a text for every case that did not pass."""
    folder = installed()
    if folder is None:
        words = f"torchvision could not be installed by {SCRIPT.name}"
        if os.environ.get("CI") == "true" or "MOTIFOCAL_SHARED" in os.environ:
            pytest.fail(words)
        pytest.skip(words)
    report = tmp_path_factory.mktemp("raft") / "report.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}",
         str(CHECKS)],
        cwd=ROOT, env={**os.environ, "TORCHVISION": str(folder), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert report.exists(), done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        bad = [child.text or child.tag for child in case if child.tag != "system-out"]
        found.setdefault(case.attrib["name"].partition("[")[0], []).extend(bad)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("check", names_of_checks())
def test_with_torchvisions_networks(check: str, outcomes: dict[str, list[str]]) -> None:
    assert check in outcomes, f"{check} was not run"
    assert outcomes[check] == [], "\n".join(outcomes[check])


@pytest.mark.parametrize("options", [RaftOptions(), RaftOptions(weights=__file__)])
def test_without_torchvision_one_line_names_the_extra(options: RaftOptions) -> None:
    if find_spec("torchvision"):
        pytest.skip("torchvision is there")
    words = r"RAFT needs torchvision .*install the extra raft: pip install"
    with pytest.raises(ValueError, match=words):
        estimate_flow(FRAMES, "raft-small", raft=options)


def test_a_torchvision_of_another_torch_is_told_from_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision/__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match="torchvision does not fit this torch: operator"):
        estimate_flow(FRAMES, "raft-large")


def test_importing_the_estimators_imports_neither_torch_nor_torchvision() -> None:
    code = ("import sys, motifocal.motion.raft\n"
            "print('torch' in sys.modules, 'torchvision' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"iterations": 0}, "iterations should be at least 1, got 0"),
        ({"precision": "int8"}, "precision should be one of .*got 'int8'"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RaftOptions(**options)
