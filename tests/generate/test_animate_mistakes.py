"""`motifocal animate`: one line for every mistake, before anything heavy is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CommandLine

from motifocal.cli import main

MISTAKES: dict[str, tuple[tuple[str, ...], int, str]] = {
    "no such picture": (("missing.png", "nothing moves"), 2, "'missing.png' does not exist"),
    "no image": (("{text}", "nothing moves"), 1, "not an image in a known format"),
    "a folder": (("{folder}", "nothing moves"), 2, "is a directory"),
    "no prompt": (("{picture}",), 2, "Missing argument 'PROMPT...'"),
    "a blank prompt": (("{picture}", " "), 2, "should hold words"),
    "a prompt twice": (("{picture}", "it rises", "It rises."), 2, "should differ"),
    "a negative seed": (("{picture}", "it rises", "--seed", "-1"), 2, "--seed"),
    "a seed in words": (("{picture}", "it rises", "--seed", "one"), 2, "--seed"),
    "no steps": (("{picture}", "it rises", "--steps", "0", "--"), 2, "--steps"),
    "an odd size": (("{picture}", "it rises", "--size", "30x32"), 1, "multiples of 8, got 30x32"),
    "no size": (("{picture}", "it rises", "--size", "wide"), 2, "--size"),
    "another format": (("{picture}", "it rises", "-o", "x.avi"), 2, "a folder or end in"),
    "one file for two": (("{picture}", "a", "b", "-o", "x.mp4"), 2, "a folder for several"),
    "no model": (("{picture}", "it rises", "--model", "{empty}"), 1, "got no model_index.json"),
    "an option that is none": (("{picture}", "it rises", "--tempo", "3"), 2, "No such option"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_never_a_traceback(
    mistake: str, duck: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    arguments, code, message = MISTAKES[mistake]
    (tmp_path / "notes.txt").write_text("this is no picture")
    (tmp_path / "empty").mkdir()
    places = {"picture": duck, "text": tmp_path / "notes.txt", "folder": tmp_path,
              "empty": tmp_path / "empty"}  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    words = [argument.format(**places) for argument in arguments]
    chosen = [] if "--model" in words else ["--model", str(model)]
    monkeypatch.setattr(sys, "argv", ["motifocal", "animate", *chosen, *words])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr()
    assert end.value.code == code
    assert message in " ".join(said.err.split())
    assert said.err.splitlines()[-1].startswith(("Error: ", "motifocal: "))
    assert said.out == ""
    assert sorted(tmp_path.rglob("*")) == before


def test_a_real_process_ends_with_one_line_before_it_loads_anything_heavy(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    program = (
        "import sys, atexit; from motifocal.cli import main;"
        "atexit.register(lambda: print('torch' in sys.modules)); main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, "animate", "broken.png", "it rises"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr.startswith("motifocal: broken.png: ")
    assert ended.stderr.count("\n") == 1
    assert ended.stdout == "False\n"


PIPELINE_MISTAKES: dict[str, tuple[tuple[str, ...], str]] = {
    "a length": (("--model", "{pipeline}", "--frames", "8"), "nearest are 1 and 9, got 8"),
    "a size": (("--model", "{pipeline}", "--size", "40x64"), "nearest is 32x64, got 40x64"),
    "an offload": (("--model", "{pipeline}", "--offload", "model"), "none on the CPU, got model"),
    "its own offload": (("--model", "{model}", "--offload", "model"), "none on the CPU, got model"),
    "no folder": (("--model", "no-such-model"), "should be a model folder or a hub id"),
    "a template": (("--command", "infer --seed {{seed}}"), "command should name {image}"),
}


@pytest.mark.parametrize("mistake", PIPELINE_MISTAKES)
def test_what_a_model_cannot_do_is_one_line(
    mistake: str, animate_alone: CommandLine, pipeline: Path, model: Path, duck: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    options, words = PIPELINE_MISTAKES[mistake]
    out = tmp_path / "out"
    given = [option.format(pipeline=pipeline, model=model) for option in options]
    ended = animate_alone(duck, "it rises", "-o", out, *given)
    assert ended.code == 1
    last = ended.err.splitlines()[-1]
    assert last.startswith("motifocal: ")
    assert words in last
    assert ended.out == ""
    assert not out.exists()


def test_a_hub_id_out_of_reach_is_one_line(
    animate_alone: CommandLine, duck: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    ended = animate_alone(duck, "it rises", "--model", "nobody/none", "-o", tmp_path / "a.mp4")
    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("motifocal: nobody/none is no folder here")
