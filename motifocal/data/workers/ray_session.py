"""This process's connection to Ray: one at a time, kept until the command ends."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOCAL = "local"
_OBJECT_STORE = 100 * 2**20  # bytes: results are small


@contextmanager
def session() -> Iterator[None]:
    """End the connection that is made in the block, and a Ray that is started there, at its end."""
    before = is_connected()
    try:
        yield
    finally:
        if is_connected() and not before:
            sys.modules["ray"].shutdown()


def is_connected() -> bool:
    """Tell whether this process is connected to a cluster."""
    ray = sys.modules.get("ray")  # whose import takes seconds
    return ray is not None and ray.is_initialized()


def connect(address: str) -> bool:
    """Connect to a cluster, or start one on this machine; the one that the process has is kept.

    Return whether one was started here: it will not grow.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    import ray

    if is_connected():
        return False
    if address == LOCAL:
        # Without an address Ray would take that of RAY_ADDRESS, or a cluster that runs here.
        place: dict[str, Any] = {"address": "local", "_node_ip_address": "127.0.0.1",
                                 "include_dashboard": False, "object_store_memory": _OBJECT_STORE}
    else:
        place = {"address": address}
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **place)
    except Exception as error:  # of a start that takes too long Ray raises no other class
        raise ValueError(f"no Ray cluster answers at {address}: {error}") from error
    return address == LOCAL
