"""A judge behind an address: hostile answers are failures by name, and its key stays secret."""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

import pytest
from tiny_judges import videos
from vlm_server import answering, completion, serving

from motifocal.bench.judge import endpoint
from motifocal.bench.judge.endpoint import KEY, EndpointJudge, check_address, read_answer
from motifocal.bench.judge.judge import (
    BAD_ANSWER,
    BAD_STATUS,
    EMPTY,
    NEITHER,
    NO_CONNECTION,
    NO_LOGPROBS,
    REFUSED,
    TIMED_OUT,
    TOO_LARGE,
    Answer,
    Failure,
)


def top(*tokens: Any) -> dict[str, Any]:
    """Log-probabilities of a first token and its alternatives."""
    listed = [{"token": token, "logprob": logprob} for token, logprob in tokens]
    return {"content": [{**listed[0], "top_logprobs": listed}]}


@pytest.mark.parametrize(("body", "kind"), [
    (b"", BAD_ANSWER), (b"\xff\x00", BAD_ANSWER), (b"[" * 100_000, BAD_ANSWER),
    (b"{}", BAD_ANSWER), (b'{"choices": []}', BAD_ANSWER), (b'{"choices": [3]}', BAD_ANSWER),
    (b'{"choices": [{"message": null}]}', BAD_ANSWER),
    (completion(message={"content": "", "refusal": None}, logprobs=None), EMPTY),
    (completion(message={"content": None}, logprobs={"content": []}), EMPTY),
    (completion(logprobs=None), NO_LOGPROBS),
    (completion(logprobs={"content": None}), NO_LOGPROBS),
    (completion(message={"content": None, "refusal": "I cannot\nhelp"}), REFUSED),
    (completion(finish_reason="content_filter"), REFUSED),
    (completion(logprobs=top(("Sure", -0.1), ("I", -3))), NEITHER),
    (completion(logprobs=top(("Yes", -0.6))), NO_LOGPROBS),
    (completion(logprobs={"content": [{"token": "Yes", "logprob": -0.6, "top_logprobs": []}]}),
     NO_LOGPROBS),
    (completion(logprobs=top(("Yes", 2.0))), BAD_ANSWER),
    (completion(logprobs=top(("Yes", "nan"))), BAD_ANSWER),
    (completion(logprobs=top((7, -1.0))), BAD_ANSWER),
    (completion(logprobs={"content": [{"token": "Yes"}]}), BAD_ANSWER),
    (completion(logprobs={"content": "Yes"}), BAD_ANSWER),
])  # fmt: skip
def test_an_answer_of_another_form_is_a_failure_by_name(body: Any, kind: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    outcome = read_answer(content)
    assert isinstance(outcome, Failure), outcome
    assert outcome.kind == kind
    assert outcome.reason.isprintable()


def test_a_right_answer_is_read() -> None:
    outcome = read_answer(json.dumps(completion(" YES")).encode())
    assert isinstance(outcome, Answer)
    assert outcome.probability == pytest.approx(0.8)
    # The first token stands among its alternatives, and counts once.
    assert outcome.mass == pytest.approx(1.0)


def test_the_first_token_counts_once_where_only_it_says_its_bytes() -> None:
    body = completion(" YES")
    body["choices"][0]["logprobs"]["content"][0]["bytes"] = [32, 89, 69, 83]
    outcome = read_answer(json.dumps(body).encode())
    assert isinstance(outcome, Answer)
    assert outcome.probability == pytest.approx(0.8)


def asked(handler: Any, **settings: Any) -> Answer | Failure:
    with serving(handler) as address:
        (outcome,) = EndpointJudge(address, "m", **settings).ask(videos(1))
    return outcome


@pytest.mark.parametrize(("status", "headers", "kind", "words"), [
    (500, None, BAD_STATUS, "HTTP 500"), (401, None, BAD_STATUS, "HTTP 401"),
    (422, None, BAD_STATUS, "HTTP 422"),
    (302, {"Location": "http://192.0.2.1/v1/chat/completions"}, BAD_STATUS, "HTTP 302"),
    (307, {"Location": "http://192.0.2.1/v1/chat/completions"}, BAD_STATUS, "HTTP 307"),
])  # fmt: skip
def test_errors_and_redirects_are_failures_and_nothing_is_sent_elsewhere(
    status: int, headers: dict[str, str] | None, kind: str, words: str
) -> None:
    outcome = asked(answering({"error": "no"}, status, headers))
    assert isinstance(outcome, Failure)
    assert (outcome.kind, words in outcome.reason) == (kind, True)


def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(endpoint, "MOST_READ", 1000)
    outcome = asked(answering(b" " * 5000 + json.dumps(completion()).encode()))
    assert outcome == Failure(TOO_LARGE, "the answer has more than 1000 bytes")


def test_a_question_that_is_too_large_is_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_SENT", 1000)
    outcome = asked(answering(completion()))
    assert isinstance(outcome, Failure)
    assert outcome.kind == TOO_LARGE


def test_an_answer_that_does_not_come_in_time_is_a_failure() -> None:
    outcome = asked(answering(completion(), seconds=2.0), timeout=0.3)
    assert outcome == Failure(TIMED_OUT, "0.3 s")


def test_an_answer_that_comes_in_drops_ends_at_the_limit() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not stop.wait(0.1):
                try:
                    connection.sendall(b" ")
                except OSError:
                    return

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        (outcome,) = EndpointJudge(address, "m", timeout=0.5).ask(videos(1))
    finally:
        stop.set()
        thread.join()
        listener.close()
    assert outcome == Failure(TIMED_OUT, "0.5 s")


def test_an_address_where_nobody_listens_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    (outcome,) = EndpointJudge(f"http://127.0.0.1:{port}/v1", "m").ask(videos(1))
    assert isinstance(outcome, Failure)
    assert outcome.kind == NO_CONNECTION


@pytest.mark.parametrize("address", [
    "ftp://a/v1", "file:///etc/passwd", "http://", "127.0.0.1:8000", "http://a:b@c/v1",
    "http://a/v1?key=x", "http://a:port/v1", "http://[::1/v1",
])  # fmt: skip
def test_an_address_that_nothing_should_be_sent_to_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="address should"):
        EndpointJudge(address, "m")


def test_the_key_comes_from_the_environment_and_goes_encrypted_or_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_address("http://example.org/v1", False)
    check_address("https://example.org/v1", True)
    check_address("http://localhost:8000/v1", True)
    with pytest.raises(ValueError, match=r"unencrypted to example\.org:8000"):
        check_address("http://example.org:8000/v1", True)
    monkeypatch.setenv(KEY, "secret")
    judge = EndpointJudge("http://127.0.0.1:1/v1", "m")
    assert "secret" not in json.dumps(dict(judge.identity))
    monkeypatch.delenv(KEY)
    assert EndpointJudge("http://example.org/v1", "m").name == "m"


@pytest.mark.parametrize("key", ["secret\rX", "secret\n X", "sécret"])
def test_a_key_that_no_header_can_hold_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY, key)
    with pytest.raises(ValueError, match="should hold printable ASCII letters only") as error:
        EndpointJudge("http://127.0.0.1:1/v1", "m")
    assert "cret" not in str(error.value)


def test_the_end_of_a_line_behind_the_key_is_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, "secret\r\n")
    assert isinstance(asked(answering(completion())), Answer)


def test_what_is_for_this_machine_goes_through_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, proxy)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert isinstance(asked(answering(completion())), Answer)
