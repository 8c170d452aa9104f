"""Requests that are none of the study's: bodies, values, paths, methods, forms, links, tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from study_client import BASE, SECRET, TOKEN, VOTE, client_of, consented

from motifocal.study.store.database import StorageError
from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app
from motifocal.study.web.security import Limits, Rate


def test_long_bodies_are_refused_announced_or_not(client: TestClient, store: Store) -> None:
    consented(client)
    json_type = {"content-type": "application/json"}

    def trickle() -> Iterator[bytes]:
        yield b'{"slot": "'
        for _ in range(1000):
            yield b"A" * 100
        yield b'"}'

    assert client.post("/vote", content=trickle(), headers=json_type).status_code == 413
    assert client.post("/vote", content=b" " * 16_385, headers=json_type).status_code == 413
    for path in ("/consent", "/instructions", "/leave"):
        assert client.post(path, data={"agree": "y" * 20_000}).status_code == 413
    assert list(store.votes()) == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "",
                                  "multipart/form-data; boundary=x", "application/jsonx",
                                  "text/plain; application/json"])  # fmt: skip
def test_other_content_types_are_refused(client: TestClient, kind: str) -> None:
    slot = consented(client).get("/task").json()["task"]["slot"]
    body = json.dumps({**VOTE, "slot": slot})
    assert client.post("/vote", content=body, headers={"content-type": kind}).status_code == 415
    assert client.post("/leave", json={"a": 1}).status_code == 415


BODIES = [
    b"", b"null", b"[]", b"0", b'"x"', b"{", b"{}", b"\x00", b"\xff\xfe", b"NaN",
    b"[" * 8000, b'{"slot":' * 1500, b"{" * 16_000,
    b'{"slot": "a\\u0000b"}', b'{"slot": "\\ud800"}', b'{"\\ud800": 1}', b'{"slot": 1e999}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_bodies_that_are_no_vote_are_refused(client: TestClient, body: bytes) -> None:
    consented(client).get("/task")
    answer = client.post("/vote", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert set(answer.json()) == {"error", "words"}
    assert len(answer.json()["words"]) < 200


def raw_votes(slot: str) -> Iterator[str]:
    """A good vote with one value that is not."""
    good = json.dumps({**VOTE, "slot": slot})
    for name, values in {
        "milliseconds": ["1e3", "-1", "9" * 4000, "1.0", "true", "null", '"1"', "NaN", "[]"],
        "loops": ["0", "-5", "9" * 30, "1e400", "{}"],
        "hidden_milliseconds": ["-1", "1e-400", "Infinity"],
        "reasons": ['"object_motion"', "null", '["object_motion", null]', "[[]]",
                    json.dumps(["x" * 65]), json.dumps(["object_motion"] * 17), '["\\ud800"]',
                    '["object_motion\\u0000"]', '{"0": "object_motion"}'],
        "choice": ['"LEFT"', '"left "', '"\\u0000"', "0", '["left"]'],
        "slot": ['""', '"a b"', json.dumps("A" * 129), '"A\\u0000"', '"A\\n"', "12"],
    }.items():  # fmt: skip
        for value in values:
            held = json.dumps(json.loads(good)[name])
            yield good.replace(f'"{name}": {held}', f'"{name}": {value}', 1)


def test_values_out_of_bounds_are_refused_and_stored_nowhere(
    client: TestClient, store: Store
) -> None:
    slot = consented(client).get("/task").json()["task"]["slot"]
    good = json.dumps({**VOTE, "slot": slot})
    for body in raw_votes(slot):
        assert body != good
        answer = client.post("/vote", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 422, body
    assert list(store.votes()) == []
    assert client.post("/vote", content=good,
                       headers={"content-type": "application/json"}).status_code == 200


@pytest.mark.parametrize("token", [
    "..%2fstudy.db", "%2e%2e%2fstudy.db", "....//study.db",
    "%2fetc%2fpasswd", "a%00b", "%ff", "a" * 10_000, "'; DROP TABLE vote; --", "*", "%25",
    "con", "a\\b", "%0d%0aset-cookie:%20a=b", "é",
])  # fmt: skip
def test_path_tricks_find_no_media(client: TestClient, token: str) -> None:
    consented(client)
    answer = client.get(f"/media/{token}")
    assert answer.status_code == 404
    assert b"SQLite format" not in answer.content
    assert "set-cookie" not in answer.headers


async def raw_status(app: Starlette, path: str) -> int:
    """The status for a path as it is: clients tidy paths up before they send them."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    await app({"type": "http", "method": "GET", "path": path, "raw_path": path.encode(),
               "query_string": b"", "headers": [(b"host", b"127.0.0.1:8000")], "scheme": "http",
               "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8000), "root_path": ""},
              receive, send)  # fmt: skip
    return int(sent[0]["status"])


