"""Clips that a trainer keeps under one name: an error for the trainers that do so alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from motifocal.inspection.checks.collisions import mark_collisions
from motifocal.inspection.diagnose import diagnose
from motifocal.inspection.entries import gather
from motifocal.inspection.faults import FAULTS


def laid_out(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"not looked into")
    return folder


def collisions(location: Path, trainer: str) -> dict[str, str]:
    folder = gather(location)
    mark_collisions(folder, trainer)
    found = {}
    for entry in folder.entries:
        words = dict(diagnose(entry, None, captioned=True, frames=9))
        if "same-name" in words:
            found[entry.name] = words["same-name"]
    return found


@pytest.mark.parametrize("trainer", ["musubi", "ltx", "finetrainers"])
def test_two_endings_of_one_name_collide_where_names_lose_their_endings(
    tmp_path: Path, trainer: str
) -> None:
    laid_out(tmp_path, "a.mov", "a.mp4", "b.mp4")
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("a ball rolls")
    found = collisions(tmp_path, trainer)
    assert set(found) == {"a.mov", "a.mp4"}
    assert found["a.mov"].endswith("knows it as 'a', and a.mp4 too")
    assert FAULTS["same-name"].level == "error"


def test_musubi_tuner_forgets_folders_too(tmp_path: Path) -> None:
    laid_out(tmp_path, "one/a.mp4", "two/a.mp4", "two/b.mp4", "three/a.mp4")
    rows = [{"video_path": f"{name}.mp4", "caption": "it rolls"}
            for name in ("one/a", "two/a", "two/b")]  # fmt: skip
    table = tmp_path / "metadata.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    # three/a.mp4 is in no row, so nobody trains on it.
    assert set(collisions(table, "musubi")) == {"one/a.mp4", "two/a.mp4"}
    assert collisions(table, "ltx") == {}


@pytest.mark.parametrize("trainer", ["plain", "diffsynth", "cogvideox-lora"])
def test_trainers_that_read_clips_by_their_path_have_no_collisions(
    tmp_path: Path, trainer: str
) -> None:
    laid_out(tmp_path, "a.mov", "a.mp4", "one/a.mp4")
    assert collisions(tmp_path, trainer) == {}


def test_finetrainers_lists_name_each_video_whole(tmp_path: Path) -> None:
    laid_out(tmp_path, "a.mov", "a.mp4")
    (tmp_path / "videos.txt").write_text("a.mov\na.mp4\n")
    (tmp_path / "prompt.txt").write_text("it rolls\nit jumps\n")
    assert collisions(tmp_path, "finetrainers") == {}
