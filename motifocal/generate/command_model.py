"""Sample with any program that animates images: one process per video or per batch.

The template is split into words once, as a shell would, and placeholders are filled in inside the
words afterwards. No shell sees the result, so a prompt may hold quotes, $ and line breaks.
"""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from string import Formatter
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from motifocal.generate.model import Format, Job
from motifocal.generate.process import Ending, run_process
from motifocal.media.video import VideoError, count_frames

if TYPE_CHECKING:
    from motifocal.models.text_limit import TextLimit

#: What a template may name, and what it stands for.
PLACEHOLDERS: Mapping[str, str] = {
    "image": "the image's file",
    "prompt": "the prompt",
    "output": "the .mp4 to write",
    "seed": "a whole number",
    "output_dir": "the folder of {output}, empty at the start",
    "name": "the name of {output} without its suffix",
    "batch": "a JSONL file of jobs: image, prompt, seed, output; stands without the others",
}
GRACE = 10.0  # seconds between asking a process to end and killing it

Word = list[tuple[str, str | None]]  # literal text, then a placeholder, and so on


class CommandModel:
    """A program behind a template such as `python infer.py -i {image} -p {prompt} -o {output}`.

    With {image} there is a process for every video, with {batch} one for all jobs of a call to
    `animate`. A process gets the environment and the working directory of the caller, absolute
    paths, and nothing to read on stdin. It writes under {output} (an empty folder of its own), any
    container that decodes; what ends well and is whole is moved to its place. Where a process of
    many jobs fails, the videos that it had finished are kept: those that decode and are as long
    as the longest.

    `timeout` is how many seconds one process may take; then it and all that it started are asked
    to end, and killed `grace` seconds later (on Windows: what still belongs to it). What it says
    goes to `<first output's name>.log` in the folder `logs`, by default beside the output.

    Raises ValueError for a template that cannot work, saying why.
    """

    format: Format | None = None
    text_limit: TextLimit | None = None  # a program reads as much as it does

    def __init__(
        self, template: str, name: str, *, timeout: float | None = None, grace: float = GRACE,
        logs: Path | None = None,
    ) -> None:
        if timeout is not None and not 0 < timeout < math.inf:
            raise ValueError(f"timeout should be a positive number of seconds, got {timeout}")
        self.name = name
        self.settings: Mapping[str, Any] = {"command": template}
        self._words = parse_template(template, PLACEHOLDERS)
        self._named = {field for word in self._words for _, field in word if field is not None}
        self._timeout, self._grace, self._logs = timeout, grace, logs
        self._seeds: set[int] = set()
        _check(self._words, self._named, template)

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        """Write the videos; for each job None, or in one line why there is none.

        Raises ValueError where the program cannot be started, and for jobs of several seeds where
        the template does not name {seed}: all of them would give the same video.
        """
        self._seeds |= {job.seed for job in jobs}
        self.check_seeds(self._seeds)
        batched = "batch" in self._named
        groups = [list(jobs)] if batched and jobs else [[job] for job in jobs]
        return [reason for group in groups for reason in self._animated(group)]

    def check_seeds(self, seeds: Iterable[int]) -> None:
        """Raise ValueError for several seeds where the template does not name {seed}."""
        different = sorted(set(seeds))
        if len(different) > 1 and not self._named & {"seed", "batch"}:
            words = ", ".join(map(str, different[:3]))
            raise ValueError(f"a command without {{seed}} should get one seed, got {words}")

    def _animated(self, jobs: Sequence[Job]) -> list[str | None]:
        """Run one process, and take what it wrote."""
        with ExitStack() as stack:
            places = [_scratch(stack, job) / job.output.name for job in jobs]
            values = self._values(stack, jobs, places)
            words = ["".join(text + ("" if field is None else values[field])
                             for text, field in word) for word in self._words]
            logs = self._logs or jobs[0].output.parent
            logs.mkdir(parents=True, exist_ok=True)
            log = logs / f"{jobs[0].output.stem}.log"
            ending = run_process(words, log, self._timeout, self._grace)
            if not ending.succeeded and "batch" not in self._named:
                return [ending.summary]
            return _take(jobs, places, ending)

    def _values(
        self, stack: ExitStack, jobs: Sequence[Job], places: Sequence[Path]
    ) -> dict[str, str]:
        """Return what each placeholder stands for."""
        if "batch" in self._named:
            file = _scratch(stack, jobs[0]) / "jobs.jsonl"
            lines = [json.dumps({"image": str(job.image.absolute()), "prompt": job.prompt,
                                 "seed": job.seed, "output": str(place)})
                     for job, place in zip(jobs, places, strict=True)]
            file.write_text("\n".join(lines) + "\n", encoding="utf-8")
            return {"batch": str(file)}
        job, place = jobs[0], places[0]
        return {"image": str(job.image.absolute()), "prompt": job.prompt, "seed": str(job.seed),
                "output": str(place), "output_dir": str(place.parent), "name": place.stem}


