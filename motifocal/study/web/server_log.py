"""Limit log lines that a stranger or a full disk can cause to one per minute of each kind."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

MINUTE = 60.0
_Clock = Callable[[], float]


class OncePerInterval(logging.Filter):
    """Let a message pass once in `seconds`; the next one that passes says how many did not.

    Messages are the same when their templates are, whatever their arguments. Lines with a
    traceback always pass: they are faults of the program.
    """

    def __init__(self, seconds: float = MINUTE, clock: _Clock = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._passed: dict[str, tuple[float, int]] = {}  # template -> when, and how many since
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info:
            return True
        template = str(record.msg)
        with self._lock:
            now = self._clock()
            since, dropped = self._passed.get(template, (now - self._seconds, 0))
            passes = now - since >= self._seconds
            self._passed[template] = (now, 0) if passes else (since, dropped + 1)
        if passes and dropped:
            record.msg = f"{template} ({dropped} more since the last such line)"
        return passes


#: uvicorn prints what its children are told.
LOG = logging.getLogger("uvicorn.error.study")
LOG.setLevel(logging.WARNING)
LOG.addFilter(OncePerInterval())
