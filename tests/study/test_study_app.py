"""An annotator's way through the pages, as a browser without scripts would walk it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from drawn_study import ANSWER, CODES, drawn_study
from starlette.testclient import TestClient
from study_client import CHECK, VOTE, client_of, consented, judged

from motifocal.study.messages import Answer, Refused
from motifocal.study.store.store import Store


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


def test_the_answer_of_the_tests_is_one_that_the_store_takes(store: Store) -> None:
    id = store.join("link", None).id
    store.consent(id)
    task = store.task(id)
    assert task is not None
    store.vote(id, task.slot, ANSWER)
    assert len(list(store.votes())) == 1
