"""Damaged files are read in a process of its own: what becomes of each is told, whatever happens.

A file is "read" or "refused" (ValueError, OSError); all else is a fault: another exception, a
process that ends, one that does not come back, and one that takes too much memory.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from readable import KINDS
from readable_kind import Kind

HANG = 20.0  # s
GIGABYTE = 10**9
START = 600.0  # s for a process to start and to read every whole file once, on a busy machine
GOOD = ("read", "refused")


@dataclass(frozen=True)
class Outcome:
    """`what`: read, refused, exception, crash, hang or memory; `words` say more."""

    kind: str
    number: int
    what: str
    words: str = ""
    seconds: float = 0.0
    megabytes: float = 0.0


class Reader:
    """One process that reads damaged files one after the other; another one where it has ended.

    `whole`: what `make_whole` has made. A file has `hang` seconds and `most` bytes of memory.
    `kinds`: names of some of KINDS, or others, for tests of this one.
    """

    def __init__(
        self, whole: Path, seed: int, *, kinds: Mapping[str, Kind] | Sequence[str] = tuple(KINDS),
        hang: float = HANG, most: int = GIGABYTE,
    ) -> None:  # fmt: skip
        self._hang, self._given = hang, (whole, seed, most, kinds)
        self._process: Any = None
        self._pipe: Any = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *raised: object) -> None:
        self._end()

    def read(self, kind: str, number: int) -> Outcome:
        """Damage a file of this kind, by this number, and read it."""
        if self._process is None:
            self._start()
        self._pipe.send((kind, number))
        if not self._pipe.poll(self._hang):
            self._end()
            return Outcome(kind, number, "hang", f"no end after {self._hang:g} s", self._hang)
        try:
            return Outcome(kind, number, *self._pipe.recv())
        except EOFError:
            self._process.join()
            words = f"the process ended with {self._process.exitcode}"
            self._end()
            return Outcome(kind, number, "crash", words)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, *self._given), daemon=True)
        self._process.start()
        theirs.close()
        said = self._pipe.recv() if self._pipe.poll(START) else "no answer"
        if said != "ready":
            raise RuntimeError(f"the reading process should read whole files: {said}")

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
        self._process = None


def make_whole(folder: Path, names: Sequence[str] = tuple(KINDS)) -> None:
    """Whole files of every kind, each in a folder of its own."""
    for name in names:
        kind, place = KINDS[name], folder / name
        if not place.exists():
            unfinished = folder / f".{name}"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
            kind.make(unfinished)
            unfinished.rename(place)


@contextlib.contextmanager
def damaged_copy(
    whole: Path, name: str, number: int, seed: int, kinds: Mapping[str, Kind] = KINDS
) -> Iterator[Path]:
    """A copy of a kind's folder, one file of which is damaged; gone at the end."""
    kind, rng = kinds[name], random.Random(f"{seed} {name} {number}")
    with tempfile.TemporaryDirectory(prefix="motifocal-fuzz-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(whole / name, copy)
        file = rng.choice(kind.files(copy))
        file.write_bytes(kind.damaged(file.read_bytes(), rng))
        yield copy


def _serve(
    pipe: Connection, whole: Path, seed: int, most: int, given: Mapping[str, Kind] | Sequence[str]
) -> None:
    """The process: read what it is told to, one after the other."""
    kinds = given if isinstance(given, Mapping) else {name: KINDS[name] for name in given}
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    for name, kind in kinds.items():  # a whole file must be read, and imports take their time
        try:
            kind.read(whole / name)
        except Exception as error:  # told where the process was started
            pipe.send(f"{name}: {error!r}")
            return
    _limit_memory()
    pipe.send("ready")
    while True:
        try:
            name, number = pipe.recv()
        except EOFError:
            return
        with damaged_copy(whole, name, number, seed, kinds) as copy:
            pipe.send(_read(kinds[name], copy, most))


def _read(kind: Kind, copy: Path, most: int) -> tuple[str, str, float, float]:
    before, since = _resident(), time.perf_counter()
    _forget_peak()
    what, words = "read", ""
    try:
        kind.read(copy)
    except (ValueError, OSError) as error:
        what, words = "refused", str(error)[:200]
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        what, words = "exception", f"{error!r:.200} at {last.filename}:{last.lineno}"
    peak = _peak() - before
    if what in GOOD and peak > most:
        what, words = "memory", f"{peak / GIGABYTE:.2f} GB ({words})"
    return what, words, time.perf_counter() - since, peak / 1e6


def _limit_memory() -> None:
    """Above what is measured, so that a machine does not come to an end."""
    if sys.platform == "linux":
        import resource

        data = _status("VmData") + 3 * GIGABYTE
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))


def _forget_peak() -> None:
    if sys.platform == "linux":
        Path("/proc/self/clear_refs").write_text("5")


def _resident() -> int:
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(field: str) -> int:
    """Bytes, as Linux counts them; 0 elsewhere, where memory is not measured."""
    if sys.platform != "linux":
        return 0
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))
