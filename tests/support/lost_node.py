"""A Ray cluster whose nodes are processes of this machine, added and lost as a test needs it."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from s3_server import KEYS

from motifocal.data.workers.ray_session import session

ROOT = Path(__file__).parents[2]
#: On the loopback interface; for 127.0.0.1 Ray takes another address of the machine.
HERE = "127.0.0.2"
_STORE = 80 * 2**20  # bytes, the least that Ray takes


@contextlib.contextmanager
def ray_cluster(folder: Path) -> Iterator[Any]:
    """Run a cluster of one node; where its workers look for a store is written to `folder`."""
    from ray.cluster_utils import Cluster as Nodes

    # On a busy machine processes come up slowly, and workers nicer than these tests never run.
    patience = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000,
                "health_check_failure_threshold": 30, "worker_register_timeout_seconds": 600,
                "agent_register_timeout_ms": 600_000, "worker_niceness": 0}  # fmt: skip
    head = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False,
            "no_monitor": True, "include_log_monitor": False, "node_ip_address": HERE,
            "_system_config": patience}  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        # Where workers look for a store that tests start later.
        patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        for name, value in {**KEYS, "RAY_USAGE_STATS_ENABLED": "0"}.items():
            patch.setenv(name, value)
        # What the workers import: the functions of these tests, and the package where it lies.
        for path in (ROOT / "tests" / "support", ROOT):
            patch.setenv("PYTHONPATH", str(path), prepend=os.pathsep)
        nodes = Nodes(initialize_head=True, head_node_args=head)
        with session():
            yield nodes
        nodes.shutdown()


def kill(node: Any) -> None:
    """End a node as a power cut does: its raylet and all of its workers at once."""
    (raylet,) = node.all_processes["raylet"]
    family = [*psutil.Process(raylet.process.pid).children(recursive=True),
              psutil.Process(raylet.process.pid)]
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


@contextlib.contextmanager
def losing_a_node(cluster: Any, reached: Callable[[], bool]) -> Iterator[list[bool]]:
    """Add a node and kill it as soon as so much is done; the list then says that it was killed."""
    node = cluster.add_node(num_cpus=1, object_store_memory=_STORE, node_ip_address=HERE)
    killed: list[bool] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            if reached():
                kill(node)
                killed.append(True)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        ended.set()
        thread.join()
        cluster.remove_node(node, allow_graceful=False)
