"""Annotators of a study that send requests to its application, without a server."""

from __future__ import annotations

from typing import Any

from starlette.testclient import TestClient

from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app

BASE = "http://127.0.0.1:8000"
SECRET, TOKEN = b"s" * 32, "token-of-the-dashboard"
VOTE = {"choice": "left", "reasons": ["object_motion"], "milliseconds": 5000, "loops": 2,
        "hidden_milliseconds": 0}


def client_of(store: Store, base: str = BASE, **options: Any) -> TestClient:
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=base, **options)
    return TestClient(app, base_url=base, headers={"origin": base})


def consented(client: TestClient, query: str = "") -> TestClient:
    """The client after consent and instructions."""
    assert client.get("/" + query).url.path == "/consent"
    client.post("/consent", data={"agree": "yes"})
    assert client.post("/instructions", data={"go": "on"}).url.path == "/compare"
    return client


def judged(client: TestClient) -> list[dict[str, Any]]:
    """Judge until nothing is left; the tasks in their order."""
    tasks = []
    task = client.get("/task").json()["task"]
    while task is not None:
        tasks.append(task)
        answer = client.post("/vote", json={**VOTE, "slot": task["slot"]})
        assert answer.status_code == 200, answer.text
        task = answer.json()["task"]
    return tasks


CHECK = {"check": [{"question": "What counts?", "answers": ["faults", "the whole"], "right": 1},
                   {"question": "Must you choose?", "answers": ["yes", "no"], "right": 0}]}
