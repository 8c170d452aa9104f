"""Run a program to its end or its time limit, with all its child processes, and report how."""

from __future__ import annotations

import errno
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TAIL_BYTES = 4096
TAIL_LINES = 3
TAIL_LETTERS = 300
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-_]")  # colours and cursor moves


@dataclass(frozen=True)
class Ending:
    """How a process ended; `summary` is one line with the last lines of its output."""

    succeeded: bool
    summary: str


def run_process(words: Sequence[str], log: Path, timeout: float | None, grace: float) -> Ending:
    """Run a program with these arguments; what it says goes to the file `log`.

    It gets the caller's environment and working directory, nothing on stdin, and a process group
    of its own. After `timeout` seconds, and where the caller is interrupted, the whole group is
    asked to end, and killed `grace` seconds later. What it leaves running when it ends by itself
    is killed at once (on Windows, which has no such groups, that stays).

    Raises ValueError where the program cannot be started. Words that no program could be given
    are an ending like any other.
    """
    unfit = _unfit(words)
    if unfit is not None:
        return Ending(False, unfit)
    with log.open("wb") as file:
        file.write((shlex.join(words) + "\n").encode(errors="backslashreplace"))
        file.flush()
        start = file.tell()
        try:
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=file,
                                       stderr=subprocess.STDOUT, **_OWN_GROUP)
        except OSError as error:
            if error.errno == errno.E2BIG:
                return Ending(False, "the prompt is too long for a command line")
            raise ValueError(f"command should start with a program that can be run, got "
                             f"{words[0]} ({error.strerror})") from error
        late = False
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            late = True
        finally:  # also after Ctrl-C, which a group of its own does not get
            _end(process, grace)
    outcome = f"took longer than {timeout:g} s" if late else _described(process.returncode)
    reason = ": ".join(filter(None, (outcome, _last_words(log, start))))
    return Ending(not late and process.returncode == 0, reason)


def _unfit(words: Sequence[str]) -> str | None:
    """Return why these words cannot be handed to a program, if so."""
    for word in words:
        try:
            data = os.fsencode(word)
        except UnicodeEncodeError:
            return "the prompt contains a lone surrogate (half of a UTF-16 pair)"
        if b"\0" in data:
            return "the prompt holds a null character"
    return None


def _described(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal, which has no name
        return f"killed by signal {-code}"


def _last_words(log: Path, start: int) -> str:
    """Return the last lines of a log in one line, without colours and control characters."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(start, size - TAIL_BYTES))
        text = _ESCAPES.sub("", file.read().decode(errors="replace"))
    plain = ["".join(letter if letter.isprintable() else " " for letter in line)
             for line in re.split(r"[\r\n]+", text)]
    # A line without a letter or digit says nothing: carets below code, rules.
    lines = [" ".join(line.split()) for line in plain if any(map(str.isalnum, line))]
    return " | ".join(lines[-TAIL_LINES:])[-TAIL_LETTERS:]


def _end(process: subprocess.Popen[bytes], grace: float) -> None:
    """End a process, if it still runs, and whatever is left of what it started."""
    try:
        if process.poll() is None:
            _ask(process)
            with suppress(subprocess.TimeoutExpired):
                process.wait(grace)
    finally:
        _kill(process)
        process.wait()


if sys.platform == "win32":
    _OWN_GROUP: dict[str, Any] = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}

    def _ask(process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.CTRL_BREAK_EVENT)

    def _kill(process: subprocess.Popen[bytes]) -> None:
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
else:
    _OWN_GROUP: dict[str, Any] = {"start_new_session": True}

    def _ask(process: subprocess.Popen[bytes]) -> None:
        _signal(process, signal.SIGTERM)

    def _kill(process: subprocess.Popen[bytes]) -> None:
        _signal(process, signal.SIGKILL)

    def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
        # The group is empty, or (macOS) holds only the dead.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