def parse_template(template: str, placeholders: Mapping[str, str]) -> list[Word]:
    """Return the words of a command, each as literal text and placeholders.

    Raises ValueError for quotes or braces that are not in pairs, and for other placeholders.
    """
    lexer = shlex.shlex(template, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    if os.name == "nt":
        lexer.escape = ""  # \ parts folders there
    try:
        words = list(lexer)
    except ValueError as error:
        raise ValueError(f"command should have its quotes in pairs, got {template!r}") from error
    if not words:
        raise ValueError("command should name a program, got none")
    return [_parsed_word(word, placeholders) for word in words]


def _parsed_word(word: str, placeholders: Mapping[str, str]) -> Word:
    try:
        pieces = list(Formatter().parse(word))
    except ValueError as error:
        raise ValueError(f"command should have its braces in pairs ({{{{ and }}}} stand for one "
                         f"brace), got {word!r}") from error
    parsed: Word = []
    for text, field, form, conversion in pieces:
        if field is not None and (field not in placeholders or form or conversion):
            known = ", ".join(f"{{{name}}}" for name in placeholders)
            raise ValueError(f"command should name only {known}, got {word!r}")
        parsed.append((text, field))
    return parsed


def _check(words: Sequence[Word], named: set[str], template: str) -> None:
    """Raise ValueError for a template that could not give a video."""
    if any(field is not None for _, field in words[0]):
        raise ValueError(f"command should start with a program's name, got {template!r}")
    if "batch" in named:
        if len(named) > 1:
            raise ValueError("command should name {batch} or the others, not both; the file holds "
                             f"image, prompt, seed and output, got {template!r}")
    elif "image" not in named or not ("output" in named or {"output_dir", "name"} <= named):
        raise ValueError("command should name {image} and {output} (or {output_dir} and {name}), "
                         f"or {{batch}}, got {template!r}")
    program = "".join(text for text, _ in words[0]).lower()
    if sys.platform == "win32" and program.endswith((".bat", ".cmd")):
        # Windows runs these through its shell, which would read a prompt as commands.
        raise ValueError(f"command should not be a batch file, got {template!r}")


def _scratch(stack: ExitStack, job: Job) -> Path:
    """Return an empty folder beside the output, gone when the stack is."""
    return Path(stack.enter_context(TemporaryDirectory(
        prefix=".", suffix=".tmp", dir=job.output.parent.absolute(), ignore_cleanup_errors=True)))


def _take(jobs: Sequence[Job], places: Sequence[Path], ending: Ending) -> list[str | None]:
    """Move what is a whole video to its place; for each job None or why there is none."""
    counts = [_frames(place) for place in places]
    most = max((count for count in counts if isinstance(count, int)), default=0)
    reasons: list[str | None] = []
    for job, place, count in zip(jobs, places, counts, strict=True):
        if isinstance(count, str):
            reasons.append(f"{count} ({ending.summary})")
        elif not ending.succeeded and count < most:
            reasons.append(f"is cut short, {count} frames of {most} ({ending.summary})")
        else:
            place.replace(job.output)
            reasons.append(None)
    return reasons


def _frames(place: Path) -> int | str:
    """Return how many frames a finished video has, or what is wrong with it."""
    if place.is_symlink():
        return "wrote a link, should be a file"
    if not place.exists():
        others = ", ".join(sorted(path.name for path in place.parent.iterdir())[:3])
        return f"wrote {others}, should be {place.name}" if others else "wrote no video"
    if not place.is_file():
        return "wrote a folder, should be a file"
    try:
        count = count_frames(place)
    except VideoError as error:
        return str(error).replace(f"{place}: ", "")
    return count if count > 1 else "wrote a single frame, should be a video"
