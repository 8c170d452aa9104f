"""Real vision-language classes judge, loaded here and behind a real server; nothing is trusted."""

from __future__ import annotations

import csv
import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tiny_judges import results_in, videos
from tiny_vlm import intern_folder, qwen_folder, smolvlm_folder
from vlm_server import Model, serving

from motifocal.bench.judge.endpoint import EndpointJudge
from motifocal.bench.judge.judge import Answer, Failure, Query
from motifocal.bench.judge.vision_language import VisionLanguageJudge
from motifocal.cli import cli

Make = Callable[[Path], Path]
FOLDERS: dict[str, Make] = {"qwen2_5_vl": qwen_folder, "internvl": intern_folder}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("models")
    return {name: make(place / name) for name, make in FOLDERS.items()}


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


def test_more_tokens_than_positions_are_refused(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    for name, folder in folders.items():
        shutil.copytree(folder, tmp_path / name)
        path = tmp_path / name / "config.json"
        config = json.loads(path.read_text())
        config["text_config"]["max_position_embeddings"] = 64
        path.write_text(json.dumps(config))
        judge = VisionLanguageJudge(str(tmp_path / name))
        with pytest.raises(ValueError, match=r"at most 64 tokens .* 3 frames; give fewer --frames"):
            judge.ask(videos(1))


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


