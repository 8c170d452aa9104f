"""Every command and every block of Python in the documents is run, with small stand-ins."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import document_stand_ins
import pytest
from document_blocks import LANGUAGES, ROOT, Block, blocks_of, commands_of, pages
from document_commands import MAY_FAIL, NOT_RUN, check, reason_of, run_command

# Python that is compiled and not run: scripts around other projects' code.
NOT_RUN_PYTHON = re.compile(r'^"""\w+\.py: runs ')
FEWER_IN_PYTHON = {'"head", 81': '"head", 17', "480, 832": "32, 48",
                   'output_type="pil"': 'output_type="pil", num_inference_steps=1'}  # fmt: skip
# Inline, a command without what it needs is a mention, such as `motifocal heatmap --masks`.
MENTIONED = (click.MissingParameter, click.BadOptionUsage, click.exceptions.NoArgsIsHelpError)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("documents")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        document_stand_ins.make_stand_ins(folder)
    return folder


@pytest.fixture
def workspace(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of the stand-ins, the current folder."""
    shutil.copytree(stand_ins, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    return tmp_path / "here"


def run_block(block: Block, names: dict[str, Any]) -> None:
    """Run a block; blocks of Python of one page share `names`."""
    if block.language == "sh":
        for words in commands_of(block):
            run_command(words)
    elif block.language == "toml":  # its first line is the name of the file
        Path(block.text.splitlines()[0].removeprefix("# ")).write_text(block.text)
    elif block.language == "inline":
        (words,) = commands_of(block)
        try:
            check(words)
        except MENTIONED:
            return
        run_command(words)
    elif block.language == "python":
        text = block.text
        for whole, small in FEWER_IN_PYTHON.items():
            text = text.replace(whole, small)
        code = compile(text, str(block), "exec")
        if not NOT_RUN_PYTHON.match(text):
            names |= document_stand_ins.python_names(text)
            exec(code, names)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_what_a_page_tells_people_to_type_works_in_its_order(page: Path, workspace: Path) -> None:
    names: dict[str, Any] = {}
    for block in blocks_of(page):
        try:
            run_block(block, names)
        except Exception as error:
            raise AssertionError(f"{block}: {error!r}\n{block.text}") from error


def everything() -> Iterator[tuple[Block, list[str]]]:
    """All commands of all pages."""
    for page in pages():
        for block in blocks_of(page):
            if block.language in ("sh", "inline"):
                for words in commands_of(block):
                    yield block, words


def test_every_block_says_its_language() -> None:
    """`sh` and `python` are run, `toml` is written; `text` is for trees and what a command prints.
    """
    blocks = [block for page in pages() for block in blocks_of(page)]
    assert [str(b) for b in blocks if b.language not in {*LANGUAGES, "inline"}] == []
    programs = {"motifocal", "pip", "pipx", "make", "python", "torchrun", "accelerate"}
    hidden = [str(b) for b in blocks if b.language == "text"
              and any(line.split(" ")[0] in programs for line in b.text.splitlines())]  # fmt: skip
    assert hidden == []


def test_every_reason_not_to_run_a_command_is_that_of_one() -> None:
    lines = [" ".join(words) for _, words in everything()]
    unused = [pattern for pattern in (*NOT_RUN, *MAY_FAIL)
              if not any(fnmatch(line, pattern) for line in lines)]  # fmt: skip
    assert unused == []


def test_most_commands_are_run() -> None:
    ran = [reason_of(words) is None for _, words in everything() if words[0] == "motifocal"]
    assert sum(ran) > 0.6 * len(ran)


def test_a_command_that_does_not_work_is_found(workspace: Path) -> None:
    for text in ("motifocal figure6 clips/ held-out/ -o figure/", "motifocal inspect clips/ --fast",
                 "motifocal bench run --bench TI2V-Bench --modle some/model -o x --device cuda",
                 "some-program --option"):  # fmt: skip
        with pytest.raises((AssertionError, click.ClickException)):
            run_block(Block("page.md", 1, "sh", text), {})
    with pytest.raises(NameError):
        run_block(Block("page.md", 1, "python", "unknown_name"), {})
