"""The study's server with peers that open connections and say, or take, nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from http_annotators import PATIENCE, Server
from tiny_study import blank_study

from motifocal.study.web.connections import OPTIONS, LimitedProtocol, log_failed_accepts
from motifocal.study.web.server_log import LOG, OncePerInterval

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LARGE_REQUEST = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_OPEN = b"GET / HTTP/1.1\r\nHost:"
LARGE = 64 * 2**20  # bytes, more than the kernel takes for a peer that does not read


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers "ok", or at /large with 64 MB."""
    body = b"x" * LARGE if scope["path"] == "/large" else b"ok"
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-length", str(len(body)).encode())]})
    await send({"type": "http.response.body", "body": body})


@contextlib.contextmanager
def listening(protocol: type[LimitedProtocol], **options: Any) -> Iterator[int]:
    """A server as `study serve` runs it, with another protocol; its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        settings = {**OPTIONS, "http": protocol, "log_config": None, "lifespan": "off",
                    "proxy_headers": False, **options}
        server = uvicorn.Server(uvicorn.Config(application, **settings))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def connected(port: int, sent: bytes = b"") -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    peer.sendall(sent)
    return peer


def answered(peer: socket.socket) -> bool:
    """Wait for the whole answer; is it "ok"?"""
    answer = b""
    while data := peer.recv(4096):
        answer += data
        if answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"\r\n\r\nok"):
            return True
    return False


def asks(port: int) -> bool:
    """Is a well-meaning peer answered, who comes again where it was too slow to send?"""
    for _ in range(20):
        with contextlib.suppress(ConnectionError), connected(port, REQUEST) as peer:
            if answered(peer):
                return True
    return False


def ended(peer: socket.socket) -> bool:
    """Wait until the server ends the connection."""
    try:
        while peer.recv(65536):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


def still_open(peer: socket.socket) -> bool:
    return not select.select([peer], [], [], 0)[0]


class Hasty(LimitedProtocol):
    """So that no test waits long, and a busy machine sends a head in time all the same."""

    head_seconds = 2.0
    stalled_seconds = 1.0


class Few(LimitedProtocol):
    """So that few connections are too many."""

    head_seconds = 600.0
    most_of_an_address = 5


@pytest.mark.parametrize("sent", [b"", HALF_OPEN], ids=["nothing", "half of a head"])
def test_a_connection_without_a_request_is_ended(sent: bytes) -> None:
    with listening(Hasty) as port, connected(port, sent) as peer:
        assert ended(peer)
        assert asks(port)


def test_a_head_that_trickles_is_ended_in_the_same_time() -> None:
    with listening(Hasty) as port, connected(port, HALF_OPEN) as peer:
        for _ in range(PATIENCE * 10):
            if select.select([peer], [], [], 0.1)[0]:
                break
            with contextlib.suppress(ConnectionError):
                peer.sendall(b"x")
        assert ended(peer)


def test_a_second_head_on_a_connection_is_ended_as_well() -> None:
    with listening(Hasty) as port, connected(port, REQUEST) as peer:
        assert answered(peer)
        peer.sendall(HALF_OPEN)
        assert ended(peer)


def test_a_connection_that_rests_between_requests_is_kept() -> None:
    with listening(Hasty, timeout_keep_alive=600) as port, connected(port, REQUEST) as peer:
        assert answered(peer)
        time.sleep(1.2 * Hasty.head_seconds)
        peer.sendall(REQUEST)
        assert answered(peer)


def test_a_peer_that_takes_nothing_of_its_answer_is_cut_off() -> None:
    with listening(Hasty) as port, connected(port, LARGE_REQUEST) as peer:
        time.sleep(3 * Hasty.stalled_seconds)
        taken = 0
        with contextlib.suppress(ConnectionError):
            while data := peer.recv(2**20):
                taken += len(data)
        assert taken < LARGE


def test_where_an_address_has_too_many_the_longest_idle_one_makes_room() -> None:
    with listening(Few) as port, contextlib.ExitStack() as stack:
        peers = []
        for _ in range(Few.most_of_an_address):
            peers.append(stack.enter_context(connected(port, REQUEST)))
            assert answered(peers[-1])  # so that they came in this order
        assert asks(port)
        assert ended(peers[0])
        assert all(still_open(peer) for peer in peers[1:])


def test_a_proxy_in_front_is_no_address_with_too_many() -> None:
    with listening(Few, proxy_headers=True) as port, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(connected(port, HALF_OPEN)) for _ in range(20)]
        assert asks(port)
        assert all(still_open(peer) for peer in peers)


@pytest.mark.slow
def test_hundreds_of_half_open_connections_keep_nobody_out_and_fill_no_log(tmp_path: Path) -> None:
    """The command itself, with fewer files that it may open than there are connections."""
    if not hasattr(resource, "prlimit"):
        pytest.skip("the limit of another process cannot be set here")
    blank_study(tmp_path / "study.db").close()
    log = tmp_path / "log"
    server = Server(str(tmp_path / "study.db"), tmp_path / "secret")
    with log.open("wb") as errors, contextlib.ExitStack() as stack:
        server.start(errors)
        stack.callback(server.kill)
        assert server.process is not None
        pid = server.process.pid
        files = len(os.listdir(f"/proc/{pid}/fd")) + 150
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (files, files))
        for _ in range(300):
            stack.enter_context(connected(server.port, HALF_OPEN))
        for _ in range(5):
            assert b"200 OK" in asked_for_robots(server.port)
    text = log.read_text()
    assert text.count("no connection can be accepted now") <= 2
    assert "Traceback" not in text
    assert len(text) < 2000


def asked_for_robots(port: int) -> bytes:
    head = f"GET /robots.txt HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(ConnectionError), connected(port, head.encode()) as peer:
            if answer := peer.recv(4096):
                return answer
        time.sleep(0.1)
    return b""


def test_failed_accepts_are_one_line_a_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if nothing had been logged before, in a minute that does not end.
    monkeypatch.setattr(LOG, "filters", [OncePerInterval(clock=lambda: 0.0)])
    loop = asyncio.new_event_loop()
    context = {"message": "socket.accept() out of system resource",
               "exception": OSError(24, "Too many open files")}
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            log_failed_accepts(loop, context)
    loop.close()
    (line,) = [record.getMessage() for record in caplog.records if record.name == LOG.name]
    assert "Too many open files" in line


def test_a_line_passes_once_in_a_minute_and_tells_how_many_did_not() -> None:
    now = [0.0]
    passes = OncePerInterval(60, clock=lambda: now[0])

    def said(message: str, *arguments: object) -> str | None:
        record = logging.LogRecord("x", logging.WARNING, "", 0, message, arguments, None)
        return record.getMessage() if passes.filter(record) else None

    assert said("full: %s", "a") == "full: a"
    assert [said("full: %s", "b") for _ in range(5)] == [None] * 5
    assert said("another kind") == "another kind"
    now[0] = 61
    assert said("full: %s", "c") == "full: c (5 more since the last such line)"
    now[0] = 122
    assert said("full: %s", "d") == "full: d"
