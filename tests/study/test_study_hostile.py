"""What nobody well-meaning sends is refused, shows nothing, changes nothing, and breaks nothing."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from drawn_study import drawn_study
from starlette.applications import Starlette
from starlette.testclient import TestClient
from study_openapi import openapi
from test_study_app import BASE, SECRET, TOKEN, VOTE, client_of, consented, judged

from motifocal.study.store.database import StorageError
from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app
from motifocal.study.web.recruitment import Session
from motifocal.study.web.security import Limits, Rate
from motifocal.study.web.session import Cookies

SCRIPT = "</p><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'>"
ESCAPED = "&lt;script&gt;"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    texts = {"consent_md": f"# Hello\n\n{SCRIPT}\n\n[link](javascript:alert(1))\n\n<b>bold</b>",
             "instructions_md": SCRIPT, "thanks_md": SCRIPT, "question": SCRIPT, "title": SCRIPT}
    drawn_study(folder, scenarios=("sun", "bird", "duck"), sentences={"sun": SCRIPT},
                models=(SCRIPT, "theirs"), protocol=texts).close()
    return folder / "study.db"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(made, tmp_path / "study.db")
    with Store(tmp_path / "study.db") as opened:
        yield opened


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    with client_of(store) as made:
        yield made


def test_scripts_in_what_people_write_are_shown_and_not_run(client: TestClient) -> None:
    consented(client)
    pages = [client.get("/compare"), client.get(f"/dashboard?token={TOKEN}")]
    judged(client)
    pages.append(client.get("/end"))
    client.cookies.clear()
    pages.append(client.get("/"))
    for page in pages:
        assert page.status_code == 200
        assert "<script>window" not in page.text
        assert "<img src=x" not in page.text
        assert ESCAPED in page.text
    assert "javascript:" not in pages[-1].text.replace("](javascript:alert(1))", "")
    assert "<b>bold" not in pages[-1].text


def test_a_sentence_reaches_the_page_as_json_and_not_as_html(client: TestClient) -> None:
    tasks = judged(consented(client))
    assert SCRIPT in [task["prompt"] for task in tasks]
    assert SCRIPT not in client.get("/compare").text


def forged_cookies(good: str) -> Iterator[str]:
    yield from ("", "x", ".", "..", "a.b.c", "%00", good[:-1], good + "x", good[1:], good.upper())
    payload, _, rest = good.partition(".") if not good.startswith(".") else good[1:].partition(".")
    yield f"{payload}.{rest[::-1]}"
    for place in range(0, len(good), 7):
        other = "A" if good[place] != "A" else "B"
        yield good[:place] + other + good[place + 1 :]


def test_no_cookie_is_believed_that_was_not_signed_here(client: TestClient, store: Store) -> None:
    id = store.join("link", "somebody").id
    store.consent(id)
    session = Session("link", "somebody", id)
    strangers = [Cookies(b"t" * 32, TOKEN, secure=False)]
    good = Cookies(SECRET, TOKEN, secure=False).keep(session)
    value = good.partition("=")[2].partition(";")[0]
    client.cookies.set("study", value)
    assert client.get("/task").status_code == 200
    tried = [*forged_cookies(value), *(
        one.keep(session).partition("=")[2].partition(";")[0] for one in strangers)]
    for forged in dict.fromkeys(tried):
        client.cookies.clear()
        client.cookies.set("study", forged)
        assert client.get("/task").status_code == 401, forged
        assert client.get("/dashboard").status_code == 401


def test_cookies_of_any_bytes_are_no_fault(client: TestClient) -> None:
    for raw in (b"study=\xff\xfe", b"study=" + b"A" * 8000, b";;;=;=", b'study="\\777"', b"\x00"):
        answer = client.get("/task", headers={b"cookie": raw})
        assert answer.status_code == 401, raw


def test_a_session_of_somebody_whom_the_store_does_not_know_is_none(client: TestClient) -> None:
    for id in ("nobody", "' OR 1=1 --", "\0", "x" * 10_000, "é\ud83d"[:1]):
        cookie = Cookies(SECRET, TOKEN, secure=False).keep(Session("link", "x", id))
        client.cookies.clear()
        client.cookies.set("study", cookie.partition("=")[2].partition(";")[0])
        assert client.get("/task").status_code == 401


def test_nobody_votes_for_anothers_slot(store: Store) -> None:
    with client_of(store) as one, client_of(store) as other:
        slot = consented(one).get("/task").json()["task"]["slot"]
        consented(other).get("/task")
        answer = other.post("/vote", json={**VOTE, "slot": slot})
        assert (answer.status_code, answer.json()["error"]) == (403, "not yours")
        assert one.post("/vote", json={**VOTE, "slot": slot}).status_code == 200
        again = other.post("/vote", json={**VOTE, "slot": slot})  # replayed after the fact
        assert again.status_code == 403
    assert len(list(store.votes())) == 1


def test_a_slot_that_was_given_back_takes_no_vote(client: TestClient, store: Store) -> None:
    slot = consented(client).get("/task").json()["task"]["slot"]
    client.post("/leave", data={"go": "on"})
    answer = client.post("/vote", json={**VOTE, "slot": slot})
    assert (answer.status_code, answer.json()["error"]) == (410, "expired")
    unknown = client.post("/vote", json={**VOTE, "slot": "A" * 22})
    assert (unknown.status_code, unknown.json()["error"]) == (404, "unknown")
    assert list(store.votes()) == []


@pytest.mark.parametrize("headers", [
    {"origin": "https://evil.example"}, {"origin": "null"}, {"origin": ""},
    {"origin": "http://127.0.0.1:8001"}, {"origin": "https://127.0.0.1:8000"},
    {"origin": BASE, "sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "none"}, {"origin": "https://evil.example", "sec-fetch-site": "same-origin"},
    {},
])  # fmt: skip
def test_posts_of_other_sites_are_refused(store: Store, headers: dict[str, str]) -> None:
    with client_of(store) as own:
        slot = consented(own).get("/task").json()["task"]["slot"]
        jar = own.cookies
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=BASE)
    with TestClient(app, base_url=BASE, cookies=jar, headers=headers) as client:
        vote = client.post("/vote", json={**VOTE, "slot": slot})
        assert (vote.status_code, vote.json()["error"]) == (403, "403")
        for path in ("/consent", "/instructions", "/leave"):
            assert client.post(path, data={"agree": "yes"}).status_code == 403
    assert list(store.votes()) == []
    assert store.progress().leased > 0


def test_posts_of_the_sites_own_pages_pass_by_either_header(store: Store) -> None:
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=BASE)
    for headers in ({"origin": "http://localhost:8000"}, {"sec-fetch-site": "same-origin"}):
        with TestClient(app, base_url=BASE, headers=headers) as client:
            consented(client)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:9", "", "127.0.0.1:8000.evil.example",
                                  "study@127.0.0.1:8000"])  # fmt: skip
def test_other_hosts_names_are_not_answered(client: TestClient, host: str) -> None:
    assert client.get("/consent", headers={"host": host}).status_code == 421


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


def test_the_schema_names_every_address_and_none_besides(store: Store) -> None:
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=BASE)
    there = {(route.path, method.lower()) for route in app.routes
             for method in route.methods - {"HEAD"}}
    told = {(path, method) for path, item in openapi()["paths"].items() for method in item}
    assert told == there


@pytest.mark.slow
@pytest.mark.parametrize("known", [False, True], ids=["a stranger", "an annotator"])
def test_whatever_is_asked_gets_an_answer_that_the_schema_tells_of(
    store: Store, known: bool
) -> None:
    """Schemathesis draws requests that fit the schema, and ones that do not."""
    schemathesis = pytest.importorskip("schemathesis", reason="needs Python 3.11")
    from hypothesis import HealthCheck, Phase, given, settings
    from hypothesis.errors import Unsatisfiable
    from schemathesis import checks

    free = Limits(*(Rate(1e6, 1e6) for _ in range(4)))
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=BASE, limits=free)
    strict = [checks.not_a_server_error, checks.status_code_conformance,
              checks.content_type_conformance, checks.response_schema_conformance]
    asked: Counter[str] = Counter()
    with TestClient(app, base_url=BASE, headers={"origin": BASE},
                    follow_redirects=False) as client:
        if known:
            client.get("/")
            client.post("/consent", data={"agree": "yes"})

        def ask(case: Any) -> None:
            request = case.as_transport_kwargs(base_url=BASE)
            drawn = request.pop("cookies")
            if isinstance(request.get("data"), bytes | str):
                request["content"] = request.pop("data")
            if not known:
                request["headers"]["cookie"] = "; ".join(f"{k}={v}" for k, v in drawn.items())
            answer = client.request(**request)
            asked[f"{case.method} {case.path} {answer.status_code}"] += 1
            case.validate_response(answer, checks=strict)

        limited = settings(max_examples=4, deadline=None, database=None, derandomize=True,
                           phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        for operation in schemathesis.openapi.from_dict(openapi()).get_all_operations():
            for mode in schemathesis.GenerationMode:
                strategy = operation.ok().as_strategy(generation_mode=mode)
                with suppress(Unsatisfiable):  # nothing can be wrong where nothing is asked for
                    limited(given(strategy)(ask))()
    told = {(path, method.upper()) for path, item in openapi()["paths"].items() for method in item}
    assert {tuple(key.split()[1::-1]) for key in asked} == told
    assert sum(asked.values()) > 3 * len(told)
