"""Every video is put into numbers once, and control rows stand beside."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from counted_scores import TABLE, Counted, Words, cheap, numbers, row
from hypothesis import given
from hypothesis import strategies as st
from steady import steady
from tiny_bench import FPS

from motifocal.bench.pairs import Pair
from motifocal.bench.results import ExpectedVideo, Results
from motifocal.bench.score.clip import Tools
from motifocal.bench.score.controls import (
    ANOTHER,
    SHUFFLED,
    STILL,
    other_prompts,
    shuffle_order,
    still,
)
from motifocal.bench.score.measures import measure
from motifocal.bench.score.run import score
from motifocal.bench.score.tables import summarise
from motifocal.data.workers.threads import Threads
from motifocal.media.video import read_image, read_video, write_video
from motifocal.motion.flow import estimate_flow


def test_nothing_is_decoded_or_estimated_twice(results: list[Results], tmp_path: Path) -> None:
    counted, words = Counted(), Words()
    scores = score(results, tmp_path / "out", tools=counted.tools(learned=(words,)),
                   workers=Threads(3))
    videos = [video.path.as_posix() for each in results for video in each.expected()]
    assert counted.decoded == Counter(videos)
    # 15 videos, one of each of the 3 pictures shuffled; stills need no estimate, one a picture.
    assert sum(counted.estimated.values()) == 15 + 3
    assert counted.measured == 15 + 3 + 3
    assert words.looks == 15 + 3
    assert [(row.name, row.kind, len(row.videos)) for row in scores.rows] == [
        ("first", "model", 10), ("second", "model", 5),
        (STILL, "control", 10), (SHUFFLED, "control", 3), (ANOTHER, "control", 8),
    ]


def test_numbers_are_those_of_the_video_and_its_image(
    results: list[Results], tmp_path: Path
) -> None:
    scores = score(results, tmp_path / "out", tools=Counted().tools())
    found = numbers(row(scores, "second"))
    assert len(found) == 5
    for video in results[1].expected():
        clip, picture = read_video(video.path), read_image(results[1].image(video.pair))
        expected = cheap(clip.frames, picture, estimate_flow(clip.frames), clip.fps)
        assert found[video.pair.stem, 0] == pytest.approx(expected, nan_ok=True, rel=1e-12)


def test_the_still_row_equals_measuring_a_still_clip(
    results: list[Results], tmp_path: Path
) -> None:
    scores = score(results, tmp_path / "out", tools=Tools())
    for (stem, _), found in numbers(row(scores, STILL)).items():
        (pair,) = [pair for pair in results[0].benchmark.pairs if pair.stem == stem]
        picture = read_image(results[0].image(pair))
        clip = still(picture, 5)
        expected = measure(clip, picture, estimate_flow(clip), FPS)
        assert found == pytest.approx(expected, nan_ok=True, abs=0)
        assert found["motion_amount"] == 0


def test_the_shuffled_row_keeps_the_first_frame_and_changes_what_sees_the_order(
    results: list[Results], tmp_path: Path
) -> None:
    scores = score(results, tmp_path / "out", tools=Counted().tools())
    own, shuffled = numbers(row(scores, "first")), numbers(row(scores, SHUFFLED))
    assert own.keys() > shuffled.keys()
    pictures = {video.pair.image_id for video in row(scores, SHUFFLED).videos}
    assert len(shuffled) == len(pictures) == 3, "one video of every picture"
    for video, found in shuffled.items():
        assert found["fidelity"] == pytest.approx(own[video]["fidelity"], rel=1e-12)
        assert found["change"] != pytest.approx(own[video]["change"])
        assert found["flow"] > own[video]["flow"]


def test_shuffled_frames_differ_in_nothing_that_does_not_see_the_order(
    results: list[Results], tmp_path: Path
) -> None:
    summary = summarise(score(results, tmp_path / "out", tools=Tools()))
    found = summary.differences[SHUFFLED]
    for name in ("first_frame_psnr", "first_frame_ssim", "drift_psnr", "drift_ssim"):
        assert found[name].value.mean == pytest.approx(0, abs=1e-9), name
        assert found[name].pairs == 3
    assert found["motion_amount"].value.mean > 0


def test_another_prompt_changes_the_text_alignment_alone(
    results: list[Results], tmp_path: Path
) -> None:
    counted = Counted()
    scores = score(results, tmp_path / "out", tools=counted.tools(learned=(Words(),)))
    own, other = numbers(row(scores, "first")), row(scores, ANOTHER)
    assert {video.pair.image_id for video in other.videos} == {"ball_1", "kite"}
    for video in other.videos:
        (stem,) = [stem for stem, seed in own
                   if seed == video.seed and video.path.name == f"{stem}_{seed}.mp4"]
        assert stem != video.pair.stem
        assert stem.startswith(f"{video.pair.image_id}_")
        expected = dict(own[stem, video.seed])
        alignment = expected.pop("text")
        found = dict(video.numbers)
        assert found.pop("text") == pytest.approx(found["mean"] * len(video.pair.prompt))
        assert found == pytest.approx(expected, nan_ok=True, abs=0)
        assert alignment != pytest.approx(video.numbers["text"])
    assert "8 of 10 videos: the images of the others have one prompt" in other.note
    assert sum(counted.decoded.values()) == 15


@steady
@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 5), min_size=1),
       st.integers(0, 2**32))
def test_prompts_are_swapped_within_an_image_and_none_stays(
    pictures: dict[str, int], seed: int
) -> None:
    videos = [ExpectedVideo(Pair("", image, f"{image} number {index}"), sample, Path("x"))
              for image, count in pictures.items() for index in range(count) for sample in (0, 1)]
    found = other_prompts(videos, seed)
    assert found == other_prompts(list(reversed(videos)), seed)
    assert set(found) == {video for video in videos if pictures[video.pair.image_id] > 1}
    assert set(found.values()) == set(found)
    for here, there in found.items():
        assert here.pair.prompt != there.pair.prompt
        assert (here.pair.image_id, here.seed) == (there.pair.image_id, there.seed)


@steady
@given(st.integers(3, 40), st.integers(0, 2**32), st.text())
def test_a_shuffle_keeps_the_first_frame_and_never_the_order(
    frames: int, seed: int, name: str
) -> None:
    order = shuffle_order(frames, seed, name)
    assert order is not None
    assert order == shuffle_order(frames, seed, name)
    assert order[0] == 0
    assert sorted(order) == list(range(frames))
    assert list(order) != list(range(frames))


def test_two_frames_cannot_be_shuffled_and_the_row_says_so(
    results: list[Results], tmp_path: Path
) -> None:
    picture = results[0].expected()[0].pair.image_id
    for video in results[0].expected():
        if video.pair.image_id == picture:
            write_video(video.path, read_video(video.path).frames[:2], FPS)
    scores = score(results, tmp_path / "out", tools=Counted().tools())
    shuffled = row(scores, SHUFFLED)
    assert len(shuffled.videos) == 2
    assert "2 of 10 videos: one of each image" in shuffled.note
    assert len(row(scores, STILL).videos) == 10
    assert shuffle_order(2, 0, "x") is None


def test_the_control_model_can_be_chosen(results: list[Results], tmp_path: Path) -> None:
    scores = score(results, tmp_path / "out", tools=Counted().tools(), control="second")
    assert scores.control == "second"
    assert [len(each.videos) for each in scores.rows] == [10, 5, 5, 3, 4]
    assert all("of second" in each.note for each in scores.rows[2:])
    with pytest.raises(ValueError, match="should be one of first, second, got third"):
        score(results, tmp_path / "out", tools=Counted().tools(), control="third")


def test_the_seed_decides_the_control_rows_alone(results: list[Results], tmp_path: Path) -> None:
    one, same, other = (score(results, tmp_path / f"out{index}", tools=Counted().tools(), seed=seed)
                        for index, seed in enumerate((0, 0, 1)))
    assert repr(one) == repr(same)
    assert repr(one.models) == repr(other.models)
    assert repr(row(one, SHUFFLED)) != repr(row(other, SHUFFLED))


def test_progress_is_told_of_every_clip(results: list[Results], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    score(results, tmp_path / "out", tools=Counted().tools(),
          progress=lambda *what: told.append(what))
    assert told == [*(("videos", done, 15) for done in range(16)),
                    *(("still images", done, 3) for done in range(4))]


def test_a_measure_that_is_infinite_or_lacking_is_a_defect(
    results: list[Results], tmp_path: Path
) -> None:
    for wrong in ({**dict.fromkeys(TABLE, 1.0), "flow": float("inf")}, {"flow": 1.0}):
        tools = Counted().tools(measure=lambda *clip, wrong=wrong: wrong)
        with pytest.raises(ValueError, match="measures should be finite or nan"):
            score(results, tmp_path / "out", tools=tools)
