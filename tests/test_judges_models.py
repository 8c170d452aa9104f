"""Real vision-language classes judge, loaded here and behind a real server; nothing is trusted."""

from __future__ import annotations

import csv
import json
import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_judges import results_in
from tiny_vlm import intern_folder, qwen_folder, smolvlm_folder
from vlm_server import Model, answering, completion, serving

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
    Query,
)
from motifocal.bench.judge.vision_language import VisionLanguageJudge
from motifocal.cli import cli

Make = Callable[[Path], Path]
FOLDERS: dict[str, Make] = {"qwen2_5_vl": qwen_folder, "internvl": intern_folder}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: make(place / name) for name, make in FOLDERS.items()}


def videos(count: int, frames: int = 3) -> list[Query]:
    """Queries of so many videos of noise, of two sizes of texts."""
    rng = np.random.default_rng(5)
    return [Query(rng.integers(0, 256, (frames, 28, 36, 3), np.uint8), f"prompt {k}",
                  f"Does it show {'one thing' if k % 2 else 'another, longer thing'} {k}?")
            for k in range(count)]


def probabilities(outcomes: list[Answer | Failure]) -> list[float]:
    assert all(isinstance(outcome, Answer) for outcome in outcomes), outcomes
    return [outcome.probability for outcome in outcomes if isinstance(outcome, Answer)]


@pytest.mark.parametrize("name", FOLDERS)
def test_twenty_videos_are_judged_alike_here_and_through_a_server(
    folders: dict[str, Path], name: str
) -> None:
    queries = videos(20)
    judge = VisionLanguageJudge(str(folders[name]), batch=20)
    here = probabilities(judge.ask(queries))
    with serving(Model(folders[name])) as address:
        behind = probabilities(EndpointJudge(address, name).ask(queries))
    assert behind == pytest.approx(here, abs=1e-3)
    assert len({round(value, 4) for value in here}) > 15  # they depend on the videos
    assert all(0.001 < value < 0.999 for value in here)


@pytest.mark.parametrize("name", FOLDERS)
def test_a_batch_answers_as_single_questions_do(folders: dict[str, Path], name: str) -> None:
    judge = VisionLanguageJudge(str(folders[name]))
    queries = videos(3)
    single = [probabilities(judge.ask([query]))[0] for query in queries]
    assert probabilities(judge.ask(queries)) == pytest.approx(single, abs=1e-5)


def test_the_first_token_is_read_as_the_model_itself_computes_it(
    folders: dict[str, Path],
) -> None:
    judge = VisionLanguageJudge(str(folders["internvl"]))
    (query,) = videos(1)
    model = Model(folders["internvl"])
    from PIL import Image

    parts: list[dict[str, Any]] = [{"type": "image", "image": Image.fromarray(frame)}
                                   for frame in query.frames]
    first = model._first_token([*parts, {"type": "text", "text": query.text}]).exp()
    words = {form: sum(float(first[token]) for token in range(len(first))
                       if model.processor.tokenizer.decode([token]).strip().lower() == form)
             for form in ("yes", "no")}
    (answer,) = judge.ask([query])
    assert isinstance(answer, Answer)
    assert answer.probability == pytest.approx(words["yes"] / (words["yes"] + words["no"]))
    assert answer.mass == pytest.approx(words["yes"] + words["no"], abs=1e-5)


def test_frames_and_their_order_change_the_answer(folders: dict[str, Path]) -> None:
    judge = VisionLanguageJudge(str(folders["qwen2_5_vl"]))
    (query,) = videos(1)
    changed = [Query(query.frames[::-1].copy(), query.prompt, query.question),
               Query(query.frames, query.prompt, "Is it night?")]
    own, *others = probabilities(judge.ask([query, *changed]))
    assert all(abs(own - other) > 1e-5 for other in others)


def test_smolvlm_judges_where_the_package_that_its_processor_wants_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.smolvlm import processing_smolvlm

    smolvlm_folder(tmp_path)
    monkeypatch.setattr(processing_smolvlm, "num2words", str)  # counts frames of videos in words
    judge = VisionLanguageJudge(str(tmp_path))
    queries = videos(3)
    single = [probabilities(judge.ask([query]))[0] for query in queries]
    assert probabilities(judge.ask(queries)) == pytest.approx(single, abs=1e-5)
    assert len(set(single)) == 3
    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    with pytest.raises(ValueError, match="cannot be loaded: Package `num2words` is required"):
        VisionLanguageJudge(str(tmp_path))


