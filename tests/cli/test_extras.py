"""What the core does without torch, and how a missing extra is named."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from blocked_packages import ROOT, run_without

from motifocal.extras import EXTRA_OF, missing_extra
from motifocal.media.picture import write_image
from motifocal.media.video import write_video

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Package that is imported -> its name where it is installed, where the two differ.
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow", "markdown_it": "markdown-it-py",
                 "pydantic_core": "pydantic", "yaml": "pyyaml"}  # fmt: skip
# Not in pyproject.toml: parts of what is there, and what only the trainers' environments have.
ELSEWHERE = {"anyio", "google", "ltx_trainer", "markupsafe", "musubi_tuner", "tokenizers"}


def requirements(names: list[str]) -> set[str]:
    return {re.split(r"[\[<>=;! ]", name)[0].lower().replace("_", "-") for name in names}


def brought(extra: str) -> set[str]:
    """What an extra brings, those that it names included."""
    names = PROJECT["optional-dependencies"][extra]
    inner = [name for line in names if line.startswith("motifocal[")
             for name in re.split(r"[\[\]]", line)[1].split(",")]
    return requirements(names).union(*map(brought, inner)) - {"motifocal"}


def imported_packages() -> set[str]:
    """Every package that a file of ours imports, wherever it does so."""
    found = set()
    for path in (ROOT / "motifocal").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
    return found - set(sys.stdlib_module_names) - {"motifocal", "__future__"}


def distribution(package: str) -> str:
    return DISTRIBUTIONS.get(package, package).lower().replace("_", "-")


def test_every_package_that_is_imported_is_of_the_core_or_of_a_known_extra() -> None:
    core = requirements(PROJECT["dependencies"])
    unknown = {package for package in imported_packages() - ELSEWHERE - set(EXTRA_OF)
               if distribution(package) not in core}
    assert unknown == set()


@pytest.mark.parametrize("package", sorted(set(EXTRA_OF) - {"tokenizers"}))
def test_the_extra_that_is_named_brings_the_package(package: str) -> None:
    assert distribution(package) in brought(EXTRA_OF[package])


def test_all_is_every_extra_but_torchvision_and_the_site() -> None:
    everything = set().union(*map(brought, set(EXTRA_OF.values()) - {"raft"}))
    assert brought("all") == everything
    assert brought("all") <= brought("dev")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with one captioned clip of a textured square that moves."""
    folder = tmp_path / "clips"
    folder.mkdir()
    frames = np.full((9, 64, 64, 3), 90, np.uint8)
    square = np.random.default_rng(0).integers(0, 255, (16, 16, 3))
    for index, frame in enumerate(frames):
        frame[20:36, 3 * index : 3 * index + 16] = square
    write_video(folder / "a.mp4", frames, 8)
    (folder / "a.txt").write_text("a square moves to the right")
    return folder


GRID = ("--family", "wan", "--size", "64x64", "--frames", "9")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "file"),
    [
        (("heatmap", "--overlay"), "filmstrip.png"),
        (("inspect", *GRID, "--fps", "8"), "inspect.html"),
        (("export", "--as", "latents", *GRID), "weights.jsonl"),
        (("export", "--as", "masks", *GRID), "masks/a.mp4"),
    ],
)
def test_the_core_alone_reads_clips(
    command: tuple[str, ...], file: str, clips: Path, tmp_path: Path
) -> None:
    name, *options = command
    ended = run_without(EXTRA_OF, tmp_path, "-m", "motifocal", name, clips, "-o", tmp_path / "out",
                        *options)  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out" / file).exists()


@pytest.mark.parametrize(
    ("packages", "arguments", "extra"),
    [
        (("torch",), ("weights", "ltx", "{folder}"), "torch"),
        (("torch", "diffusers"), ("animate", "{picture}", "it falls", "-o", "{out}"), "models"),
        (("accelerate", "torch"), ("base", "-o", "{out}"), "train"),
        (("scipy",), ("study", "plan"), "report"),
        (("sqlalchemy",), ("study", "export", "{out}.db", "-o", "{out}"), "study"),
        (("psycopg",), ("study", "export", "postgresql:///none", "-o", "{out}"), "postgresql"),
        (("fsspec", "s3fs"), ("inspect", "s3://bucket/clips"), "remote"),
        (("huggingface_hub",), ("inspect", "hf://datasets/owner/name"), "remote"),
        (("matplotlib",), ("bench", "score", "{folder}", "-o", "{out}"), "bench"),
        (("torchvision",), ("heatmap", "{folder}/a.mp4", "-o", "{out}", "--source", "raft-small",
                            "--raft-weights", "{picture}"), "raft"),
    ],
)  # fmt: skip
def test_a_missing_extra_is_one_line_that_names_it(
    packages: tuple[str, ...], arguments: tuple[str, ...], extra: str, clips: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    write_image(picture, np.zeros((64, 64, 3), np.uint8))
    words = {"folder": clips, "picture": picture, "out": tmp_path / "out.mp4"}
    filled = [argument.format(**words) for argument in arguments]
    ended = run_without(packages, tmp_path, "-m", "motifocal", *filled)
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    line = ended.stderr.splitlines()[-1]
    assert f"install the extra {extra}: pip install '.[{extra}]'" in line, line


def test_a_public_name_without_its_packages_names_the_extra(tmp_path: Path) -> None:
    ended = run_without(["torch", "diffusers"], tmp_path, "-c",
                        "from motifocal import TI2VPipeline")  # fmt: skip
    assert "is not installed; install the extra models: pip install" in ended.stderr
    assert ended.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")


def test_the_loss_loads_neither_opencv_nor_pyav_nor_diffusers(tmp_path: Path) -> None:
    code = ("from motifocal import motion_focal_loss, motion_loss, motion_weights; import sys; "
            "print({'av', 'cv2', 'diffusers', 'transformers'} & set(sys.modules))")  # fmt: skip
    assert run_without([], tmp_path, "-c", code).stdout == "set()\n"


def test_a_missing_package_of_no_extra_is_a_fault_and_stays_one() -> None:
    assert missing_extra(ModuleNotFoundError("No module named 'einop'", name="einop")) is None
