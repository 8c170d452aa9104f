"""Run jobs in separate processes, so that a crash of one does not affect the others.

A decoder may crash the process or never come back. Threads and process pools die or wait with it;
here its process alone is ended, the job is given up with a reason, and another process starts.
Workers are spawned, not forked: FFmpeg and OpenCV hold threads that a fork would lose.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic

import cv2

from motifocal.data.workers.items import Done, J, R, top_up, unlimited

_CONTEXT = multiprocessing.get_context("spawn")
_READY = "ready"
_LONGEST_WAIT = 3600.0  # seconds; systems do not take any number
_ENDING = 5.0  # seconds for a process that was asked to end


@dataclass(frozen=True)
class Processes:
    """`count` processes; an item whose process ends, or takes too long, is given up."""

    count: int

    def run(
        self, work: Callable[[J], R], jobs: Iterable[J],
        seconds: Callable[[J], float] = unlimited,
    ) -> Generator[Done[J, R], None, None]:  # fmt: skip
        """Yield items as they are done, or given up with a reason."""
        return in_processes(work, jobs, self.count, seconds)


@dataclass(eq=False)
class _Worker(Generic[J]):
    process: BaseProcess
    pipe: Connection
    job: J | None = None
    ready: bool = False
    seconds: float = 0.0
    deadline: float = 0.0


def in_processes(
    work: Callable[[J], R], jobs: Iterable[J], count: int, seconds: Callable[[J], float]
) -> Generator[Done[J, R], None, None]:
    """Yield results in the order in which they are done; a job has `seconds(job)`.

    `work` and the jobs have to be picklable, so `work` is a function of a module. What a job raises
    ends its process like a crash: the trace is printed there, the reason says so.

    Raises RuntimeError where a process does not come up at all.
    """
    if count < 1:
        raise ValueError(f"count should be at least 1, got {count}")
    source, waiting = iter(jobs), deque[J]()
    workers: list[_Worker[J]] = []
    top_up(waiting, source, count)
    try:
        while waiting or any(worker.job is not None for worker in workers):
            busy = sum(worker.job is not None for worker in workers)
            while len(workers) < min(count, busy + len(waiting)):
                workers.append(_started(work))
            for worker in _ready_workers(workers):
                done: Done[J, R] | None = _answer(worker)
                if done is not None:
                    yield done
                if not worker.process.is_alive() or not worker.ready:
                    workers.remove(worker)
                    _end(worker)
                elif worker.job is None and waiting:
                    worker.job = waiting.popleft()
                    worker.seconds = seconds(worker.job)
                    worker.deadline = time.monotonic() + worker.seconds
                    worker.pipe.send(worker.job)
                    top_up(waiting, source, count)
            for worker in [w for w in workers if w.job is not None]:
                if time.monotonic() > worker.deadline and worker.job is not None:
                    workers.remove(worker)
                    _end(worker, patient=False)
                    yield Done(worker.job, None, f"no end after {worker.seconds:.0f} s")
    finally:
        for worker in workers:
            _end(worker, patient=worker.job is None)


def _started(work: Callable[[J], R]) -> _Worker[J]:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_serve, args=(theirs, work), daemon=True)
    with _without_interrupts():
        process.start()
    theirs.close()
    return _Worker(process, ours)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Start processes here that ignore SIGINT from their first instruction, not only in `_serve`.

    Else it would print where its imports were. What comes meanwhile reaches us afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # its own start would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, work: Callable[[J], R]) -> None:
    """Answer each job until the pipe closes, in the worker's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent
    cv2.setNumThreads(1)  # there is a process for each core
    with suppress(EOFError, ConnectionError):  # the parent has ended
        pipe.send(_READY)
        while True:
            pipe.send(work(pipe.recv()))


def _ready_workers(workers: list[_Worker[J]]) -> list[_Worker[J]]:
    """Wait for workers that have an answer or have ended, at most until the next deadline."""
    deadlines = [worker.deadline for worker in workers if worker.job is not None]
    left = max(0.0, min(deadlines) - time.monotonic()) + 0.01 if deadlines else None
    if left is not None:
        left = min(left, _LONGEST_WAIT)
    by_sign = {sign: w for w in workers for sign in (w.pipe, w.process.sentinel)}
    heard = wait(list(by_sign), timeout=left)
    return list(dict.fromkeys(by_sign[sign] for sign in heard))  # type: ignore[index]


def _answer(worker: _Worker[J]) -> Done[J, R] | None:
    """Receive a worker's answer; a worker that ended instead is no longer ready."""
    try:
        answer = worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(_ENDING)
        code = worker.process.exitcode
        if not worker.ready:
            raise RuntimeError(f"a process ended at its start ({_ended(code)})") from None
        worker.ready = False
        if worker.job is None:
            return None
        return Done(worker.job, None, f"its process ended ({_ended(code)})")
    if not worker.ready:
        worker.ready = answer == _READY
        return None
    job, worker.job = worker.job, None
    assert job is not None  # nothing is answered that was not asked
    return Done(job, answer)


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {-code}, {signal.strsignal(-code) or 'unknown'}"
    return f"exit code {code}"


def _end(worker: _Worker[J], *, patient: bool = True) -> None:
    """Close the pipe, which ends an idle worker, and make sure of it."""
    worker.pipe.close()
    if not patient:
        worker.process.kill()
    worker.process.join(_ENDING)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    worker.process.close()