@pytest.mark.slow
def test_a_model_is_calibrated_and_compares_two_models_in_both_orders(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    folder = str(folders["internvl"])
    done = CliRunner().invoke(cli, ["bench", "calibrate", folder, "--device", "cpu", "--pairs", "6",
                                    "--size", "28", "--frames", "3", "--batch", "6", "-q",
                                    "-o", str(tmp_path / "calibration")])
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "calibration" / "calibration.json").read_text())
    assert content["identity"]["judge"] == "transformers"
    assert content["tables"]["all"]["failures"] == 0
    # It was made to say no to nearly everything, and the report says so.
    assert "internvl says no to nearly everything" in content["statement"]

    prompts = {"ball": ("the ball rises",), "kite": ("a kite flies in",)}
    both = [str(results_in(tmp_path, name, prompts).folder) for name in ("ours", "theirs")]
    done = CliRunner().invoke(cli, ["bench", "judge", *both, "--judge", folder, "--device", "cpu",
                                    "--frames", "2", "--batch", "4", "--pairwise", "-q",
                                    "-o", str(tmp_path / "judged")])
    assert done.exit_code == 0, done.output
    scores = json.loads((tmp_path / "judged" / "scores.json").read_text())
    (compared,) = scores["pairwise"]
    assert compared["failures"] == []
    assert compared["position_bias"]["mean"] == pytest.approx(-0.5, abs=0.2)  # no in either order


@pytest.mark.slow
def test_a_calibration_that_was_killed_and_resumed_equals_one_that_was_not(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    def arguments(name: str) -> list[str]:
        return ["bench", "calibrate", str(folders["qwen2_5_vl"]), "--device", "cpu", "--pairs",
                "12", "--size", "28", "--frames", "2", "-q", "-o", str(tmp_path / name)]

    kept = tmp_path / "killed" / "answers.jsonl"
    started = subprocess.Popen([sys.executable, "-m", "motifocal", *arguments("killed")])
    while started.poll() is None and not (kept.exists() and kept.read_bytes().count(b"\n") > 2):
        time.sleep(0.005)
    started.kill()
    started.wait()
    assert kept.exists()
    for name in ("killed", "whole"):
        done = CliRunner().invoke(cli, arguments(name))
        assert done.exit_code == 0, done.output
    for name in ("calibration.json", "calibration.md", "answers.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_folder_that_is_no_judge_is_refused_in_one_line(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ValueError, match="a bert takes no images and text"):
        VisionLanguageJudge(str(tmp_path))
    config = json.loads((folders["internvl"] / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModelForImageTextToText": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"model_type": "evil"}))
    (tmp_path / "evil.py").write_text("raise SystemExit('the code of the model was run')")
    with pytest.raises(ValueError, match="cannot be loaded"):
        VisionLanguageJudge(str(tmp_path))


def test_the_command_judges_with_a_folder_and_with_an_address_alike(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    results = results_in(tmp_path, prompts={"ball": ("the ball rises", "the ball falls"),
                                            "kite": ("a kite flies in",)})
    common = ["bench", "judge", str(results.folder), "--frames", "2", "-q"]
    done = CliRunner().invoke(cli, [*common, "--judge", str(folders["internvl"]), "--device", "cpu",
                                    "--batch", "4", "-o", str(tmp_path / "here")])
    assert done.exit_code == 0, done.output
    with serving(Model(folders["internvl"])) as address:
        done = CliRunner().invoke(cli, [*common, "--judge", address, "--model", "internvl",
                                        "-o", str(tmp_path / "behind")])
    assert done.exit_code == 0, done.output
    here, behind = (
        list(csv.DictReader((tmp_path / name / "answers.csv").read_text().splitlines()))
        for name in ("here", "behind"))
    assert len(here) == len(behind) > 20
    for a, b in zip(here, behind, strict=True):
        assert a["text_sha256"] == b["text_sha256"]
        assert math.isclose(float(a["probability"]), float(b["probability"]), abs_tol=1e-3)


# Hostile answers.


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
