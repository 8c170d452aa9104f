"""Scores of results that lack videos, or that do not belong together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from counted_scores import Counted, row
from tiny_bench import FPS, textured

from motifocal.bench.results import Results, claim_results
from motifocal.bench.score.choice import check_names
from motifocal.bench.score.run import score
from motifocal.data.workers.threads import Threads
from motifocal.media.video import read_video, write_image, write_video


def test_a_missing_video_refuses_the_score_before_anything_is_computed(
    results: list[Results], tmp_path: Path
) -> None:
    video = results[1].expected()[3]
    video.path.unlink()
    counted = Counted()
    with pytest.raises(ValueError, match=r"second lacks 1 of 5 pairs .*--allow-missing") as told:
        score(results, tmp_path / "out", tools=counted.tools())
    assert video.path.name in str(told.value)
    assert counted.all == 0


def test_a_video_that_does_not_decode_is_missing_too_and_its_reason_is_told(
    results: list[Results], tmp_path: Path
) -> None:
    video = results[1].expected()[3]
    video.path.write_bytes(video.path.read_bytes()[:200])
    with pytest.raises(ValueError, match="second lacks 1 of 5 pairs") as refusal:
        score(results, tmp_path / "out", tools=Counted().tools())
    assert video.path.as_posix() in str(refusal.value)
    scores = score(results, tmp_path / "out", tools=Counted().tools(), allow_missing=True)
    assert len(scores.failures) == 1
    assert video.path.name in scores.failures[0]
    assert len(row(scores, "second").videos) == 4


def test_a_video_of_another_size_than_its_image_is_refused_by_name(
    results: list[Results], tmp_path: Path
) -> None:
    video = results[1].expected()[0]
    write_video(video.path, read_video(video.path).frames[:, :16], FPS)
    with pytest.raises(ValueError, match="should be of its image's size, 32x32, got 16x32"):
        score(results, tmp_path / "out", tools=Counted().tools())


def test_what_the_measures_refuse_names_the_file(results: list[Results], tmp_path: Path) -> None:
    for video in results[1].expected():
        write_image(results[1].image(video.pair), textured(0, 8, 8))
        write_video(video.path, read_video(video.path).frames[:, :8, :8], FPS)
    with pytest.raises(ValueError, match=r"second/videos/.*\.mp4: frames should be"):
        score([results[1]], tmp_path / "out", workers=Threads(1))


def test_common_takes_the_pairs_that_all_models_have_and_says_so(
    results: list[Results], tmp_path: Path
) -> None:
    results[1].expected()[3].path.unlink()
    results[0].expected()[0].path.unlink()  # one of two seeds: the pair is not whole
    counted = Counted()
    scores = score(results, tmp_path / "out", tools=counted.tools(), common=True)
    assert scores.marks == ("3 of 5 pairs: those all models have",)
    pairs = [{video.pair.stem for video in each.videos} for each in scores.rows[:4]]
    assert all(stems == pairs[0] for stems in pairs)
    assert len(pairs[0]) == 3
    assert len(row(scores, "first").videos) == 6
    assert len(counted.decoded) == 9


def test_allow_missing_marks_the_score_incomplete_with_counts(
    results: list[Results], tmp_path: Path
) -> None:
    results[1].expected()[3].path.unlink()
    scores = score(results, tmp_path / "out", tools=Counted().tools(), allow_missing=True)
    assert scores.marks == (
        "INCOMPLETE, rows stand on different pairs: first 10 of 10 videos, second 4 of 5 videos",
    )
    assert [len(each.videos) for each in scores.models] == [10, 4]


def test_a_score_without_any_video_is_refused(results: list[Results], tmp_path: Path) -> None:
    for video in results[1].expected():
        video.path.unlink()
    for options in ({"common": True}, {"allow_missing": True}):
        with pytest.raises(ValueError, match="there should be at least one video"):
            score(results, tmp_path / "out", tools=Counted().tools(), **options)


def test_the_marks_of_subsets_are_kept_with_their_models(
    results: list[Results], tmp_path: Path
) -> None:
    part = replace(results[1].benchmark, pairs=results[1].benchmark.pairs[:3], subset="a part")
    second = replace(results[1], benchmark=part)
    scores = score([second], tmp_path / "out", tools=Counted().tools())
    assert scores.marks == (part.mark,)
    assert part.mark.startswith("SUBSET: 3 of 5 pairs")
    scores = score([results[0], second], tmp_path / "out", tools=Counted().tools(), common=True)
    assert scores.marks == (f"{part.mark} [second]", "3 of 5 pairs: those all models have")


def test_other_prompts_under_the_same_name_are_refused(
    results: list[Results], tmp_path: Path
) -> None:
    pairs = list(results[1].benchmark.pairs)
    pairs[1] = replace(pairs[1], prompt=pairs[1].prompt.replace(", ", " "))
    other = replace(results[1], folder=tmp_path / "other",
                    benchmark=replace(results[1].benchmark, pairs=tuple(pairs)))
    claim_results(other)
    with pytest.raises(ValueError, match=r"should be of one benchmark.*'the ball falls, slowly!'"):
        score([results[0], other], tmp_path / "out", tools=Counted().tools())


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "a\\b", "a\nb", " a", "x" * 250,
                                  "still image", "Frames Shuffled", "C:"])
def test_names_that_are_no_file_names_are_refused(name: str, results: list[Results],
                                                  tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name"):
        score([replace(results[1], model=name)], tmp_path / "out", tools=Counted().tools())
    assert not (tmp_path / "out").exists()


def test_two_rows_of_one_name_are_refused() -> None:
    check_names(["Ours", "theirs $_&|<b>"])
    with pytest.raises(ValueError, match="should differ by more than case"):
        check_names(["Ours", "ours"])
