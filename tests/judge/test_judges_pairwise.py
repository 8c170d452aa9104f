"""Judges compare two videos in both orders."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_judges import RuleJudge, results_in

from motifocal.bench.judge.judge import TIMED_OUT, Failure, Query, sample_frames
from motifocal.bench.judge.pairwise import Pairwise, compare_videos
from motifocal.bench.results import Results, claim_results
from motifocal.media.video import read_video, write_video


def compared(folder: Path, rule: Callable[[Query], float | Failure]) -> Pairwise:
    """A drawing model against one whose videos stand still."""
    both = [results_in(folder, "ours"), results_in(folder, "theirs")]
    for video in both[1].expected():
        frames = read_video(video.path).frames
        write_video(video.path, np.repeat(frames[:1], len(frames), axis=0), 8)
    return compare_videos(both, folder / "out", RuleJudge(rule), count=4)[0]


def test_a_judge_that_prefers_what_comes_first_has_a_position_bias_and_no_preference(
    tmp_path: Path,
) -> None:
    result = compared(tmp_path, lambda query: 0.9)
    assert result.preference.mean == pytest.approx(0.5)
    assert result.bias.mean == pytest.approx(0.4)
    assert result.agree.mean == 0.0


def test_a_preference_is_the_same_in_both_orders(tmp_path: Path) -> None:
    def moves_more(query: Query) -> float:
        half = len(query.frames) // 2
        change = [np.abs(np.diff(part.astype(float), axis=0)).mean()
                  for part in (query.frames[:half], query.frames[half:])]
        return 0.8 if change[0] > change[1] else 0.2

    result = compared(tmp_path, moves_more)
    assert (result.ours, result.theirs) == ("ours", "theirs")
    assert result.preference.mean == pytest.approx(0.8)
    assert result.bias.mean == pytest.approx(0.0)
    assert result.agree.mean == 1.0


def test_a_shorter_video_is_compared_with_as_many_frames_of_the_longer_one(tmp_path: Path) -> None:
    both = [results_in(tmp_path, "ours"), results_in(tmp_path, "theirs")]
    for video in both[1].expected():
        write_video(video.path, read_video(video.path).frames[:3], 8)
    judge = RuleJudge(lambda query: 0.5)
    compare_videos(both, tmp_path / "out", judge, count=4)
    own = sample_frames(read_video(both[0].expected()[0].path).frames, 3)
    assert {len(query.frames) for query in judge.asked} == {6}
    assert (judge.asked[0].frames[:3] == own).all()
    assert (judge.asked[1].frames[3:] == own).all()


def test_a_comparison_that_failed_in_one_order_has_no_preference(tmp_path: Path) -> None:
    seen: list[int] = []

    def rule(query: Query) -> float | Failure:
        seen.append(1)
        return Failure(TIMED_OUT, "") if len(seen) == 1 else 0.7

    result = compared(tmp_path, rule)
    assert len(result.failures) == 1
    assert math.isnan(result.compared[0].preference)
    assert result.preference.mean == pytest.approx(0.5)


def test_videos_are_compared_on_the_seeds_that_both_models_have(tmp_path: Path) -> None:
    ours, theirs = with_seeds(tmp_path, "ours", (0, 1)), with_seeds(tmp_path, "theirs", (1, 2))
    judge = RuleJudge(lambda query: 0.5)
    (result,) = compare_videos([ours, theirs], tmp_path / "out", judge, count=2)
    assert [(both.ours.seed, both.theirs.seed) for both in result.compared] == [
        (1, 1)] * len(ours.benchmark.pairs)
    assert all(both.ours.pair.stem == both.theirs.pair.stem for both in result.compared)


def test_models_without_a_common_seed_are_refused_before_the_judge_is_asked(
    tmp_path: Path,
) -> None:
    both = [with_seeds(tmp_path, "ours", (0,)), with_seeds(tmp_path, "theirs", (1,))]
    judge = RuleJudge(lambda query: 0.5)
    with pytest.raises(ValueError, match="ours and theirs should have videos of one pair and seed"):
        compare_videos(both, tmp_path / "out", judge)
    assert judge.asked == []


def with_seeds(folder: Path, model: str, seeds: tuple[int, ...]) -> Results:
    """Results whose videos of every seed are the drawing model's of seed 0."""
    one = results_in(folder, model)
    several = replace(one, folder=folder / f"{model} of {seeds}", seeds=seeds)
    claim_results(several)
    for video in several.expected():
        shutil.copyfile(one.folder / "videos" / video.pair.file(0), video.path)
    return several