@pytest.mark.parametrize("path", ["/study.db", "/study.db.secret", "//study.db", "/app.py", "/..",
                                  "/assets/../study.db", "/assets/..", "/media/../../study.db",
                                  "/" * 5000, "\0", "assets/style.css", "/%", "/é\ud7ff"])
def test_nothing_but_the_studys_pages_has_an_address(store: Store, path: str) -> None:
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=BASE)
    assert anyio.run(raw_status, app, path) in (404, 400)


def test_other_methods_are_refused(client: TestClient) -> None:
    consented(client)
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "FOO", "OPTIONS"):
        for path in ("/vote", "/task", "/consent", "/dashboard", "/media/x"):
            assert client.request(method, path).status_code in (403, 405)
    assert client.get("/vote").status_code == 405
    assert client.head("/consent").content == b""


@pytest.mark.parametrize("body", [b"\xff\xfe=1", b"&".join(b"a=1" for _ in range(101)), b"=" * 99,
                                  b"agree=no", b"agree=yes&agree=no", b"agree", b"agree=%00"])
def test_strange_forms_are_refused(client: TestClient, body: bytes) -> None:
    client.get("/")
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert client.post("/consent", content=body, headers=form).status_code == 400


@pytest.mark.parametrize("query", [
    "PROLIFIC_PID=%00", "PROLIFIC_PID=%ff", "survey_code=" + "9" * 999, "workerId=<script>",
    "PROLIFIC_PID=a&PROLIFIC_PID=b",
])  # fmt: skip
def test_strange_links_get_a_friendly_page(client: TestClient, query: str) -> None:
    answer = client.get(f"/?{query}")
    assert answer.status_code == 400
    assert "That did not work" in answer.text
    assert "<script>" not in answer.text


def test_a_link_leads_nowhere_else(client: TestClient) -> None:
    for query in ("next=https://evil.example", "token=//evil.example", "//evil.example"):
        answer = client.get(f"/?{query}", follow_redirects=False)
        assert answer.headers["location"] == "consent"


def test_wrong_dashboard_tokens_are_slowed_down(store: Store) -> None:
    default = Limits().guessing
    guessing = Rate(default.per_second, default.burst, clock=lambda: 0.0)
    with client_of(store, limits=Limits(guessing=guessing)) as client:
        seen = [client.get(f"/dashboard?token=guess{n}").status_code for n in range(12)]
        assert seen == [401] * 10 + [429] * 2
        assert client.get("/dashboard?token=%ff%00é").status_code == 429


def test_tokens_of_any_letters_are_just_wrong(client: TestClient) -> None:
    for token in ("", "é", "%ff%00", "%ed%a0%80", TOKEN + "x", TOKEN[:-1], TOKEN.upper()):
        assert client.get(f"/dashboard?token={token}").status_code == 401


def test_a_busy_database_asks_for_patience(
    client: TestClient, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*arguments: Any) -> None:
        raise StorageError("study.db is locked", busy=True)

    consented(client)
    monkeypatch.setattr(store, "task", busy)
    answer = client.get("/task")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "2"
    assert "locked" not in answer.text


def test_a_fault_of_ours_tells_no_secrets(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*arguments: Any) -> None:
        raise RuntimeError("the secret is 1234")

    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=BASE)
    with TestClient(app, base_url=BASE, headers={"origin": BASE},
                    raise_server_exceptions=False) as client:
        consented(client)
        monkeypatch.setattr(store, "task", fails)
        monkeypatch.setattr(store, "progress", fails)
        for path in ("/task", f"/dashboard?token={TOKEN}"):
            answer = client.get(path)
            assert answer.status_code == 500
            assert "1234" not in answer.text
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["cache-control"] == "no-store"
