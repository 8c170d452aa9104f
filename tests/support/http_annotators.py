"""Annotators who take part in a study over HTTP, as browsers do, and a server to be killed.

Nothing here depends on how fast the machine is: leases are long, and end when a test says so.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx2 as httpx
from sqlalchemy import create_engine, update

from motifocal.study.store.database import parse_url
from motifocal.study.store.tables import LEASE as LEASES

PATIENCE = 600  # s, for what takes seconds on a machine with nothing else to do
LEASE = 3600  # s, longer than any study here takes
REASONS = ("object_motion", "text_alignment", "image_alignment", "overall_quality")


def free_port() -> int:
    """A port below those that the system gives to outgoing connections.

    A client that asks for one of its own while no server is there may be connected to itself, and
    then the server finds the port taken.
    """
    for port in random.SystemRandom().sample(range(10_240, 32_768), 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("there is no free port")


@dataclass
class Server:
    """`motifocal study serve` in a process of its own, always at the same port."""

    study: str
    secret: Path
    workers: int = 1
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, errors: IO[bytes] | int = subprocess.DEVNULL) -> None:
        """Start it, `errors` taking its stderr, and wait until it answers."""
        command = [sys.executable, "-m", "motifocal", "study", "serve", self.study, "--port",
                   str(self.port), "--secret-file", str(self.secret), "--workers",
                   str(self.workers)]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=errors, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"{self.address}/robots.txt", timeout=PATIENCE)
            except httpx.TransportError:
                assert self.process.poll() is None, "the server ended by itself"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """SIGKILL to it and its workers, in the middle of whatever they do."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Acknowledged:
    """What annotators were told is saved: (slot, choice, reasons)."""

    votes: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, slot: str, choice: str, reasons: tuple[str, ...]) -> None:
        with self.lock:
            self.votes.append((slot, choice, reasons))

    def __len__(self) -> int:
        with self.lock:
            return len(self.votes)


def end_leases(place: str) -> None:
    """What time does: all leases of the study that run are over."""
    engine = create_engine(parse_url(place))
    with engine.begin() as connection:
        connection.execute(update(LEASES).where(LEASES.c.ended_at.is_(None)).values(expires_at=0))
    engine.dispose()


LEAVING = {3: 3, 13: 4, 23: 5}  # annotator -> the votes after which they walk away


def hold(server: Server, annotators: int = 30) -> Acknowledged:
    """A whole study: all annotators at once, a tenth of whom walk away, two kills meanwhile.

    Whoever walked away took a comparison along; when its lease is over, four more annotators come
    and judge what is left.
    """
    told = Acknowledged()
    server.start()
    with ThreadPoolExecutor(annotators) as pool:
        parts = [pool.submit(take_part, server.address, seed, told, LEAVING.get(seed))
                 for seed in range(annotators)]
        for kill_at in (60, 150):
            while len(told) < kill_at:
                assert not all(part.done() for part in parts)
                time.sleep(0.01)
            server.kill()
            server.start()
        cast = [part.result(timeout=PATIENCE) for part in parts]
    assert {seed: cast[seed] for seed in LEAVING} == LEAVING
    end_leases(server.study)
    with ThreadPoolExecutor(4) as pool:
        late = range(annotators, annotators + 4)
        list(pool.map(lambda seed: take_part(server.address, seed, told, None), late))
    server.kill()
    return told


def take_part(address: str, seed: int, acknowledged: Acknowledged, leaves_after: int | None) -> int:
    """Enter, agree, and judge until nothing is left, or walk away; how many votes were cast.

    A request that meets a dead server is sent again until one answers, as the page does.
    """
    rng = random.Random(seed)
    own = {"origin": address}
    with httpx.Client(base_url=address, timeout=60, follow_redirects=True) as browser:
        _again(lambda: browser.get(f"/?PROLIFIC_PID=worker-{seed}&STUDY_ID=s&SESSION_ID=x"))
        _again(lambda: browser.post("/consent", data={"agree": "yes"}, headers=own))
        task = _again(lambda: browser.get("/task")).json()["task"]
        cast = 0
        while task is not None and cast != leaves_after:
            for token in (task["picture"], task["left"], task["right"]):
                held = _again(lambda token=token: browser.get(f"/media/{token}"))
                assert held.status_code == 200
            choice = rng.choice(("left", "right"))
            reasons = tuple(rng.sample(REASONS, rng.randint(1, 4)))
            body = {"slot": task["slot"], "choice": choice, "reasons": reasons,
                    "milliseconds": rng.randint(4000, 30_000), "loops": rng.randint(1, 5),
                    "hidden_milliseconds": 0}  # fmt: skip
            answer = _again(lambda body=body: browser.post("/vote", json=body, headers=own))
            assert answer.status_code == 200, answer.text
            acknowledged.add(task["slot"], choice, reasons)
            cast += 1
            task = answer.json()["task"]
        return cast


def _again(request: Callable[[], httpx.Response]) -> httpx.Response:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            answer = request()
        except httpx.TransportError:
            answer = None
        if answer is not None and answer.status_code not in (429, 503):
            return answer
        assert time.monotonic() < deadline, f"no answer in {PATIENCE} s"
        time.sleep(0.2)
