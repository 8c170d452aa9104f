"""Hostile texts, cookies, votes and origins show nothing, change nothing, and break nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn_study import drawn_study
from starlette.testclient import TestClient
from study_client import BASE, SECRET, TOKEN, VOTE, client_of, consented, judged

from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app
from motifocal.study.web.recruitment import Session
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
