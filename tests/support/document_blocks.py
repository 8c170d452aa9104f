"""What the documents tell people to type: fenced blocks, inline commands, examples' docstrings."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The help texts, which tests/cli/test_cli.py compares with the commands; the paper's, whose
# commands tests/project/test_paper_commands.py runs one by one.
GENERATED = {"cli.md", "paper.md"}
LANGUAGES = {"sh", "python", "text", "toml"}
FENCED = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`((?:motifocal|make|pip|pipx|python|torchrun|accelerate) [^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """Some text of a page: its language (one of LANGUAGES), and the line it begins at."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """README, CONTRIBUTING, all of docs/ that is written by hand, and the examples."""
    documents = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
    return [*(path for path in documents if path.name not in GENERATED),
            *sorted(ROOT.glob("examples/*_lora.py"))]  # fmt: skip


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page in order, inline commands among them."""
    text, name = page.read_text(encoding="utf-8"), page.relative_to(ROOT).as_posix()
    if page.suffix == ".py":
        return [_docstring(name, text)]
    found = [Block(name, text[: match.start()].count("\n") + 1, match[1], match[2])
             for match in FENCED.finditer(text)]
    prose = FENCED.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    found += [Block(name, prose[: match.start()].count("\n") + 1, "inline", match[1])
              for match in INLINE.finditer(prose)]
    return sorted(found, key=lambda block: block.line)


def _docstring(name: str, source: str) -> Block:
    """The indented lines of a module's docstring, as a block of shell."""
    lines = (ast.get_docstring(ast.parse(source), clean=False) or "").splitlines()
    typed = [line.strip() for line in lines if line.startswith("    ")]
    return Block(name, 1, "sh", "\n".join(typed))


def commands_of(block: Block) -> Iterator[list[str]]:
    """The commands of a block of shell as words, without comments; `a && b` are two."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word != "&&":
                words.append(word)
            elif words:
                yield words
                words = []
