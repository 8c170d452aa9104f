"""An annotator's way through the pages, as a browser without scripts would walk it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from drawn_study import ANSWER, CODES, OURS, THEIRS, drawn_study
from starlette.testclient import TestClient

from motifocal.study.messages import Answer, Refused
from motifocal.study.store.store import Store
from motifocal.study.web.app import build_app
from motifocal.study.web.recruitment import LinkError, read_entry
from motifocal.study.web.secrets import ENVIRONMENT, Keys, make_secret, read_keys
from motifocal.study.web.security import Limits, Rate, Site, neighbourhood

BASE = "http://127.0.0.1:8000"
SECRET, TOKEN = b"s" * 32, "token-of-the-dashboard"
VOTE = {"choice": "left", "reasons": ["object_motion"], "milliseconds": 5000, "loops": 2,
        "hidden_milliseconds": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    drawn_study(folder).close()
    return folder / "study.db"


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Iterator[Store]:
    shutil.copy(made, tmp_path / "study.db")
    with Store(tmp_path / "study.db") as opened:
        yield opened


def client_of(store: Store, base: str = BASE, **options: Any) -> TestClient:
    app = build_app(store, secret=SECRET, dashboard_token=TOKEN, base_url=base, **options)
    return TestClient(app, base_url=base, headers={"origin": base})


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    with client_of(store) as made:
        yield made


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


def test_the_way_leads_from_the_link_over_consent_and_instructions_to_the_code(
    client: TestClient, store: Store
) -> None:
    page = client.get("/")
    assert page.url.path == "/consent"
    assert "You are invited" in page.text
    page = client.post("/consent", data={"agree": "yes"})
    assert page.url.path == "/instructions"
    assert "First choose the better video overall" in page.text
    page = client.post("/instructions", data={"go": "on"})
    assert page.url.path == "/compare"
    assert store.protocol.question in page.text
    tasks = judged(client)
    assert [task["number"] for task in tasks] == [1, 2, 3, 4, 5, 6]
    assert len({task["picture"] for task in tasks}) == 6
    assert len(list(store.votes())) == 6
    page = client.get("/compare")  # its script asks for the task and goes on to the end
    assert page.status_code == 200
    page = client.get("/end")
    assert "Thank you" in page.text
    assert CODES["completion_code"] in page.text
    assert CODES["screen_out_code"] not in page.text


def test_nothing_is_stored_before_consent(client: TestClient, store: Store) -> None:
    client.get("/?PROLIFIC_PID=abc123")
    client.get("/declined")
    assert sum(store.progress().annotators.values()) == 0
    client.post("/consent", data={"agree": "yes"})
    assert sum(store.progress().annotators.values()) == 1


def test_the_same_consent_sent_twice_makes_one_annotator(client: TestClient, store: Store) -> None:
    client.get("/")
    before = dict(client.cookies)
    client.post("/consent", data={"agree": "yes"})
    client.cookies.update(before)  # as of a second click, before the first was answered
    client.post("/consent", data={"agree": "yes"})
    assert sum(store.progress().annotators.values()) == 1


@pytest.mark.parametrize("page", ["consent", "instructions", "compare", "end", "paused"])
def test_without_a_session_every_page_asks_for_the_invitation(
    client: TestClient, page: str
) -> None:
    answer = client.get(f"/{page}")
    assert answer.status_code == 401
    assert "open your invitation again" in answer.text


def test_every_page_leads_to_the_one_that_is_due(client: TestClient) -> None:
    client.get("/")
    assert client.get("/compare").status_code == 401
    client.post("/consent", data={"agree": "yes"})
    assert client.get("/end").url.path == "/compare"
    assert client.get("/").url.path == "/compare"
    assert client.get("/consent").url.path == "/compare"


def test_a_task_is_the_same_until_it_is_judged(client: TestClient) -> None:
    consented(client)
    first = client.get("/task").json()["task"]
    assert client.get("/task").json()["task"] == first
    assert client.post("/vote", json={**VOTE, "slot": first["slot"]}).status_code == 200
    second = client.get("/task").json()["task"]
    assert second["slot"] != first["slot"]
    assert [second["picture"], second["left"], second["right"]] == first["upcoming"]


def test_the_same_vote_sent_twice_is_one_vote(client: TestClient, store: Store) -> None:
    consented(client)
    slot = client.get("/task").json()["task"]["slot"]
    first = client.post("/vote", json={**VOTE, "slot": slot})
    again = client.post("/vote", json={**VOTE, "slot": slot})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert len(list(store.votes())) == 1
    other = client.post("/vote", json={**VOTE, "slot": slot, "choice": "right"})
    assert (other.status_code, other.json()["error"]) == (409, "answered")


def test_the_choice_is_stored_for_the_side_it_was_made_for(
    client: TestClient, store: Store
) -> None:
    consented(client)
    task = client.get("/task").json()["task"]
    answer = {**VOTE, "slot": task["slot"], "choice": "right", "milliseconds": 4321, "loops": 3,
              "hidden_milliseconds": 99, "reasons": ["overall_quality", "text_alignment"]}
    client.post("/vote", json=answer)
    (vote,) = store.votes()
    assert vote.winner != vote.left
    assert (vote.milliseconds, vote.loops) == (4321, 3)
    assert vote.reasons == ("text_alignment", "overall_quality")


@pytest.mark.parametrize("change", [
    {"choice": "tie", "reasons": []},  # this study has none
    {"reasons": []}, {"reasons": ["beauty"]}, {"reasons": ["object_motion"] * 2},
    {"loops": 0}, {"milliseconds": -1}, {"milliseconds": 10**9}, {"milliseconds": 1.5},
    {"milliseconds": "5"}, {"choice": "both"}, {"extra": 1}, {"slot": "../../x"}, {"slot": None},
])  # fmt: skip
def test_answers_that_break_the_rules_are_refused(
    client: TestClient, store: Store, change: dict[str, Any]
) -> None:
    consented(client)
    slot = client.get("/task").json()["task"]["slot"]
    answer = client.post("/vote", json={**VOTE, "slot": slot, **change})
    assert answer.status_code == 422, answer.text
    assert list(store.votes()) == []


def test_a_field_that_is_there_twice_is_refused(client: TestClient, store: Store) -> None:
    consented(client)
    slot = client.get("/task").json()["task"]["slot"]
    good = json.dumps({**VOTE, "slot": slot})
    assert '"choice": "left"' in good
    for twice in (good.replace("}", ', "choice": "right"}'), good.replace("}", ', "loops": 2}'),
                  good.replace("}", f', "slot": "{slot}"}}')):
        answer = client.post("/vote", content=twice, headers={"content-type": "application/json"})
        assert (answer.status_code, "twice" in answer.json()["words"]) == (422, True)
    assert list(store.votes()) == []


@pytest.mark.parametrize(("change", "status"), [
    ({"milliseconds": 86_400_000}, 200), ({"milliseconds": 86_400_001}, 422),
    ({"hidden_milliseconds": 86_400_001}, 422), ({"loops": 1_000_001}, 422),
    ({"slot": "A" * 64}, 404), ({"slot": "A" * 65}, 422),
])  # fmt: skip
def test_the_page_and_the_store_have_the_same_limits(
    client: TestClient, store: Store, change: dict[str, Any], status: int
) -> None:
    consented(client)
    task = client.get("/task").json()["task"]
    vote = {**VOTE, "slot": task["slot"], **change}
    assert client.post("/vote", json=vote).status_code == status
    if status == 422 and "slot" not in change:
        numbers = [vote[name] for name in ("milliseconds", "loops", "hidden_milliseconds")]
        with pytest.raises(Refused, match="should be"):
            store.vote("x", task["slot"], Answer("left", ("object_motion",), *numbers))


def test_a_vote_that_comes_before_anybody_could_watch_is_refused(tmp_path: Path) -> None:
    store = drawn_study(tmp_path, scenarios=("sun", "bird"), protocol={"least_seconds": 60})
    with store, client_of(store) as client:
        slot = consented(client).get("/task").json()["task"]["slot"]
        answer = client.post("/vote", json={**VOTE, "slot": slot})
        assert (answer.status_code, answer.json()["error"]) == (425, "too early")
        assert list(store.votes()) == []


def test_ties_are_taken_where_the_study_has_them(tmp_path: Path) -> None:
    store = drawn_study(tmp_path, scenarios=("sun", "bird"), protocol={"ties": True})
    with store, client_of(store) as client:
        assert "No difference" in consented(client).get("/compare").text
        slot = client.get("/task").json()["task"]["slot"]
        tie = {**VOTE, "slot": slot, "choice": "tie"}
        assert client.post("/vote", json=tie).status_code == 422  # with a reason
        assert client.post("/vote", json={**tie, "reasons": []}).status_code == 200
        assert next(store.votes()).winner == "tie"


CHECK = {"check": [{"question": "What counts?", "answers": ["faults", "the whole"], "right": 1},
                   {"question": "Must you choose?", "answers": ["yes", "no"], "right": 0}]}


def test_the_check_gives_a_second_try_and_then_screens_out(tmp_path: Path) -> None:
    store = drawn_study(tmp_path, scenarios=("sun", "bird"), protocol=CHECK)
    with store, client_of(store) as client:
        client.get("/")
        assert "What counts?" in client.post("/consent", data={"agree": "yes"}).text
        assert client.get("/compare").url.path == "/instructions"
        assert client.post("/instructions", data={"question-0": "1"}).status_code == 400
        wrong = {"question-0": "0", "question-1": "0"}
        page = client.post("/instructions", data=wrong)
        assert page.url.path == "/instructions"
        assert "this is the last try" in page.text
        page = client.post("/instructions", data=wrong)
        assert page.url.path == "/end"
        assert CODES["screen_out_code"] in page.text
        assert CODES["completion_code"] not in page.text
        assert 'href="https://' not in page.text
        assert client.get("/task").json() == {"task": None}
        assert client.get("/").url.path == "/end"


def test_right_answers_to_the_check_lead_on(tmp_path: Path) -> None:
    store = drawn_study(tmp_path, scenarios=("sun", "bird"), protocol=CHECK)
    with store, client_of(store) as client:
        client.get("/")
        client.post("/consent", data={"agree": "yes"})
        page = client.post("/instructions", data={"question-0": "1", "question-1": "0"})
        assert page.url.path == "/compare"


def test_leaving_gives_the_comparison_back_and_the_link_leads_on(
    client: TestClient, store: Store
) -> None:
    consented(client)
    client.get("/task")
    assert store.progress().leased > 0
    page = client.post("/leave", data={"go": "on"})
    assert page.url.path == "/paused"
    assert store.progress().leased == 0
    assert client.get("/").url.path == "/compare"


def test_who_finds_nothing_left_is_told_so_and_gets_the_code(tmp_path: Path) -> None:
    store = drawn_study(tmp_path, scenarios=("sun", "bird"), protocol={"votes": 1})
    with store, client_of(store) as first, client_of(store) as second:
        assert len(judged(consented(first))) == 2
        assert judged(consented(second)) == []
        page = second.get("/end")
        assert "nothing left" in page.text
        assert CODES["completion_code"] in page.text


def test_the_same_person_is_the_same_annotator_on_another_device(store: Store) -> None:
    with client_of(store) as first, client_of(store) as second:
        consented(first, "?PROLIFIC_PID=5f1&STUDY_ID=s&SESSION_ID=t")
        task = first.get("/task").json()["task"]
        second.get("/?PROLIFIC_PID=5f1&STUDY_ID=s&SESSION_ID=u")
        assert second.post("/consent", data={"agree": "yes"}).url.path == "/compare"
        assert second.get("/task").json()["task"]["slot"] == task["slot"]


def test_another_person_on_the_same_device_is_another_annotator(client: TestClient) -> None:
    task = consented(client, "?PROLIFIC_PID=one").get("/task").json()["task"]
    assert client.get("/?PROLIFIC_PID=two").url.path == "/consent"
    other = consented(client, "?PROLIFIC_PID=two").get("/task").json()["task"]
    assert other["slot"] != task["slot"]


@pytest.mark.parametrize(("query", "source", "external"), [
    ([("PROLIFIC_PID", "5f1a"), ("STUDY_ID", "s"), ("SESSION_ID", "t")], "prolific", "5f1a"),
    ([("participantId", "C1"), ("assignmentId", "a"), ("projectId", "p")], "connect", "C1"),
    ([("survey_code", "4711")], "sona", "4711"),
    ([("workerId", "W1"), ("assignmentId", "A1"), ("hitId", "H")], "mturk", "W1"),
])  # fmt: skip
def test_every_recruitment_service_names_its_people(
    query: list[tuple[str, str]], source: str, external: str
) -> None:
    entry = read_entry([*query, ("utm_source", "mail")])
    assert (entry.source, entry.external) == (source, external)


def test_plain_links_make_people_of_their_own() -> None:
    one, other = read_entry([]), read_entry([])
    assert one.source == other.source == "link"
    assert one.external != other.external


@pytest.mark.parametrize("query", [
    [("PROLIFIC_PID", "")], [("PROLIFIC_PID", "a"), ("PROLIFIC_PID", "b")],
    [("PROLIFIC_PID", "{{%PROLIFIC_PID%}}")], [("survey_code", "%SURVEY_CODE%")],
    [("participantId", "x" * 129)], [("participantId", "a\0b")], [("survey_code", "٣")],
    [("workerId", "W")], [("workerId", "W"), ("assignmentId", "A"), ("turkSubmitTo", "https://x.y")],
    [("workerId", "W"), ("assignmentId", "A"), ("turkSubmitTo", "https://www.mturk.com.x.y/")],
])  # fmt: skip
def test_damaged_links_are_refused_with_a_word_on_why(query: list[tuple[str, str]]) -> None:
    with pytest.raises(LinkError):
        read_entry(query)


@pytest.mark.parametrize(("query", "service", "name"), [
    ("STUDY_ID=s&SESSION_ID=y", "Prolific", "PROLIFIC_PID"),
    ("prolific_pid=p1", "Prolific", "PROLIFIC_PID"), ("ProlificPid=p1", "Prolific", "PROLIFIC_PID"),
    ("PROLIFIC_ID=p1", "Prolific", "PROLIFIC_PID"),
    ("participantid=c1", "CloudResearch Connect", "participantId"),
    ("assignmentId=a&projectId=p", "CloudResearch Connect", "participantId"),
    ("SURVEY_CODE=7", "SONA", "survey_code"), ("workerid=w", "Mechanical Turk", "workerId"),
    ("hitId=h&turkSubmitTo=https%3A%2F%2Fwww.mturk.com", "Mechanical Turk", "workerId"),
])  # fmt: skip
def test_a_services_link_that_has_lost_its_id_is_refused_in_words(
    client: TestClient, store: Store, query: str, service: str, name: str
) -> None:
    answer = client.get(f"/?{query}")
    assert answer.status_code == 400
    assert f"no {name}" in answer.text
    assert f"from the page of {service}" in answer.text
    assert client.post("/consent", data={"agree": "yes"}).status_code == 401
    assert sum(store.progress().annotators.values()) == 0


@pytest.mark.parametrize("query", ["", "utm_source=mail&id=7", "study=1&session=2", "token=x"])
def test_a_plain_link_with_parameters_of_its_own_is_no_services(query: str) -> None:
    pairs = [(name, "x") for name in re.findall(r"(\w+)=", query)]
    assert read_entry(pairs).source == "link"


def test_the_last_page_leads_back_to_the_service(tmp_path: Path) -> None:
    urls = {"prolific": "https://app.prolific.com/submissions/complete?cc={code}",
            "sona": "https://u.sona-systems.com/webstudy_credit.aspx?x=1&survey_code={id}"}
    store = drawn_study(tmp_path, scenarios=("sun", "bird"), protocol={"completion_urls": urls})
    for query, link in (("?PROLIFIC_PID=p1", "complete?cc=C0DE-9471"),
                        ("?survey_code=77", "x=1&amp;survey_code=77")):  # fmt: skip
        with client_of(store) as client:
            judged(consented(client, query))
            assert f'{link}"' in client.get("/end").text
    store.close()


TURK = "?workerId=W1&assignmentId=A1&hitId=H1&turkSubmitTo=https%3A%2F%2Fworkersandbox.mturk.com"


def test_who_is_screened_out_is_led_back_with_the_other_code(tmp_path: Path) -> None:
    urls = {"prolific": "https://app.prolific.com/submissions/complete?cc={code}",
            "connect": "https://connect.cloudresearch.com/participant/completed?x=1"}
    store = drawn_study(tmp_path, scenarios=("sun", "bird"),
                        protocol={**CHECK, "completion_urls": urls})
    for query, link in (("?PROLIFIC_PID=p1", "complete?cc=OUT-5512"), ("?participantId=c1", None)):
        with client_of(store) as client:
            client.get("/" + query)
            client.post("/consent", data={"agree": "yes"})
            for _ in range(2):
                page = client.post("/instructions", data={"question-0": "0", "question-1": "1"})
            assert page.url.path == "/end"
            assert ("Back to where you came from" in page.text) is (link is not None)
            assert (link or "OUT-5512") in page.text
    store.close()


def test_mechanical_turk_shows_the_study_in_its_frame_and_gets_the_form_back(store: Store) -> None:
    with client_of(store, "https://study.example.org") as client:
        started = client.get("/" + TURK, follow_redirects=False)
        assert "SameSite=None; Partitioned; Secure" in started.headers["set-cookie"]
        judged(consented(client, TURK))
        page = client.get("/end")
        assert 'action="https://workersandbox.mturk.com/mturk/externalSubmit"' in page.text
        assert 'name="assignmentId" value="A1"' in page.text
        policy = page.headers["content-security-policy"]
        assert "frame-ancestors https://worker.mturk.com" in policy
        assert "form-action 'self' https://www.mturk.com" in policy
        assert "x-frame-options" not in page.headers


def test_a_worker_who_only_looks_gets_a_preview_and_no_session(client: TestClient) -> None:
    page = client.get("/?assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE&hitId=H1")
    assert "Accept the task to begin" in page.text
    assert "set-cookie" not in page.headers
    assert "mturk.com" in page.headers["content-security-policy"]


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


def test_assets_may_be_kept_and_answers_may_not(client: TestClient) -> None:
    assert "immutable" in client.get("/assets/style.css").headers["cache-control"]
    assert client.get("/assets/in_step.js").headers["content-type"].startswith("text/javascript")
    consented(client)
    for page in ("/compare", "/task", "/consent"):
        assert client.get(page).headers["cache-control"] == "no-store"
    for name in ("consent.html", "../app.py", "%2e%2e/app.py", "style.css/..", ""):
        assert client.get(f"/assets/{name}").status_code == 404
    assert "Disallow: /" in client.get("/robots.txt").text


def test_every_answer_carries_the_headers_that_keep_it_to_itself(client: TestClient) -> None:
    for path in ("/consent", "/nothing", "/assets/style.css", "/task", "/dashboard"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_cookies_are_for_this_site_and_no_script(store: Store) -> None:
    for base, secure in ((BASE, False), ("https://study.example.org", True)):
        with client_of(store, base) as client:
            cookie = client.get("/", follow_redirects=False).headers["set-cookie"]
            assert "HttpOnly; SameSite=Lax" in cookie
            assert ("; Secure" in cookie) is secure


def test_too_many_requests_have_to_wait(store: Store) -> None:
    limits = Limits(session=Rate(1, 3, clock=lambda: 0.0), address=Rate(1, 100, clock=lambda: 0.0))
    with client_of(store, limits=limits) as client:
        client.get("/")
        answers = [client.get("/consent") for _ in range(4)]
        assert answers[-1].status_code == 429
        assert int(answers[-1].headers["retry-after"]) >= 1
    with client_of(store, limits=Limits(address=Rate(1, 2, clock=lambda: 0.0))) as client:
        assert [client.get("/robots.txt").status_code for _ in range(3)] == [200, 200, 429]


def test_who_joins_again_and_again_from_one_address_has_to_wait(store: Store) -> None:
    with client_of(store, limits=Limits(joining=Rate(0.01, 2, clock=lambda: 0.0))) as client:
        seen = []
        for number in range(3):
            client.get(f"/?PROLIFIC_PID=p{number}")
            seen.append(client.post("/consent", data={"agree": "yes"}).status_code)
        assert seen == [200, 200, 429]


def test_a_bucket_fills_again_with_time_and_forgets_the_oldest() -> None:
    now = [0.0]
    rate = Rate(2, 3, most_keys=2, clock=lambda: now[0])
    assert [rate.wait("a") for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 0.5
    assert rate.wait("a") == 0
    assert rate.wait("a") > 0
    rate.wait("b")
    rate.wait("c")  # "a" is forgotten, and begins anew
    assert rate.wait("a") == 0


def test_households_share_a_bucket() -> None:
    assert neighbourhood("2001:db8::1") == neighbourhood("2001:db8::ffff")
    assert neighbourhood("2001:db8:0:1::1") != neighbourhood("2001:db8::1")
    assert neighbourhood("::ffff:10.0.0.1") == "10.0.0.1"
    assert neighbourhood("testclient") == "unknown"


def test_a_site_knows_its_hosts_and_origins() -> None:
    site = Site.at("https://study.example.org/path/")
    assert site.hosts == {"study.example.org", "study.example.org:443"}
    assert site.secure
    assert "http://localhost:8000" in Site.at("http://127.0.0.1:8000").origins
    for wrong in ("study.example.org", "ftp://x.y", "https://", "https://u:p@x.y", "https://x.y?a"):
        with pytest.raises(ValueError, match="base URL"):
            Site.at(wrong)


def test_the_secret_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "study.secret"
    assert make_secret(file)
    assert file.stat().st_mode & 0o777 == 0o600
    keys = read_keys(file)
    assert not make_secret(file)
    assert read_keys(file) == keys
    assert len(keys.session) == 32
    file.chmod(0o644)
    with pytest.raises(ValueError, match="owner alone"):
        read_keys(file)


def test_there_is_no_default_secret(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    with pytest.raises(ValueError, match="32 to 1000"):
        read_keys(None)
    monkeypatch.setenv(ENVIRONMENT, "x" * 40)
    assert read_keys(None) == Keys.of("x" * 40)
    with pytest.raises(ValueError, match="32 bytes"):
        build_app(store, secret=b"short", dashboard_token="t", base_url=BASE)
    with pytest.raises(ValueError, match="dashboard_token"):
        build_app(store, secret=SECRET, dashboard_token="", base_url=BASE)


def test_the_answer_of_the_tests_is_one_that_the_store_takes(store: Store) -> None:
    id = store.join("link", None).id
    store.consent(id)
    task = store.task(id)
    assert task is not None
    store.vote(id, task.slot, ANSWER)
    assert len(list(store.votes())) == 1
