"""Workers on a Ray cluster: each is an actor that holds the function and takes small leases.

A lease that was lost is done again, each of its items alone. Items that a node took down with it
are not to blame; one whose own process ended is, and is given up when that happened twice.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, Generic

from motifocal.data.workers.items import Done, J, R, top_up, unlimited
from motifocal.data.workers.ray_session import LOCAL, connect, is_connected
from motifocal.files.disk import NO_ROOM

TRIES, NODE_LOSSES, FAILED_STARTS = 2, 5, 4
#: A worker takes as many items at once as it does in this time: enough that lending costs little.
_LEASE_SECONDS, _MOST_LEASED = 4.0, 64
_LOOK_AGAIN = 2.0  # seconds between two looks at how large the cluster is
#: How long no machine may have room for a worker: until one that was asked for has come up.
_GROWTH_SECONDS = 600.0


@dataclass(eq=False)
class _Actor:
    handle: Any
    node: str | None = None  # None until it is up


@dataclass
class _Job(Generic[J]):
    job: J
    tries: int = 0  # that ended its process, or took too long
    with_node: int = 0  # that went down with their node


@dataclass
class _Lease(Generic[J]):
    actor: _Actor
    jobs: list[_Job[J]] = field(default_factory=list)  # none: its start
    lent: float = 0.0
    deadline: float = float("inf")


@dataclass(frozen=True)
class Cluster:
    """Workers on the Ray cluster at `address`, or on this machine alone where that is "local".

    Args:
        address: "HOST:PORT", "ray://HOST:PORT", "auto" for the cluster of this machine, or "local".
        workers: at most so many; by default as many as the cluster has `cpus` and `gpus` for.
        cpus, gpus: of one worker; PyTorch computes in as many threads.
    """

    address: str = LOCAL
    workers: int | None = None
    cpus: float = 1
    gpus: float = 0

    def run(
        self, work: Callable[[J], R], jobs: Iterable[J],
        seconds: Callable[[J], float] = unlimited,
    ) -> Generator[Done[J, R], None, None]:  # fmt: skip
        """Yield items as they are done, or given up with a reason.

        Items may hold relative paths: workers change to the current directory of the caller.

        The connection is kept for the next call: `session` ends it.

        Raises ConnectionError where a worker cannot be started, as without Motifocal on its node;
        ValueError where no machine has what one takes, and none comes within ten minutes; OSError
        where a disk is full.
        """
        source = iter(jobs)
        first = list(islice(source, 1))
        if not first:  # no cluster is needed, so none has to answer
            return
        patience = 0.0 if connect(self.address) else _GROWTH_SECONDS
        run = _Run(self, work, chain(first, source), seconds, patience)
        try:
            yield from run.results()
        finally:
            run.end()

    def lack(self, resources: Mapping[str, float]) -> str | None:
        """Say what a worker takes of which all machines together have too little, if anything."""
        for name, share in (("CPU", self.cpus), ("GPU", self.gpus)):
            if resources.get(name, 0) < share:
                return (f"a worker takes {share:g} {name}, and of these Ray has "
                        f"{resources.get(name, 0):g} at {self.address}")  # fmt: skip
        return None


class _Server(Generic[J, R]):
    """The actor on a node."""

    def __init__(self, work: Callable[[J], R], folder: str) -> None:
        import cv2

        os.chdir(folder)  # paths may be relative, and Ray's is where the node was started
        cv2.setNumThreads(1)  # there is a worker for each core
        self.work = work

    def node(self) -> str:
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def do(self, jobs: list[J]) -> list[tuple[R | None, str | None]]:
        return [self._result(job) for job in jobs]

    def _result(self, job: J) -> tuple[R | None, str | None]:
        try:
            return self.work(job), None
        except Exception as error:  # told by the driver, as the reason why there is no result
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                raise  # no other item could be written either
            return None, f"{type(error).__name__}: {error}"


class _Run(Generic[J, R]):
    """One call of `Cluster.run`: the actors, what each has, and what is still to be lent."""

    def __init__(
        self, cluster: Cluster, work: Callable[[J], R], jobs: Iterable[J],
        seconds: Callable[[J], float], patience: float = _GROWTH_SECONDS,
    ) -> None:  # fmt: skip
        import ray

        self.ray, self.cluster, self.seconds, self.patience = ray, cluster, seconds, patience
        self.work = ray.put(work)  # once, not with every actor
        self.source = (_Job(job) for job in jobs)
        self.waiting: deque[_Job[J]] = deque()  # the next of them
        self.lost: deque[_Job[J]] = deque()  # to be done again, each alone
        self.idle: list[_Actor] = []
        self.leases: dict[Any, _Lease[J]] = {}  # by the reference to their results
        self.size = 1  # of a lease
        self.most, self.looked, self.failed_starts = 0, float("-inf"), 0
        self.fitted = time.monotonic()  # when there last was room for a worker

    def results(self) -> Iterator[Done[J, R]]:
        while self._is_work_left():
            self._start_actors()
            self._lend()
            for reference in self._ready():
                lease = self.leases.pop(reference)
                try:
                    answers = self.ray.get(reference)
                except self.ray.exceptions.RayError as error:
                    yield from self._after_loss(lease, error)
                    continue
                self.idle.append(lease.actor)
                if not lease.jobs:
                    lease.actor.node, self.failed_starts = answers, 0
                    continue
                self._resize(lease)
                for job, (result, reason) in zip(lease.jobs, answers, strict=True):
                    yield Done(job.job, result, reason)
            yield from self._overdue()

    def end(self) -> None:
        """End all actors, at work or not, and keep no reference: none may outlive the connection.
        """
        if not is_connected():  # a session that was left has ended them
            return
        for actor in (*self.idle, *(lease.actor for lease in self.leases.values())):
            self.ray.kill(actor.handle)
        self.idle.clear()
        self.leases.clear()
        del self.work

    def _is_work_left(self) -> bool:
        """Tell whether results are to come, once as many items are waiting as may be lent next."""
        self._look_at_size()
        top_up(self.waiting, self.source, 2 * self.most * _MOST_LEASED)
        return bool(self.waiting or self.lost
                    or any(lease.jobs for lease in self.leases.values()))

    def _look_at_size(self) -> None:
        """Ask from time to time how many workers the cluster, which may grow, has room for."""
        now = time.monotonic()
        if now - self.looked < _LOOK_AGAIN:
            return
        self.looked, room = now, self.ray.cluster_resources()
        if (lack := self.cluster.lack(room)) is None:
            self.fitted = now
        elif now - self.fitted >= self.patience:
            raise ValueError(lack)
        limits = [room.get(name, 0) // share for name, share in
                  (("CPU", self.cluster.cpus), ("GPU", self.cluster.gpus)) if share]
        self.most = max(1, int(min(limits, default=1)))
        if self.cluster.workers is not None:
            self.most = min(self.most, self.cluster.workers)

    def _start_actors(self) -> None:
        """Start as many as there is room and work for."""
        busy = sum(bool(lease.jobs) for lease in self.leases.values())
        needed = min(self.most, busy + len(self.waiting) + len(self.lost))
        server = self.ray.remote(_Server).options(
            num_cpus=self.cluster.cpus, num_gpus=self.cluster.gpus, max_restarts=0)
        for _ in range(needed - len(self.idle) - len(self.leases)):
            actor = _Actor(server.remote(self.work, os.getcwd()))
            self.leases[actor.handle.node.remote()] = _Lease(actor)

    def _lend(self) -> None:
        while self.idle and (self.lost or self.waiting):
            if self.lost:
                jobs = [self.lost.popleft()]
            else:  # near the end smaller ones, so that all workers have something to do
                fair = -(-len(self.waiting) // (2 * max(1, self.most)))
                jobs = [self.waiting.popleft() for _ in range(min(self.size, fair))]
            actor = self.idle.pop()
            reference = actor.handle.do.remote([job.job for job in jobs])
            now, given = time.monotonic(), sum(self.seconds(job.job) for job in jobs)
            self.leases[reference] = _Lease(actor, jobs, now, now + given)

    def _resize(self, lease: _Lease[J]) -> None:
        """Make leases larger or smaller, by how long this one took."""
        seconds = (time.monotonic() - lease.lent) / len(lease.jobs)
        most = min(_MOST_LEASED, 2 * self.size)
        self.size = max(1, min(most, int(_LEASE_SECONDS / max(seconds, 1e-6))))

    def _ready(self) -> list[Any]:
        """Wait for an answer, or until it is time to look at deadlines and the cluster again."""
        ready, _ = self.ray.wait(list(self.leases), num_returns=1, timeout=_LOOK_AGAIN)
        return list(ready)

    def _after_loss(self, lease: _Lease[J], error: Exception) -> Iterator[Done[J, R]]:
        """Keep the items of a lost lease for another worker; yield those that are given up."""
        ends = self.ray.exceptions
        if isinstance(error, ends.RayTaskError) and isinstance(error.cause, OSError):
            raise error.cause  # of a full disk
        if not isinstance(error, (ends.RayActorError, ends.ObjectLostError, ends.OutOfMemoryError,
                                  ends.WorkerCrashedError, ends.NodeDiedError)):  # fmt: skip
            raise ConnectionError(f"a worker cannot be started or asked: {error}") from error
        nodes = {node["NodeID"] for node in self.ray.nodes() if node["Alive"]}
        if lease.actor.node in nodes:
            yield from self._blame(lease, "its process ended")
            return
        if not lease.jobs:
            self.failed_starts += 1
            if self.failed_starts == FAILED_STARTS:
                raise ConnectionError(f"workers end at their start: {error}") from error
        for job in lease.jobs:
            job.with_node += 1
            if job.with_node < NODE_LOSSES:
                self.lost.append(job)
            else:
                yield Done(job.job, None, f"{NODE_LOSSES} machines went down with it")

    def _blame(self, lease: _Lease[J], reason: str) -> Iterator[Done[J, R]]:
        for job in lease.jobs:
            job.tries += 1
            if job.tries < TRIES:
                self.lost.append(job)
            else:
                yield Done(job.job, None, f"{reason}, {TRIES} times")

    def _overdue(self) -> Iterator[Done[J, R]]:
        now = time.monotonic()
        for reference in [key for key, lease in self.leases.items() if lease.deadline < now]:
            if self.ray.wait([reference], timeout=0)[0]:
                continue  # in time, but the driver was busy with others: read next
            lease = self.leases.pop(reference)
            self.ray.kill(lease.actor.handle)
            given = sum(self.seconds(job.job) for job in lease.jobs)
            yield from self._blame(lease, f"no end after {given:.0f} s")
