"""Scores that are computed again: what is kept, what is made anew, and after a kill."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from counted_scores import Counted, Words, cheap, numbers, row
from tiny_bench import FPS, moving

from motifocal.bench.results import Results
from motifocal.bench.score import clip
from motifocal.bench.score.clip import ScoreCache, Tools, weight_free_version
from motifocal.bench.score.measures import MEASURES
from motifocal.bench.score.run import CACHE, score
from motifocal.data.workers.threads import Threads
from motifocal.media.video import Clip, read_image, read_video, write_video
from motifocal.motion.flow import estimate_flow


def test_running_again_computes_nothing_and_gives_the_same_scores(
    results: list[Results], tmp_path: Path
) -> None:
    tools = {"learned": (Words(),)}
    first = score(results, tmp_path / "out", tools=Counted().tools(**tools), workers=Threads(1))
    counted, words = Counted(), Words()
    again = score(results, tmp_path / "out", tools=counted.tools(learned=(words,)),
                  workers=Threads(3))
    assert counted.all == words.looks == 0
    assert repr(again) == repr(first)  # nan is not equal to itself


def test_records_of_earlier_versions_are_read_with_the_names_of_now(tmp_path: Path) -> None:
    numbers = {"dino_subject_consistency": 0.5, "dino_picture_consistency": 0.25}
    record = {"key": "a", "kind": "own", "by": "dino", "frames": 5, "fps": 8.0, "vector": []}
    (tmp_path / CACHE).write_text(json.dumps({**record, "numbers": numbers}) + "\n")
    assert ScoreCache(tmp_path / CACHE).lines == {"a": {**record, "numbers": {
        "dino_subject_consistency": 0.5, "dino_image_consistency": 0.25}}}


def test_a_changed_video_image_or_definition_is_computed_anew(
    results: list[Results], tmp_path: Path
) -> None:
    score(results, tmp_path / "out", tools=Counted().tools())
    video = results[1].expected()[2]
    picture = read_image(results[1].image(video.pair))
    write_video(video.path, moving(picture, "quite another motion", 1), FPS)
    counted = Counted()
    scores = score(results, tmp_path / "out", tools=counted.tools())
    assert list(counted.decoded) == [video.path.as_posix()]
    found = numbers(row(scores, "second"))[video.pair.stem, 0]
    clip = read_video(video.path)
    expected = cheap(clip.frames, picture, estimate_flow(clip.frames), clip.fps)
    assert found == pytest.approx(expected, nan_ok=True, rel=1e-12)
    counted = Counted()
    score(results, tmp_path / "out", tools=counted.tools(version="2"))
    assert len(counted.decoded) == 15


def test_another_learned_model_needs_no_flow_again(results: list[Results], tmp_path: Path) -> None:
    score(results, tmp_path / "out", tools=Counted().tools())
    counted = Counted()
    score(results, tmp_path / "out", tools=counted.tools(learned=(Words(),)))
    assert (len(counted.decoded), counted.measured, len(counted.estimated)) == (15, 0, 0)
    counted = Counted()
    score(results, tmp_path / "out", tools=counted.tools(learned=(Words(fingerprint="2"),)))
    assert (len(counted.decoded), counted.measured) == (15, 0)


class KilledError(Exception):
    """Stands for the machine going down."""


def test_a_killed_run_goes_on_where_it_stopped(results: list[Results], tmp_path: Path) -> None:
    counted = Counted()
    left = iter(range(6))

    def dying(path: Path) -> Clip:
        if next(left, None) is None:
            raise KilledError
        return counted.decode(path)

    with pytest.raises(KilledError):
        score(results, tmp_path / "out", tools=counted.tools(decode=dying), workers=Threads(1))
    kept = tmp_path / "out" / CACHE
    text = kept.read_text()
    assert 0 < len(text.splitlines()) < 25
    kept.write_text(text[:-20])  # the last line is torn
    rest = Counted()
    scores = score(results, tmp_path / "out", tools=rest.tools())
    assert 9 <= len(rest.decoded) <= 11
    whole = score(results, tmp_path / "whole", tools=Counted().tools())
    assert repr(scores) == repr(whole)


def test_kept_lines_are_whole_json_with_null_for_what_is_no_number(
    results: list[Results], tmp_path: Path
) -> None:
    score(results, tmp_path / "out", tools=Counted().tools())
    lines = [json.loads(line) for line in (tmp_path / "out" / CACHE).read_text().splitlines()]
    assert len(lines) == 15 + 3 + 3
    assert {line["numbers"]["undefined"] for line in lines} == {None, 1.0}


def test_the_measures_version_is_of_their_sources() -> None:
    assert weight_free_version() == weight_free_version() == Tools().version
    assert len(Tools().version) == 64
    assert Tools().measures is MEASURES


#: What refuses files, or is for other commands than `bench score`.
DECIDE_NO_NUMBER = {"arrays", "block_motion", "mp4_index", "raft", "truncation", "video_files"}


def file_of(module: str) -> Path:
    return Path(clip.__file__).parents[3].joinpath(*module.split(".")).with_suffix(".py")


def imported(module: str) -> set[str]:
    """Modules that decode, measure flow or compare pixels, of those that a module imports."""
    nodes = ast.walk(ast.parse(file_of(module).read_text()))
    names = {name for node in nodes if isinstance(node, ast.ImportFrom) and node.module
             for name in (node.module, *(f"{node.module}.{part.name}" for part in node.names))}
    folders = ("motifocal.media.", "motifocal.motion.", "motifocal.metrics")
    return {name for name in names if name.startswith(folders) and file_of(name).is_file()}


def test_the_measures_version_is_of_all_that_decodes_measures_and_compares() -> None:
    """Else a new version of Motifocal would take over numbers that the last one has computed."""
    hashed = {module.__name__ for module in clip._COMPUTES}
    reached, todo = set[str](), set(hashed)
    while todo:
        reached |= todo
        todo = {name for module in todo for name in imported(module)} - reached
    lacking = {name for name in reached - hashed if name.rpartition(".")[2] not in DECIDE_NO_NUMBER}
    assert lacking == set()
