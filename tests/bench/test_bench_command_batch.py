"""A command that makes many videos in one process."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from command_programs import HOSTILE, LIMITS, jobs_of

from motifocal.generate.command_model import CommandModel

BATCH = """
jobs = [json.loads(line) for line in open(given.batch, encoding="utf-8")]
for job in jobs:
    if job["prompt"] == "crash":
        raise RuntimeError("a bad picture")
    if job["prompt"] == "sleep":
        time.sleep(600)
    if job["prompt"] != "skip":
        name = {"short": "short.mp4"}.get(job["prompt"], "good.mp4")
        shutil.copy(STOCK + "/" + name, job["output"])
        print(sorted(job), job["seed"], os.path.isfile(job["image"]))
"""


def test_a_batch_is_one_process_with_a_line_for_every_job(
    tmp_path: Path, stock: Path, script: Callable[[str], str]
) -> None:
    jobs = jobs_of(tmp_path, stock, *HOSTILE, "null \0", "half \ud83e", "skip", "short")
    model = CommandModel(script(BATCH) + " --batch {batch}", "m", logs=tmp_path / "logs")
    reasons = model.animate(jobs)
    (log,) = (tmp_path / "logs").iterdir()
    lines = log.read_text().splitlines()[1:]
    assert len(lines) == len(jobs) - 1
    assert lines[3] == "['image', 'output', 'prompt', 'seed'] 3 True"
    skipped = reasons.pop(-2)
    assert skipped is not None
    assert skipped.startswith("wrote no video (exit code 0")
    assert reasons == [None] * len(reasons)
    assert sorted(os.listdir(tmp_path / "videos")) == sorted(
        job.output.name for job in jobs if job.prompt != "skip")
    assert model.animate([]) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["crash", "sleep"])
def test_whole_videos_of_a_batch_that_failed_are_kept(
    tmp_path: Path, stock: Path, script: Callable[[str], str], ending: str
) -> None:
    jobs = jobs_of(tmp_path, stock, "a", "b", "short", ending, "c")
    template = script(BATCH) + " --batch {batch}"
    for limit in LIMITS:
        model = CommandModel(template, "m", timeout=limit, grace=0.2, logs=tmp_path / "logs")
        made, also, *others = model.animate(jobs)
        if others[0] is None or "is cut short" in others[0]:
            break
    assert (made, also) == (None, None)
    how = {"crash": "exit code 1: ", "sleep": f"took longer than {limit} s"}[ending]
    for reason, words in zip(others, ["is cut short, 3 frames of 6", "wrote no video",
                                      "wrote no video"], strict=True):
        assert reason is not None
        assert reason.startswith(f"{words} ({how}")
    assert sorted(os.listdir(tmp_path / "videos")) == ["v_0.mp4", "v_1.mp4"]
