"""The log of a run has each step once, and reaches the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from motifocal.training.log import TrainingLog, read_log


def test_the_log_of_a_broken_run_has_each_step_once(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with TrainingLog(path, 0) as log:
        for step in range(1, 8):
            log.write({"step": step, "loss": 0.1 * step})
    with path.open("a") as file:
        file.write('{"step": 8, "lo')  # a kill
    with TrainingLog(path, 4) as log:
        for step in range(5, 11):
            log.write({"step": step, "loss": -1.0})
    lines = read_log(path)
    assert [line["step"] for line in lines] == list(range(1, 11))
    assert [line["loss"] < 0 for line in lines] == [False] * 4 + [True] * 6


def test_the_log_reaches_the_disk_after_some_seconds_and_when_told(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with TrainingLog(path, 0, seconds=3600) as log:
        log.write({"step": 1})
        assert read_log(path) == []
        log.flush()
        assert read_log(path) == [{"step": 1}]
    with TrainingLog(path, 1, seconds=0) as log:
        log.write({"step": 2})
        assert read_log(path) == [{"step": 1}, {"step": 2}]


def test_a_damaged_log_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text('{"step": 1}\noops\n{"step": 3}\n')
    with pytest.raises(ValueError, match="line 2 is no JSON: 'oops'"):
        read_log(tmp_path / "log.jsonl")
