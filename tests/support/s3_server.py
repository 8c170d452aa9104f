"""moto's S3 server in a process of its own, which fails now and then, and tells what was asked.

`python s3_server.py` prints its port. POST /_faults sets {"slow": n, "drop": m}: of the requests
every n-th is answered 503 SlowDown, and every m-th loses its connection, a GET in the middle of the
body; 0 is none. GET /_log?n gives all requests until then but the first n. Buckets named denied*
refuse everything.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: What clients need to know beside the endpoint.
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}  # fmt: skip
_ERROR = "<?xml version='1.0'?><Error><Code>{0}</Code><Message>{0}</Message></Error>"


@dataclass(frozen=True)
class Server:
    """The running server, as a test sees it."""

    url: str

    def fail(self, slow: int = 0, drop: int = 0) -> None:
        body = json.dumps({"slow": slow, "drop": drop}).encode()
        with urllib.request.urlopen(f"{self.url}/_faults", data=body, timeout=20):
            pass

    def log(self, since: int = 0) -> list[str]:
        """Requests but the first `since`, as "GET /bucket/key?query status"."""
        with urllib.request.urlopen(f"{self.url}/_log?{since}", timeout=20) as answer:
            lines: list[str] = json.load(answer)
        return lines


@contextmanager
def running() -> Iterator[Server]:
    """Start a server; this process knows no other from then on."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    environment = {**os.environ, **KEYS}
    with subprocess.Popen([sys.executable, __file__], env=environment, **pipes) as process:
        assert process.stdout is not None
        try:
            yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


class FailingNowAndThen:
    """A WSGI application around moto's."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self.application, self.lock = application, threading.Lock()
        self.faults, self.count, self.log = {"slow": 0, "drop": 0}, 0, [""][:0]

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
        if path == "/_faults":
            self.faults = json.loads(_body(environ))
            return _plain(start, "200 OK", "")
        if path == "/_log":
            with self.lock:
                return _plain(start, "200 OK", json.dumps(self.log[int(query):]))
        with self.lock:
            self.count += 1
            slow, drop = (every and self.count % every == 0 for every in
                          (self.faults["slow"], self.faults["drop"]))
            fault = "denied" if path.startswith("/denied") else (
                "slow" if slow else "dropped" if drop else "answered")
            method = environ["REQUEST_METHOD"]
            self.log.append(f"{method} {path}{'?' if query else ''}{query} {fault}")
        if fault == "answered":
            return self.application(environ, start)
        if method != "GET":
            _body(environ)  # so that it is the answer that is lost
        if fault == "denied":
            return _plain(start, "403 Forbidden", _ERROR.format("AccessDenied"), method)
        if fault == "slow":
            return _plain(start, "503 Slow Down", _ERROR.format("SlowDown"), method)
        connection: socket.socket = environ["werkzeug.socket"]
        if method == "GET":
            return _half(self.application(environ, start), connection)
        connection.shutdown(socket.SHUT_RDWR)
        raise ConnectionResetError


def _body(environ: dict[str, Any]) -> bytes:
    from werkzeug.wsgi import get_input_stream

    return get_input_stream(environ).read()


def _plain(start: Any, status: str, text: str, method: str = "GET") -> Iterable[bytes]:
    start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(text)))])
    return [] if method == "HEAD" else [text.encode()]


def _half(body: Iterable[bytes], connection: socket.socket) -> Iterator[bytes]:
    whole = b"".join(body)
    yield whole[: len(whole) // 2]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: object) -> None:
            pass

        def connection_dropped(self, *_: object) -> None:
            self.close_connection = True

    application = FailingNowAndThen(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    print(server.port, flush=True)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    sys.path[:] = [place for place in sys.path if Path(place or ".").resolve()
                   != Path(__file__).parent]  # fmt: skip
    main()
