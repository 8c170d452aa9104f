"""Limit connections to the study's server, and how long each may wait for a request.

Without limits, connections that are opened and say nothing use up the files that a process may
open, and no other client gets in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from motifocal.study.web.security import neighbourhood
from motifocal.study.web.server_log import LOG

KEEP_ALIVE_SECONDS = 15
MOST_HEAD = 32_768  # bytes of a request's head
BACKLOG = 100  # connections that wait to be accepted; so many are accepted at once
MOST_CONNECTIONS = 4096
TRUSTED_PROXY = "127.0.0.1"


def most_connections() -> int:
    """Return how many connections a process keeps: half of the files it may open, at most 4096."""
    try:
        import resource
    except ImportError:  # Windows
        return MOST_CONNECTIONS
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limited = files != resource.RLIM_INFINITY
    return min(MOST_CONNECTIONS, files // 2) if limited else MOST_CONNECTIONS


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP protocol with limits.

    `head_seconds`: how long the head of a request may take. `stalled_seconds`: how long a peer may
    take nothing of an answer. `most_of_an_address`: connections of one address (see
    `neighbourhood`), except of a proxy in front; a laboratory with forty browsers needs them.

    Where there are too many, the one that has waited longest for a request is cut, or the new one
    where all are being answered.
    """

    head_seconds = 10.0
    stalled_seconds = 120.0
    most_of_an_address = 256

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.logger = LOG
        self.address = ""
        self.idle_since = 0.0
        self._head, self._stalled = _Timer(self.loop), _Timer(self.loop)
        self._unsent = 0

    @property
    def busy(self) -> bool:
        """Is a request being answered?"""
        return (self.cycle is not None and not self.cycle.response_complete) or (
            self.flow.write_paused)  # fmt: skip

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        host = self.client[0] if self.client else ""
        proxied = self.config.proxy_headers and host == TRUSTED_PROXY
        self.address = "" if proxied else neighbourhood(host)
        self.idle_since = self.loop.time()
        self._expect_head()
        others: list[LimitedProtocol] = [
            other for other in self.connections
            if other is not self and isinstance(other, LimitedProtocol)
        ]
        if self.address:
            self._make_room((other for other in others if other.address == self.address),
                            self.most_of_an_address)
        self._make_room(others, most_connections())

    def _make_room(self, others: Iterable[LimitedProtocol], most: int) -> None:
        """Cut one connection where there are `most` others already."""
        there = [other for other in others if not other.transport.is_closing()]
        if len(there) >= most:
            idle = [other for other in there if not other.busy]
            min(idle, key=lambda other: other.idle_since, default=self).cut()

    def cut(self) -> None:
        """End the connection at once, whatever is under way."""
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_head()

    def on_response_complete(self) -> None:
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def _expect_head(self) -> None:
        """Start the time limit of a head that has begun; uvicorn ends what is idle between
        requests."""
        if self.busy:
            self._head.stop()
        elif not self._head.runs:
            self._head.start(self.head_seconds, self.cut)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent = self.transport.get_write_buffer_size()
        self._stalled.start(self.stalled_seconds, self._check_progress)

    def _check_progress(self) -> None:
        unsent = self.transport.get_write_buffer_size()
        if unsent >= self._unsent:
            self.cut()
        else:
            self._unsent = unsent
            self._stalled.start(self.stalled_seconds, self._check_progress)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stalled.stop()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.stop()
        self._stalled.stop()
        super().connection_lost(exc)


class _Timer:
    """One call in the future, at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handle: asyncio.TimerHandle | None = None

    @property
    def runs(self) -> bool:
        return self._handle is not None

    def start(self, seconds: float, action: Callable[[], None]) -> None:
        self.stop()
        self._handle = self._loop.call_later(seconds, action)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def log_failed_accepts(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle an event loop's exceptions: log failed accepts in one line a minute."""
    if "socket.accept()" not in context.get("message", ""):
        loop.default_exception_handler(context)
        return
    LOG.warning("no connection can be accepted now: %s; more files may be opened after `ulimit -n`",
                context.get("exception"))


#: How uvicorn has to run the study. There is no log of requests: links hold the recruitment
#: services' numbers of people.
OPTIONS: Mapping[str, Any] = MappingProxyType({
    "http": LimitedProtocol, "ws": "none", "loop": "asyncio", "backlog": BACKLOG,
    "timeout_keep_alive": KEEP_ALIVE_SECONDS, "h11_max_incomplete_event_size": MOST_HEAD,
    "forwarded_allow_ips": TRUSTED_PROXY, "access_log": False, "server_header": False,
    "log_level": "warning",
})  # fmt: skip
