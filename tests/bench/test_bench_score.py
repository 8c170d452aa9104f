"""Every video is put into numbers once, control rows stand beside, and nothing goes missing."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady
from tiny_bench import FPS, DrawingModel, moving, textured, write_benchmark

from motifocal.bench.pairs import Pair, read_benchmark
from motifocal.bench.results import ExpectedVideo, Results, claim_results, open_results
from motifocal.bench.run import run
from motifocal.bench.score.choice import check_names
from motifocal.bench.score.clip import (
    ClipFeatures,
    Learned,
    ScoreCache,
    Tools,
    weight_free_version,
)
from motifocal.bench.score.controls import (
    ANOTHER,
    SHUFFLED,
    STILL,
    other_prompts,
    shuffle_order,
    still,
)
from motifocal.bench.score.measures import MEASURES, Measure, measure
from motifocal.bench.score.run import CACHE, Row, Scores, score
from motifocal.data.workers.threads import Threads
from motifocal.generate.model import Job
from motifocal.media.picture import Pixels
from motifocal.media.video import Clip, read_image, read_video, write_image, write_video
from motifocal.motion.flow import Flow, estimate_flow


def cheap(frames: Pixels, picture: Pixels, flow: Flow, fps: float) -> dict[str, float]:
    """Numbers that tell frames, their order, the picture and the flow."""
    values = frames.astype(float)
    steps = np.abs(np.diff(values, axis=0)).mean(axis=(1, 2, 3))
    return {
        "fidelity": -float(np.abs(values - picture).mean()),
        "change": float(steps @ np.arange(1, len(steps) + 1)) / fps,
        "flow": float(np.abs(flow).mean()),
        "undefined": float("nan") if frames[0, 0, 0, 0] % 2 else 1.0,
    }


TABLE = {
    name: Measure(name=name, unit="", better="higher", definition=name, source="the tests",
                  blind_spot="most things", still_wins=False)
    for name in ("fidelity", "change", "flow", "undefined")
}


# A busy machine misses deadlines; the same cases every time make a failure repeatable.


@dataclass
class Words(Learned):
    """Stands for CLIP: a vector of the frames, compared with the letters of a sentence."""

    name: str = "words"
    source: str = "nowhere"
    fingerprint: str = "1"
    measures: Mapping[str, Measure] = field(
        default_factory=lambda: {"mean": TABLE["flow"], "text": TABLE["flow"]}
    )
    looks: int = 0

    def embed(self, frames: Pixels, picture: Pixels,
              orders: Sequence[Sequence[int]]) -> list[ClipFeatures]:
        self.looks += 1
        mean = float(frames.mean())
        return [ClipFeatures({"mean": mean}, [mean, float(len(order))]) for order in orders]

    def score_text(self, vector: Sequence[float], sentence: str) -> dict[str, float]:
        return {"text": vector[0] * len(sentence)}


@dataclass
class Counted:
    """Tools that count what they are asked for, thread by thread safe."""

    decoded: Counter[str] = field(default_factory=Counter)
    estimated: Counter[bytes] = field(default_factory=Counter)
    measured: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tools(self, **changed: object) -> Tools:
        tools = Tools(self.decode, self.flow, self.measure, TABLE, "1")
        return replace(tools, **changed)  # type: ignore[arg-type]

    def decode(self, path: Path) -> Clip:
        with self.lock:
            self.decoded[path.as_posix()] += 1
        return read_video(path)

    def flow(self, frames: Pixels) -> Flow:
        with self.lock:
            self.estimated[frames.tobytes()] += 1
        return estimate_flow(frames, workers=1)

    def measure(self, frames: Pixels, picture: Pixels, flow: Flow, fps: float) -> dict[str, float]:
        with self.lock:
            self.measured += 1
        return cheap(frames, picture, flow, fps)

    @property
    def all(self) -> int:
        return sum(self.decoded.values()) + sum(self.estimated.values()) + self.measured


class StampingModel(DrawingModel):
    """A model that leaves its mark, so that no two of its videos are the same."""

    def animate(self, jobs: Sequence[Job]) -> list[str | None]:
        for job in jobs:
            clip = moving(read_image(job.image), job.prompt, job.seed)
            colour = np.random.default_rng([*job.output.name.encode(), *self.name.encode()])
            clip[1:, 8:20, 8:20] = colour.integers(0, 256, 3)
            write_video(job.output, clip, FPS)
        return [None] * len(jobs)


def make(
    bench: Path, folder: Path, model: DrawingModel, seeds: tuple[int, ...] = (0,)
) -> Results:
    name = model.name
    benchmark = read_benchmark(bench, own_pairs=True)
    results = Results(folder / name, name, model.settings, benchmark, seeds, model.format)
    assert all(outcome.failure is None for outcome in run(model, results))
    return open_results(results.folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The results of two models (five pairs, seeds 0 and 1 of the first), never changed."""
    folder = tmp_path_factory.mktemp("made")
    bench = write_benchmark(folder / "bench")
    return [make(bench, folder, StampingModel("first"), (0, 1)).folder,
            make(bench, folder, StampingModel("second")).folder]


@pytest.fixture
def results(made: list[Path], tmp_path: Path) -> list[Results]:
    """A copy that a test may change."""
    for folder in made:
        shutil.copytree(folder, tmp_path / folder.name)
    return [open_results(tmp_path / folder.name) for folder in made]


def row(scores: Scores, name: str) -> Row:
    (found,) = [row for row in scores.rows if row.name == name]
    return found


def numbers(row: Row) -> dict[tuple[str, int], dict[str, float]]:
    return {(video.pair.stem, video.seed): video.numbers for video in row.videos}


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


def test_progress_is_told_of_every_clip(results: list[Results], tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    score(results, tmp_path / "out", tools=Counted().tools(),
          progress=lambda *what: told.append(what))
    assert told == [*(("videos", done, 15) for done in range(16)),
                    *(("still images", done, 3) for done in range(4))]


def test_kept_lines_are_whole_json_with_null_for_what_is_no_number(
    results: list[Results], tmp_path: Path
) -> None:
    score(results, tmp_path / "out", tools=Counted().tools())
    lines = [json.loads(line) for line in (tmp_path / "out" / CACHE).read_text().splitlines()]
    assert len(lines) == 15 + 3 + 3
    assert {line["numbers"]["undefined"] for line in lines} == {None, 1.0}


def test_a_measure_that_is_infinite_or_lacking_is_a_defect(
    results: list[Results], tmp_path: Path
) -> None:
    for wrong in ({**dict.fromkeys(TABLE, 1.0), "flow": float("inf")}, {"flow": 1.0}):
        tools = Counted().tools(measure=lambda *clip, wrong=wrong: wrong)
        with pytest.raises(ValueError, match="measures should be finite or nan"):
            score(results, tmp_path / "out", tools=tools)


def test_the_measures_version_is_of_their_sources() -> None:
    assert weight_free_version() == weight_free_version() == Tools().version
    assert len(Tools().version) == 64
    assert Tools().measures is MEASURES
