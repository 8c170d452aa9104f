"""Judge by any program, such as a reward model: frames as files in, a probability in a file out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from motifocal.bench.judge.judge import PROGRAM, TIMED_OUT, Answer, Failure, Query
from motifocal.generate.command_model import GRACE, parse_template
from motifocal.generate.process import run_process
from motifocal.media.picture import write_image

#: What a template may name, and what it stands for.
PLACEHOLDERS: Mapping[str, str] = {
    "frames": "a folder with the frames, 000.png, 001.png, ...",
    "prompt": "the prompt",
    "question": "the question",
    "text": "all that a language model would read",
    "output": "the file to write: P(yes), one number from 0 to 1",
}
MOST_READ = 256  # bytes of the output


class ProgramJudge:
    """A program behind a template such as `python reward.py {frames} {prompt} {output}`.

    There is one process a query, without a shell. `name` stands in tables. Its answers are kept by
    the template: what a program's files hold is not looked at. Raises ValueError for a template
    that does not name {frames} and {output}.
    """

    def __init__(self, template: str, name: str, *, timeout: float = 120.0) -> None:
        self.name, self.batch, self._timeout = name, 1, timeout
        self.identity: Mapping[str, Any] = {"judge": "program", "command": template, "name": name}
        self._words = parse_template(template, PLACEHOLDERS)
        named = {field for word in self._words for _, field in word}
        if not {"frames", "output"} <= named or any(field for _, field in self._words[0]):
            raise ValueError("command should start with a program and name {frames} and {output}, "
                             f"got {template!r}")

    def ask(self, queries: Sequence[Query]) -> list[Answer | Failure]:
        """Answer every query, one process after the other."""
        return [self._asked(query) for query in queries]

    def _asked(self, query: Query) -> Answer | Failure:
        with TemporaryDirectory(prefix="motifocal-judge-", ignore_cleanup_errors=True) as place:
            folder = Path(place)
            frames, output = folder / "frames", folder / "probability.txt"
            frames.mkdir()
            for number, frame in enumerate(query.frames):
                write_image(frames / f"{number:03d}.png", frame)
            values = {"frames": str(frames), "prompt": query.prompt, "question": query.question,
                      "text": query.text, "output": str(output)}
            words = ["".join(text + ("" if field is None else values[field])
                             for text, field in word) for word in self._words]
            ending = run_process(words, folder / "log.txt", self._timeout, GRACE)
            if not ending.succeeded:
                late = ending.summary.startswith("took longer")
                return Failure(TIMED_OUT if late else PROGRAM, ending.summary)
            return _read(output, ending.summary)


def _read(output: Path, summary: str) -> Answer | Failure:
    if output.is_symlink() or not output.is_file():
        return Failure(PROGRAM, f"it wrote no {output.name} ({summary})")
    with output.open("rb") as file:
        text = file.read(MOST_READ).decode(errors="replace").strip()
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        shown = "".join(letter for letter in text[:40] if letter.isprintable())
        return Failure(PROGRAM, f"it should write a number from 0 to 1, got {shown!r}")
    return Answer(number)
