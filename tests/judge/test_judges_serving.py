"""A real `transformers serve` with two real classes behind it judges as they do in this process.

What the server needs beside transformers is installed apart by scripts/install_serving.sh.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_judges import results_in
from tiny_vlm import llava_folder, llava_next_folder
from vlm_server import answering, serving

from motifocal.bench.judge.endpoint import EndpointJudge, SystemOneJudge, read_decision
from motifocal.bench.judge.judge import (
    BAD_ANSWER,
    BAD_STATUS,
    NO_LOGPROBS,
    TEMPLATE,
    Answer,
    Failure,
    Query,
)
from motifocal.bench.judge.vision_language import VisionLanguageJudge
from motifocal.cli import cli

SCRIPT = Path(__file__).parents[2] / "scripts" / "install_serving.sh"
#: What the server says once it listens, at a port that it was given.
RUNNING = re.compile(r"Uvicorn running on (http://127\.0\.0\.1:[1-9]\d*) ")
#: What the server makes of a text, so that the model reads the same in both.
AS_SERVED = "\n\n" + TEMPLATE + "\nAnswer Yes or No only."


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    models = tmp_path_factory.mktemp("models")
    return {"llava": llava_folder(models / "llava"),
            "llava-next": llava_next_folder(models / "llava-next")}


@pytest.fixture(scope="module")
def folder(folders: dict[str, Path]) -> Path:
    return folders["llava"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address, up to /v1, of `transformers serve` in a process of its own."""
    installed = subprocess.run(["sh", str(SCRIPT), sys.executable], capture_output=True, text=True)
    if installed.returncode:
        words = f"{SCRIPT.name} failed: {installed.stderr[-300:]}"
        if os.environ.get("CI") == "true" or "MOTIFOCAL_SHARED" in os.environ:
            pytest.fail(words)
        pytest.skip(words)
    log = tmp_path_factory.mktemp("serve") / "log"
    with log.open("w") as file:
        server = subprocess.Popen(
            [sys.executable, "-m", "transformers.cli.transformers", "serve", "--host",
             "127.0.0.1", "--port", "0", "--device", "cpu"],
            stdout=file, stderr=subprocess.STDOUT, env={
                **os.environ, "PYTHONPATH": installed.stdout.strip(), "HF_HUB_OFFLINE": "1"})
    try:
        until = time.monotonic() + 300
        while (place := RUNNING.search(log.read_text())) is None:
            assert server.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < until, log.read_text()[-2000:]
            time.sleep(0.2)
        yield f"{place[1]}/v1"
    finally:
        server.kill()
        server.wait()


def videos(count: int, template: str, frames: int = 3) -> list[Query]:
    rng = np.random.default_rng(5)
    return [Query(rng.integers(0, 256, (frames, 28, 36, 3), np.uint8), f"prompt {k}",
                  f"Does it show <b>thing</b> {k}?", template) for k in range(count)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["llava", "llava-next"])
def test_twenty_videos_are_judged_alike_here_and_by_transformers_serve(
    folders: dict[str, Path], name: str, served: str
) -> None:
    folder = folders[name]
    here = VisionLanguageJudge(str(folder), batch=20).ask(videos(20, AS_SERVED))
    behind = SystemOneJudge(f"{served}/systemone", str(folder)).ask(videos(20, TEMPLATE))
    both = [[outcome.probability for outcome in outcomes if isinstance(outcome, Answer)]
            for outcomes in (here, behind)]
    assert [len(probabilities) for probabilities in both] == [20, 20], (here, behind)
    assert both[1] == pytest.approx(both[0], abs=1e-3)
    assert len({round(value, 4) for value in both[0]}) > 15  # they depend on the videos
    assert all(0.001 < value < 0.999 for value in both[0])


@pytest.mark.slow
def test_the_command_judges_by_the_address_of_transformers_serve(
    tmp_path: Path, folder: Path, served: str
) -> None:
    results = results_in(tmp_path, prompts={"ball": ("the ball rises",), "kite": ("a kite flies",)})
    common = ["bench", "judge", str(results.folder), "--frames", "2", "-q", "-o"]
    done = CliRunner().invoke(cli, [*common, str(tmp_path / "served"), "--judge",
                                    f"{served}/systemone", "--model", str(folder)])
    assert done.exit_code == 0, done.output
    here = CliRunner().invoke(cli, [*common, str(tmp_path / "here"), "--judge", str(folder),
                                    "--template", AS_SERVED, "--device", "cpu"])
    assert here.exit_code == 0, here.output
    rows = [list(csv.DictReader((tmp_path / name / "answers.csv").read_text().splitlines()))
            for name in ("served", "here")]
    assert len(rows[0]) == len(rows[1]) > 10
    assert [float(row["probability"]) for row in rows[0]] == pytest.approx(
        [float(row["probability"]) for row in rows[1]], abs=1e-3)


@pytest.mark.slow
def test_a_chat_completion_of_transformers_serve_is_a_failure_by_name(
    folder: Path, served: str
) -> None:
    (outcome,) = EndpointJudge(served, str(folder)).ask(videos(1, TEMPLATE))
    assert isinstance(outcome, Failure)
    assert outcome.kind == NO_LOGPROBS
    (outcome,) = SystemOneJudge(f"{served}/systemone", "no such/model").ask(videos(1, TEMPLATE))
    assert isinstance(outcome, Failure)
    assert outcome.kind == BAD_STATUS


def test_more_frames_than_the_server_takes_are_refused_in_one_line() -> None:
    judge = SystemOneJudge("http://127.0.0.1:9/v1/systemone", "m")
    with pytest.raises(ValueError, match="at most 4 images with a question, got 5 frames: give"):
        judge.ask(videos(1, TEMPLATE, frames=5))


@pytest.mark.parametrize("body", [
    b"", b"[]", b'{"answers": {}}', b'{"answers": {"q": {"noul": "1"}}}',
    b'{"answers": {"q": {"noul": true}}}', b'{"answers": {"q": {"noul": 1.5}}}',
    b'{"answers": {"q": {"noul": NaN}}}', b'{"answers": {"q": {"noul": null}}}',
])  # fmt: skip
def test_an_answer_of_another_form_is_a_failure_by_name(body: bytes) -> None:
    outcome = read_decision(body)
    assert isinstance(outcome, Failure), outcome
    assert outcome.kind == BAD_ANSWER
    assert outcome.reason.isprintable()


def test_frames_stand_before_the_text_as_assets() -> None:
    bodies: list[dict[str, Any]] = []
    reply = answering({"answers": {"q": {"type": "noul", "noul": 0.25}}})

    def keep(body: dict[str, Any]) -> Any:
        bodies.append(body)
        return reply(body)

    with serving(keep, "/v1/systemone") as address:
        judge = SystemOneJudge(f"{address}/systemone", "m")
        assert judge.ask(videos(1, TEMPLATE)) == [Answer(0.25)]
    (body,) = bodies
    assert body["state"] == "".join(body["assets"])
    assert len(body["assets"]) == 3
    assert body["questions"]["q"]["instructions"] == videos(1, TEMPLATE)[0].text
    assert json.loads(json.dumps(dict(judge.identity)))["judge"] == "systemone"
