"""Motifocal installs and works beside what musubi-tuner and the LTX-2 trainer pin."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "install_pins.sh"
# The dependencies in the pyproject.toml of musubi-tuner 0.2.15 (07f78ab), and in those of
# ltx-trainer and ltx-core 1.2.0 (1bf8c0e). Left out of the latter: what shares no dependency with
# us (bitsandbytes, google-genai, imageio, openai, optimum-quanto, soundfile), and torchaudio,
# torchcodec, torchvision, which follow the build of torch.
PINS = {
    "musubi-tuner": [
        "accelerate==1.6.0", "av==14.0.1", "bitsandbytes", "diffusers==0.32.1", "einops==0.7.0",
        "huggingface-hub==1.11.0", "opencv-python==4.10.0.84", "pillow>=11.3.0",
        "safetensors==0.4.5", "toml==0.10.2", "tqdm==4.67.1", "transformers==5.5.4",
        "voluptuous==0.15.2", "ftfy==6.3.1", "easydict==1.13", "sentencepiece==0.2.1",
    ],
    "ltx-trainer": [
        "transformers>=5.8.0,<5.15", "accelerate>=1.2.1", "av>=14.2.1",
        "huggingface-hub[hf-xet]>=0.31.4", "opencv-python>=4.11.0.86", "pandas>=2.2.3",
        "peft>=0.14.0", "pillow-heif>=0.21.0", "pydantic>=2.10.4", "rich>=13.9.4",
        "safetensors>=0.5.0", "scenedetect>=0.6.5.2", "typer>=0.15.1", "wandb>=0.27.0", "einops",
        "numpy", "scipy>=1.14",
    ],
}  # fmt: skip
# What is put beside the bridges' own tests: of these packages the releases that were resolved, and
# httpx, without which their huggingface_hub does not import.
BESIDE = {
    "musubi-tuner": [
        "accelerate==1.6.0", "av==14.0.1", "diffusers==0.32.1", "einops==0.7.0", "httpcore==1.0.9",
        "httpx==0.28.1", "huggingface-hub==1.11.0", "opencv-python==4.10.0.84",
        "safetensors==0.4.5", "tokenizers==0.22.2", "transformers==5.5.4",
    ],
    "ltx-trainer": [
        "httpcore==1.0.9", "httpx==0.28.1", "huggingface-hub==1.33.0", "tokenizers==0.22.2",
        "transformers==5.14.1",
    ],
}  # fmt: skip
TESTS = {
    "musubi-tuner": ["test_musubi_*.py", "test_bridges_cache.py", "test_bridges_loop.py"],
    "ltx-trainer": ["test_ltx_*.py"],
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.version_info >= (3, 13), reason="musubi-tuner is for Python below 3.13"),
]


def pip(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pip", *map(str, arguments)], cwd=ROOT,
                          capture_output=True, text=True)  # fmt: skip


@cache
def an_index_answers() -> bool:
    """Whether pip finds a small package that is surely published."""
    return pip("install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed", "--retries",
               "0", "toml==0.10.2").returncode == 0  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    folder = tmp_path_factory.mktemp("wheel")
    built = pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, ".")
    assert built.returncode == 0, built.stderr
    (found,) = folder.glob("motifocal-*.whl")
    return found


@pytest.mark.parametrize("trainer", PINS)
def test_the_pins_of_a_trainer_and_the_wheel_are_installed_together(
    trainer: str, wheel: Path, tmp_path: Path
) -> None:
    if not an_index_answers():
        pytest.skip("no package index answers")
    torch = importlib.metadata.version("torch").partition("+")[0]  # else gigabytes of CUDA
    answer = tmp_path / "report.json"
    resolved = pip("install", "--quiet", "--dry-run", "--ignore-installed", "--only-binary=:all:",
                   "--report", answer, *PINS[trainer], f"torch=={torch}",
                   f"{wheel}[torch]")  # fmt: skip
    assert resolved.returncode == 0, resolved.stderr[-2000:]
    metadata = [item["metadata"] for item in json.loads(answer.read_text())["install"]]
    versions = {canonicalize_name(data["name"]): data["version"] for data in metadata}
    assert "motifocal" in versions
    # The documented way leaves our OpenCV out, so theirs has to do.
    ours = {requirement.name: requirement for requirement in core()}
    assert versions["opencv-python"] in ours["opencv-python-headless"].specifier


def core() -> list[Requirement]:
    """What our installation without extras needs."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[\n(.*?)^\]", text, re.DOTALL | re.MULTILINE)
    assert listed
    return [Requirement(line) for line in re.findall(r'"(.+?)",\n', listed[1])]


@pytest.mark.parametrize("trainer", PINS)
def test_the_documented_lines_bring_all_that_a_trainer_lacks(trainer: str) -> None:
    page = (ROOT / "docs" / "bridges.md").read_text(encoding="utf-8")
    assert "pip install --no-deps ." in page
    line = re.search(r"^pip install (click .*?)(?: +#.*)?$", page, re.MULTILINE)
    assert line
    there = {canonicalize_name(Requirement(pin).name) for pin in PINS[trainer]}
    assert "opencv-python" in there
    # That is the same OpenCV with windows, and needs NumPy; pillow-heif needs Pillow.
    there |= {"opencv-python-headless", "numpy"} | ({"pillow"} if "pillow-heif" in there else set())
    assert {requirement.name for requirement in core()} <= there | set(line[1].split())


@pytest.fixture(params=BESIDE)
def trainer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def environment(trainer: str) -> dict[str, str]:
    """The variables of a process that imports the trainer's releases before ours."""
    done = subprocess.run(["sh", SCRIPT, sys.executable, trainer, *BESIDE[trainer]],
                          capture_output=True, text=True)  # fmt: skip
    if done.returncode:
        if an_index_answers():
            pytest.fail(done.stderr)
        pytest.skip("no package index answers")
    path = os.pathsep.join([done.stdout.strip(), str(ROOT)])
    return {**os.environ, "PYTHONPATH": path}


def test_the_bridges_own_tests_pass_beside_the_releases_of_the_trainer(
    trainer: str, environment: dict[str, str]
) -> None:
    code = "import importlib.metadata as m, sys; print(*map(m.version, sys.argv[1:]), sep='\\n')"
    pins = [Requirement(pin) for pin in BESIDE[trainer]]
    seen = subprocess.run([sys.executable, "-c", code, *(pin.name for pin in pins)], check=True,
                          capture_output=True, text=True, env=environment)  # fmt: skip
    assert all(version in pin.specifier
               for version, pin in zip(seen.stdout.split(), pins, strict=True))
    both = subprocess.run(
        [sys.executable, "-c", "import transformers, motifocal.bridges.musubi, "
         "motifocal.bridges.ltx; from transformers import AutoTokenizer"],
        capture_output=True, text=True, env=environment)  # fmt: skip
    assert both.returncode == 0, both.stderr
    files = [sorted((ROOT / "tests" / "bridges").glob(name)) for name in TESTS[trainer]]
    assert all(files)
    tests = [str(file) for named in files for file in named]
    ended = subprocess.run([sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider",
                            *tests], cwd=ROOT, capture_output=True, text=True,
                           env=environment)  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-4000:]
    assert re.search(r"\d+ passed", ended.stdout)
