"""Functions over items: threads take them as they need them, results come in order."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_bench import DrawingModel, write_benchmark
from worker_functions import square

from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results
from motifocal.bench.run import run_on
from motifocal.cli.inspect import inspect
from motifocal.data.workers.here import Here
from motifocal.data.workers.items import Done, Workers, in_order
from motifocal.data.workers.processes import Processes
from motifocal.data.workers.threads import Threads
from motifocal.generate.model import ModelInfo


def test_every_item_is_answered_once_by_threads() -> None:
    done = list(Threads(3).run(square, list(range(9))))
    assert sorted((one.job, one.result) for one in done) == [(n, n * n) for n in range(9)]


@pytest.mark.parametrize("workers", [Here(), Threads(2), Processes(1)])
def test_items_are_taken_as_workers_need_them(workers: Workers) -> None:
    taken: list[int] = []
    done = workers.run(square, (taken.append(number) or number for number in range(1000)))
    next(done)
    assert 1 <= len(taken) <= 20
    assert sum(1 for _ in done) == 999
    assert taken == list(range(1000))


def test_what_threads_have_done_comes_before_an_error_that_ends_them() -> None:
    behind = threading.Event()

    def work(number: int) -> int:
        if number == 5:
            raise ValueError("number should not be 5")
        if number == 6:
            behind.set()
        return number

    def numbers() -> Iterator[int]:
        yield from range(7)
        assert behind.wait(60)  # one thread: all before 6 have ended
        yield 7

    results = []

    def collect() -> None:
        for done in Threads(1).run(work, numbers()):
            results.append(done.result)

    with pytest.raises(ValueError, match="not be 5"):
        collect()
    assert set(range(5)) <= set(results)


class _Backwards:
    """Two items at a time, the second before the first."""

    def run(self, work: Any, jobs: Any, seconds: Any = None) -> Generator[Any, None, None]:
        jobs = iter(jobs)
        while pair := list(islice(jobs, 2)):
            yield from (Done(job, work(job)) for job in reversed(pair))


def test_what_is_done_in_any_order_comes_in_that_of_the_items_which_are_taken_when_needed() -> None:
    taken: list[int] = []
    done = in_order(_Backwards(), square, (taken.append(number) or number for number in range(5)))
    assert next(done).result == 0
    assert taken == [0, 1]
    assert [one.result for one in done] == [1, 4, 9, 16]


def test_a_worker_whose_model_is_another_makes_nothing(tmp_path: Path) -> None:
    bench = read_benchmark(write_benchmark(tmp_path / "bench"), own_pairs=True)
    info = replace(ModelInfo.of(DrawingModel()), settings={"strength": 4})
    results = Results(tmp_path / "out", "drawing", info.settings, bench, (0,), info.format)
    with pytest.raises(ValueError, match=r"settings \{'strength': 4\} in every worker, got "
                       r"\{'strength': 3\}"):  # fmt: skip
        list(run_on(Here(), DrawingModel, info, results))


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(inspect, ["--ray", str(tmp_path)])
    assert result.exit_code == 2
    assert "without an address write --ray last" in result.output
