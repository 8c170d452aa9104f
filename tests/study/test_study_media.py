"""What annotators get to see: media in parts, and nothing that names a model; the dashboard."""

from __future__ import annotations

import re
from pathlib import Path

from drawn_study import OURS, THEIRS
from starlette.testclient import TestClient
from study_client import BASE, SECRET, TOKEN, client_of, consented, judged

from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app


def test_nothing_that_reaches_an_annotator_names_a_model(client: TestClient, made: Path) -> None:
    consented(client)
    pages = [client.get(page) for page in ("/compare", "/task", "/paused", "/assets/compare.js")]
    task = client.get("/task").json()["task"]
    videos = [client.get(f"/media/{task[side]}") for side in ("left", "right")]
    names = [OURS.encode(), THEIRS.encode(), b"model_a", b"model_b", b"_1_the"]
    for answer in (*pages, *videos):
        told = answer.content + repr(answer.headers).encode() + str(answer.url).encode()
        assert not [name for name in names if name in told]
    assert {name for name in videos[0].headers} == {name for name in videos[1].headers}
    assert len(videos[0].content) == len(videos[1].content)


def test_media_come_whole_or_in_parts(client: TestClient) -> None:
    task = consented(client).get("/task").json()["task"]
    address = f"/media/{task['left']}"
    whole = client.get(address)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["cache-control"].startswith("private")
    size = len(whole.content)
    for asked, first, last in (("bytes=0-9", 0, 9), ("bytes=10-", 10, size - 1),
                               ("bytes=-5", size - 5, size - 1), ("bytes=0-99999999", 0, size - 1),
                               ("bytes=-99999999", 0, size - 1)):
        part = client.get(address, headers={"range": asked})
        assert part.status_code == 206
        assert part.content == whole.content[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{last}/{size}"
    for asked in (f"bytes={size}-", "bytes=9-3", "bytes=-0", "bytes=-", f"bytes={10**17}-"):
        part = client.get(address, headers={"range": asked})
        assert (part.status_code, part.headers["content-range"]) == (416, f"bytes */{size}")
    for asked in ("bytes=0-1,4-5", "lines=1-2", "bytes=a-b", "bytes=1", f"bytes={'9' * 40}-"):
        assert client.get(address, headers={"range": asked}).status_code == 200
    tag = whole.headers["etag"]
    assert client.get(address, headers={"if-none-match": tag}).status_code == 304
    stale = client.get(address, headers={"range": "bytes=0-9", "if-range": '"other"'})
    assert stale.status_code == 200
    assert client.get(f"/media/{task['picture']}").headers["content-type"] == "image/png"


def test_media_are_for_annotators_only(client: TestClient) -> None:
    token = consented(client).get("/task").json()["task"]["left"]
    client.cookies.clear()
    assert client.get(f"/media/{token}").status_code == 401


def test_the_dashboard_opens_with_its_token_alone(client: TestClient, store: Store) -> None:
    assert client.get("/dashboard").status_code == 401
    assert client.get("/dashboard?token=wrong").status_code == 401
    opened = client.get(f"/dashboard?token={TOKEN}", follow_redirects=False)
    assert opened.headers["location"] == "dashboard"
    page = client.get("/dashboard")
    assert page.status_code == 200
    assert f"0 of {store.progress().wanted}" in page.text
    assert OURS in page.text
    client.cookies.clear()
    bearer = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/dashboard", headers=bearer).status_code == 200
    assert client.get("/dashboard", headers={"authorization": "Bearer x"}).status_code == 401
    assert client.get("/dashboard", headers={"authorization": f"Basic {TOKEN}"}).status_code == 401


def test_the_dashboard_counts_what_was_judged(client: TestClient) -> None:
    judged(consented(client))
    page = client.get(f"/dashboard?token={TOKEN}").text
    assert "6 of 30" in page
    assert "100.0 % " in page or "100.0 %" in page  # left chosen
    assert re.search(r"Finished</th>\s*<td class=\"right\">1<", page)


def test_an_annotators_cookie_does_not_open_the_dashboard(client: TestClient) -> None:
    consented(client)
    client.cookies.set("study_dashboard", client.cookies["study"])
    assert client.get("/dashboard").status_code == 401


def test_a_new_token_closes_the_dashboard_for_those_who_had_the_old_one(store: Store) -> None:
    with client_of(store) as client:
        client.get(f"/dashboard?token={TOKEN}")
        cookie = client.cookies["study_dashboard"]
    app = build_app(store, secret=SECRET, dashboard_token="another", base_url=BASE)
    with TestClient(app, base_url=BASE, cookies={"study_dashboard": cookie}) as client:
        assert client.get("/dashboard").status_code == 401
