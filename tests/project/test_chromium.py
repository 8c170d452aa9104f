"""Browser tests say where Chromium is lacking; the script finds one that starts."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from browser import chromium

SCRIPT = Path(__file__).parents[2] / "scripts" / "install_chromium.sh"


def test_without_chromium_browser_tests_fail_in_ci_and_are_skipped_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("browser.NAMES", ("chromium",))
    monkeypatch.delenv("MOTIFOCAL_CHROMIUM", raising=False)
    monkeypatch.delenv("MOTIFOCAL_SHARED", raising=False)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="install_chromium"), chromium():
        pass
    for name in ("CI", "MOTIFOCAL_SHARED"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "true")
            with pytest.raises(pytest.fail.Exception, match="install_chromium"), chromium():
                pass


def run_script(*programs: tuple[str, str], bin: Path) -> subprocess.CompletedProcess[str]:
    """install_chromium.sh where only these programs can be found: name and shell text."""
    bin.mkdir()
    for name, text in programs:
        (bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (bin / name).chmod(0o755)
    sh = shutil.which("sh")
    assert sh is not None
    return subprocess.run([sh, str(SCRIPT)], env={"PATH": str(bin)}, capture_output=True, text=True,
                          check=False)


def test_the_script_finds_a_browser_that_starts_and_passes_over_one_that_does_not(
    tmp_path: Path,
) -> None:
    ended = run_script(("chromium-browser", "exit 1"), ("google-chrome", "echo 150"),
                       bin=tmp_path / "bin")
    assert (ended.returncode, ended.stdout) == (0, f"{tmp_path}/bin/google-chrome\n")


@pytest.mark.skipif(Path("/Applications").exists(), reason="a Mac may have Chrome in any case")
def test_without_root_the_script_says_what_to_install_and_fails(tmp_path: Path) -> None:
    ended = run_script(("id", "echo 1000"), bin=tmp_path / "bin")
    assert ended.returncode == 1
    assert "There is no Chromium" in ended.stderr
    assert ended.stdout == ""
