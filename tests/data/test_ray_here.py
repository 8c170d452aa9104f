"""A Ray that is started on this machine: its address, paths, full disks, and lost leases."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from worker_functions import on_a_full_disk, square

from motifocal.cli.prepare import _workers, prepare
from motifocal.data.workers.cluster import Cluster, _Actor, _Job, _Lease, _Run
from motifocal.data.workers.items import unlimited
from motifocal.data.workers.ray_session import LOCAL, connect, session

#: Where nothing answers.
ROOT = Path(__file__).parents[2]
NOBODY = "127.0.0.1:9"


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """Ray, started while the environment names another cluster."""
    module = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", NOBODY)
        for folder in (ROOT / "tests" / "support", ROOT):  # what workers import
            patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        with session():
            assert connect(LOCAL)
            yield module


def run_of(jobs: list[int]) -> _Run[int, int]:
    return _Run(Cluster(), square, jobs, unlimited)


@pytest.mark.slow
def test_without_an_address_no_other_cluster_is_taken(ray: Any) -> None:
    assert ray.get_runtime_context().gcs_address != NOBODY
    assert [done.result for done in Cluster(workers=1).run(square, [3])] == [9]


@pytest.mark.slow
def test_relative_paths_are_those_of_the_caller(
    ray: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"12345")
    monkeypatch.chdir(tmp_path)
    (done,) = Cluster(workers=1).run(os.path.getsize, ["clip.mp4"])
    assert (done.result, done.reason) == (5, None)


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_is_no_fault_of_an_item(ray: Any) -> None:
    with pytest.raises(OSError, match="No space left on device"):
        list(Cluster(workers=1).run(on_a_full_disk, [0, 1]))


@pytest.mark.slow
def test_an_item_whose_worker_runs_out_of_memory_twice_is_given_up(ray: Any) -> None:
    run, job = run_of([]), _Job(7)
    lease = _Lease(_Actor(None, ray.nodes()[0]["NodeID"]), [job])
    killed = ray.exceptions.OutOfMemoryError("killed by the memory monitor")
    assert list(run._after_loss(lease, killed)) == []
    assert list(run.lost) == [job]
    (done,) = run._after_loss(lease, killed)
    assert (done.job, done.reason) == (7, "its process ended, 2 times")


@pytest.mark.slow
def test_an_error_that_no_other_worker_mends_is_an_os_error(ray: Any) -> None:
    lease = _Lease[int](_Actor(None))
    with pytest.raises(ConnectionError, match="a worker cannot be started or asked"):
        list(run_of([])._after_loss(lease, ray.exceptions.RuntimeEnvSetupError("no such image")))


@pytest.mark.slow
def test_a_lease_that_has_its_answer_is_not_overdue(ray: Any) -> None:
    run, answer = run_of([]), ray.put([(49, None)])
    ray.wait([answer])
    run.leases[answer] = _Lease(_Actor(None), [_Job(7)], deadline=0.0)
    assert list(run._overdue()) == []
    assert list(run.leases) == [answer]


def test_a_ray_that_does_not_start_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    module = pytest.importorskip("ray")

    def too_slow(**_: object) -> None:
        raise Exception("The current node timed out during startup")

    monkeypatch.setattr(module, "is_initialized", lambda: False)
    monkeypatch.setattr(module, "init", too_slow)
    with pytest.raises(ValueError, match=r"no Ray cluster answers at local: .* timed out during"):
        list(Cluster(LOCAL).run(square, [1]))


@pytest.mark.slow
def test_a_worker_that_never_fits_is_refused_once_no_machine_has_come_for_it(
    ray: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motifocal.data.workers.cluster._GROWTH_SECONDS", 0.5)
    assert Cluster(gpus=0.25).lack({"CPU": 2.0, "GPU": 1.0}) is None
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"takes 0\.25 GPU, and of these Ray has 0 at 127"):
        list(Cluster("127.0.0.1:1", gpus=0.25).run(square, [1]))
    assert time.monotonic() - began > 0.5


def test_prepare_without_processes_has_one_worker_on_a_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    arguments = [str(tmp_path), "-o", str(tmp_path / "out"), "--model", str(tmp_path),
                 "--ray", "local", "--workers", "0"]  # fmt: skip
    with prepare.make_context("prepare", arguments) as context:
        assert _workers({**context.params, "device": "cpu"}) == Cluster(LOCAL, workers=1)
