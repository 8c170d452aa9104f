"""Who an annotator is, by link and by device, and where the last page leads back to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from drawn_study import drawn_study
from starlette.testclient import TestClient
from study_client import CHECK, client_of, consented, judged

from motifocal.study.store.store import Store
from motifocal.study.web.recruitment import LinkError, read_entry


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
