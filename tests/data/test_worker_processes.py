"""Jobs in processes of this machine: a crash or a hang costs one job, and no process stays."""

from __future__ import annotations

import os
import signal
import time

import pytest

from motifocal.data.workers.processes import in_processes


def square(number: int) -> int:
    return number * number


def trouble(number: int) -> int:
    """A decoder at its worst: 1 crashes, 2 hangs, 3 raises, the others are squared."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 2:
        time.sleep(600)
    if number == 3:
        raise MemoryError("no more")
    return number * number


def stubborn(number: int) -> int:
    """Ctrl-C in a terminal reaches the workers as well."""
    os.kill(os.getpid(), signal.SIGINT)
    return number


def a_minute(_: object) -> float:
    return 60.0


class Gone:
    """Can be sent, and not be received."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.path.exists, ()  # a call without its argument

    def __call__(self, number: int) -> int:
        return number


gone = Gone()


def test_all_jobs_are_answered_by_any_number_of_processes() -> None:
    for count in (1, 3):
        done = list(in_processes(square, range(7), count, a_minute))
        assert sorted((one.job, one.result) for one in done) == [(n, n * n) for n in range(7)]
    assert list(in_processes(square, [], 2, a_minute)) == []


@pytest.mark.slow
def test_a_crash_or_a_hang_costs_one_job_and_no_more(capfd: pytest.CaptureFixture[str]) -> None:

    def seconds(job: int) -> float:
        return 3.0 if job == 2 else 600.0  # that job alone hangs, however busy the machine is

    done = {one.job: one for one in in_processes(trouble, range(6), 2, seconds)}
    assert {job: one.result for job, one in done.items()} == {
        0: 0, 1: None, 2: None, 3: None, 4: 16, 5: 25,
    }  # fmt: skip
    assert "signal 11" in str(done[1].reason)
    assert done[2].reason == "no end after 3 s"
    assert done[3].reason == "its process ended (exit code 1)"
    assert "MemoryError: no more" in capfd.readouterr().err


def test_an_interrupt_is_not_for_the_workers() -> None:
    assert [one.result for one in in_processes(stubborn, [4], 1, a_minute)] == [4]


def deaf(number: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such masks")
def test_an_interrupt_while_a_worker_starts_is_not_for_it_either() -> None:
    """It has not come to where it says so itself, and would print where its imports were."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert [one.result for one in in_processes(deaf, [1, 2], 2, a_minute)] == [True, True]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_leaving_early_leaves_no_process_behind() -> None:
    import multiprocessing

    jobs = in_processes(trouble, [0, 2, 4], 2, a_minute)
    assert next(jobs).result == 0
    jobs.close()
    assert multiprocessing.active_children() == []


def test_no_process_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="count should be at least 1, got 0"):
        next(in_processes(square, [1], 0, a_minute))


def test_a_process_that_cannot_start_is_an_error() -> None:
    """What cannot be found there cannot be worked with, and trying again will not help."""
    with pytest.raises(RuntimeError, match=r"ended at its start \(exit code 1\)"):
        list(in_processes(gone, [1], 1, a_minute))
