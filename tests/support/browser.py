"""Chromium for tests: found, started once per test file, with pages that note all that goes wrong.

The fixture `browser` has the scope "module": as long as Chromium runs, its event loop does, and
tests elsewhere may want one of their own.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable",
         "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
         "/Applications/Chromium.app/Contents/MacOS/Chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync")
TIMEOUT_MS = 120_000  # a machine may be busy with other things
WORDS = "there is no Chromium; scripts/install_chromium.sh finds or installs it"


def find_chromium() -> str | None:
    """The program: MOTIFOCAL_CHROMIUM, or the first of the usual names."""
    named = (os.environ.get("MOTIFOCAL_CHROMIUM", ""), *NAMES)
    return next((path for name in named if name and (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Headless Chromium with an empty profile. Without one: a failure in CI, elsewhere a skip."""
    program = find_chromium()
    if program is None and (os.environ.get("CI") == "true" or "MOTIFOCAL_SHARED" in os.environ):
        pytest.fail(WORDS)
    if program is None:
        pytest.skip(WORDS)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, headless=True,
                                             args=list(FLAGS))
        yield started
        started.close()


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """A page in a context of its own; on leaving, it fails if there was an error or a warning, a
    failed request, or one that led out of the page's folder.

    `options` are those of Playwright's new_context: viewport, color_scheme, reduced_motion, ...
    """
    context = browser.new_context(**options)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda said: said.type in ("error", "warning")
            and troubles.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
    page.on("requestfailed", lambda request: _is_failure(request)
            and troubles.append(f"failed: {request.url} ({request.failure})"))
    page.on("response", lambda answer: answer.status >= 400
            and troubles.append(f"{answer.status}: {answer.url}"))
    page.on("request", lambda request: request.url.startswith(("blob:", _home(address)))
            or troubles.append(f"leads elsewhere: {request.url}"))
    try:
        page.goto(address)
        yield page
        if troubles:
            pytest.fail("\n".join(troubles))
    finally:
        context.close()


def until(page: Page, condition: str, seconds: float = TIMEOUT_MS / 1000) -> None:
    """Wait until a JavaScript expression is true; Playwright's own way needs eval, which a
    strict content security policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(condition):
        if time.monotonic() > end:
            raise TimeoutError(f"still not true after {seconds:g} s: {condition}")
        page.wait_for_timeout(20)


def serious(page: Page) -> list[str]:
    """What axe finds that is serious or critical, with where."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]} {one['nodes'][0]['failureSummary']}"
            for one in found if one["impact"] in ("serious", "critical")]


def _is_failure(request: Any) -> bool:
    """Whether it is more than what a page that is left may let go of while it loads: a video, its
    icon, the index of its search."""
    path = urlsplit(request.url).path
    loose = request.resource_type == "media" or path.endswith(("/icon.svg", "/search_index.json"))
    return not (loose and "ERR_ABORTED" in (request.failure or ""))


def _home(address: str) -> str:
    """The folder of a page: nothing outside may be asked for."""
    return address.partition("#")[0].rpartition("/")[0] + "/"


@contextmanager
def served(folder: Path, *, ranges: bool = True) -> Iterator[str]:
    """Serve `folder` on a free port of this machine, with byte ranges, as static hosts do.

    Without them it is a simple server, as `python -m http.server` is.
    """
    handler = functools.partial(RangeHandler if ranges else QuietHandler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    """The standard library's server without its log, for browsers that hang up early."""

    def copyfile(self, source: Any, outputfile: Any) -> None:
        self.write(source.read())

    def write(self, data: bytes) -> None:
        try:
            self.wfile.write(data)
        except ConnectionError:  # the browser has seen enough
            self.close_connection = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""


class RangeHandler(QuietHandler):
    """Plus `Range: bytes=a-b`."""

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if asked is None or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first = int(asked[1])
        last = min(int(asked[2] or len(data)), len(data) - 1)
        self.send_response(HTTPStatus.PARTIAL_CONTENT)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.end_headers()
        self.write(data[first : last + 1])
