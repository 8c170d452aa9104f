"""Finished videos are taken in by name, and everything that is wrong with a folder is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_bench import FPS, FRAMES, SIDE, DrawingModel, moving, textured, write_benchmark

from motifocal.bench.check import check
from motifocal.bench.ingest import FITS, find_videos, ingest, stretch, with_videos
from motifocal.bench.pairs import read_benchmark, subset_of
from motifocal.bench.results import Results, manifest_lines, open_results
from motifocal.bench.run import run
from motifocal.cli import cli
from motifocal.generate.model import Format
from motifocal.media.video import read_image, read_video, write_image, write_video


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return write_benchmark(tmp_path / "bench")


@pytest.fixture
def made(bench: Path, tmp_path: Path) -> Results:
    """A complete folder of results: five pairs, one seed."""
    model = DrawingModel()
    benchmark = read_benchmark(bench, own_pairs=True)
    results = Results(tmp_path / "made", "drawing", model.settings, benchmark, (0,), model.format)
    assert all(outcome.new for outcome in run(model, results))
    return results


@pytest.fixture
def finished(bench: Path, tmp_path: Path) -> Path:
    """A folder of videos, as somebody's script may have left it: one GIF, one in a subfolder."""
    folder = tmp_path / "finished"
    (folder / "more").mkdir(parents=True)
    for index, pair in enumerate(read_benchmark(bench, own_pairs=True).pairs):
        assert pair.image is not None
        name = Path(pair.file(3)).with_suffix(".gif" if index == 1 else ".mp4")
        frames = moving(read_image(pair.image), pair.prompt, 3)
        write_video(folder / ("more" if index == 2 else "") / name, frames, FPS)
    return folder


def problems_of(results: Results, **options: Format) -> list[tuple[str, str]]:
    return [(problem.file, problem.what) for problem in check(results, **options)]


def take(bench: Path, finished: Path, out: Path, partial: bool = False) -> Results:
    benchmark = read_benchmark(bench, own_pairs=True)
    found = find_videos(finished, benchmark.pairs)
    assert found.unmatched == ()
    if partial:
        benchmark = with_videos(benchmark, found)
    results = Results(out, "theirs", {}, benchmark, found.seeds(), None)
    list(ingest(results, found))
    return results


def test_finished_videos_are_copied_byte_for_byte_and_others_encoded(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    results = take(bench, finished, tmp_path / "out")
    assert results.missing() == []
    assert results.seeds == (3,)
    for video in results.expected():
        source = next(finished.rglob(f"{video.path.stem}.*"))
        if source.suffix == ".mp4":
            assert source.read_bytes() == video.path.read_bytes()
        clip, original = read_video(video.path), read_video(source)
        assert (clip.fps, clip.frames.shape) == (original.fps, original.frames.shape)
        # 4:2:0 halves the colours' resolution; what is left is the brightness.
        difference = clip.frames.mean(axis=-1) - original.frames.mean(axis=-1)
        assert np.abs(difference).mean() < 6
    assert check(results) == []
    lines = list(manifest_lines(results.folder))
    assert {line["status"] for line in lines} == {"ingested"}
    assert len(lines) == 5


def test_taking_in_again_adds_what_was_missing(bench: Path, finished: Path, tmp_path: Path) -> None:
    late = finished / "ball_1_b_the_ball_rises_3.mp4"
    late = late if late.exists() else finished / "more" / late.name
    shutil.move(late, tmp_path / late.name)
    results = take(bench, finished, tmp_path / "out")
    assert [video.path.name for video in results.missing()] == [late.name]
    shutil.move(tmp_path / late.name, late)
    assert take(bench, finished, tmp_path / "out").missing() == []
    assert len(list(manifest_lines(results.folder))) == 5


def test_only_pairs_with_a_video_are_taken_when_asked_for(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    (finished / "kite_its_still_3.mp4").unlink()
    results = take(bench, finished, tmp_path / "out", partial=True)
    assert results.missing() == []
    held = open_results(tmp_path / "out").benchmark
    assert held.mark == "SUBSET: 4 of 5 pairs of bench (those with a video)"


def test_two_files_for_one_video_are_refused(bench: Path, finished: Path) -> None:
    shutil.copy(finished / "kite_its_still_3.mp4", finished / "more" / "KITE_its_still_3.mp4")
    pairs = read_benchmark(bench, own_pairs=True).pairs
    with pytest.raises(ValueError, match=r"kite_its_still_3\.mp4 should be one file"):
        find_videos(finished, pairs)


def test_a_damaged_video_is_named_and_all_others_are_taken_in(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    damaged = finished / "kite_its_still_3.mp4"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:400])
    arguments = ["bench", "ingest", str(finished), "--bench", str(bench), "--own-pairs",
                 "--name", "theirs", "-o", str(tmp_path / "out")]  # fmt: skip
    ended = CliRunner().invoke(cli, arguments)
    assert ended.exit_code == 1
    assert f"left out: {damaged}: " in ended.stderr
    expected = read_benchmark(bench, own_pairs=True).pairs
    assert f"{len(expected) - 1} of {len(expected)} videos of theirs" in ended.stderr
    taken = {path.name for path in (tmp_path / "out/videos").iterdir()}
    assert taken == {pair.file(3) for pair in expected} - {damaged.name}
    damaged.write_bytes(whole)
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert (tmp_path / "out/videos" / damaged.name).read_bytes() == whole


def test_the_image_is_kept_as_the_model_brought_it_to_size(tmp_path: Path) -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, :20] = 255  # a white edge that a square crop loses
    assert FITS["crop"](picture, 20, 20).max() == 0
    stretched = stretch(picture, 20, 20)
    assert (stretched[:, :5] == 255).all()
    assert (stretched[:, 5:] == 0).all()


def test_a_complete_run_has_nothing_wrong(made: Results) -> None:
    assert check(made) == []


def test_a_video_that_is_missing_is_found_with_the_reason(made: Results, bench: Path) -> None:
    video = made.expected()[1]
    video.path.unlink()
    assert problems_of(made) == [(video.path.name, "is missing")]
    model = DrawingModel(trouble=lambda job: "out of memory")
    list(run(model, made))
    assert problems_of(made) == [(video.path.name, "is missing (out of memory)")]


def test_a_video_that_breaks_off_is_found(made: Results) -> None:
    path = made.expected()[0].path
    path.write_bytes(path.read_bytes()[:-200])
    [(file, what)] = problems_of(made)
    assert file == path.name
    assert what.startswith("does not decode: ")


@pytest.mark.parametrize(
    ("frames", "side", "fps", "got"),
    [(4, SIDE, 8, "got 4 frames"), (FRAMES, 48, 8, "48x48"), (FRAMES, SIDE, 10, "at 10/s")],
)
def test_other_counts_sizes_and_rates_are_found(
    made: Results, frames: int, side: int, fps: float, got: str
) -> None:
    video = made.expected()[2]
    picture = cv2.resize(read_image(made.image(video.pair)), (side, side))
    write_video(video.path, np.stack([picture] * frames), fps)
    problems = problems_of(made)
    assert {file for file, _ in problems} == {video.path.name}
    assert "should be 5 frames of 32x32 at 8/s" in problems[0][1]
    assert got in problems[0][1]


def test_what_is_expected_can_be_said(made: Results) -> None:
    wanted = Format(FRAMES, SIDE, SIDE, 24.0)
    assert len(problems_of(made, expected=wanted)) == 5


def test_the_odd_one_out_is_found_where_nobody_says_what_is_expected(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    results = take(bench, finished, tmp_path / "out")
    video = results.expected()[4]
    write_video(video.path, read_video(video.path).frames[:3], FPS)
    [(file, what)] = problems_of(results)
    assert (file, "got 3 frames" in what) == (video.path.name, True)


def test_swapped_videos_start_with_the_wrong_image(made: Results) -> None:
    first, last = made.expected()[0].path, made.expected()[-1].path
    first.rename(first.with_suffix(".tmp"))
    last.rename(first)
    first.with_suffix(".tmp").rename(last)
    assert problems_of(made) == [(first.name, "should start with its image, starts like kite"),
                                 (last.name, "should start with its image, starts like ball_1")]


def test_a_model_that_shifts_the_image_a_little_is_not_blamed(made: Results) -> None:
    video = made.expected()[0]
    frames = np.roll(read_video(video.path).frames, 3, axis=2)
    write_video(video.path, frames, FPS)
    assert check(made) == []


@pytest.mark.parametrize("shade", [0, 255])
def test_a_blank_video_does_not_start_with_its_image(made: Results, shade: int) -> None:
    video = made.expected()[0]
    write_video(video.path, np.full((FRAMES, SIDE, SIDE, 3), shade, np.uint8), FPS)
    [(file, what)] = problems_of(made)
    assert file == video.path.name
    assert "start" in what


def test_a_lost_image_and_strangers_are_named(made: Results) -> None:
    made.image(made.expected()[-1].pair).unlink()
    videos = made.folder / "videos"
    shutil.copy(made.expected()[0].path, videos / "nobody_asked_0.mp4")
    shutil.copy(made.expected()[0].path, videos / made.expected()[0].pair.file(5))
    assert sorted(problems_of(made)) == sorted([
        ("pictures/kite.png", "no such file or folder"),
        ("nobody_asked_0.mp4", "belongs to no pair"),
        (made.expected()[0].pair.file(5), "is of another seed than 0"),
    ])  # fmt: skip


def test_the_command_prints_a_table_and_exits_with_one(made: Results) -> None:
    done = CliRunner().invoke(cli, ["bench", "check", str(made.folder)])
    assert (done.exit_code, "all 5 videos are right" in done.stdout) == (0, True)
    made.expected()[3].path.unlink()
    done = CliRunner().invoke(cli, ["bench", "check", str(made.folder)])
    assert done.exit_code == 1
    assert "1 problem in 5 videos" in done.stdout
    assert made.expected()[3].path.name in done.stdout
    done = CliRunner().invoke(cli, ["bench", "check", str(made.folder), "--fps", "24"])
    assert done.stdout.count("at 24/s") == 4


def test_the_command_takes_in_a_folder_and_refuses_strangers(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    write_video(finished / "who_knows_0.mp4", np.stack([textured(1)] * 3), FPS)
    arguments = ["bench", "ingest", str(finished), "--bench", str(bench), "--own-pairs",
                 "--name", "Theirs", "-o", str(tmp_path / "out")]  # fmt: skip
    refused = CliRunner().invoke(cli, arguments)
    assert isinstance(refused.exception, ValueError)
    assert "who_knows_0.mp4; --skip-unknown" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    done = CliRunner().invoke(cli, [*arguments, "--skip-unknown"])
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(tmp_path / "out")
    assert open_results(tmp_path / "out").model == "Theirs"


def test_the_command_names_partial_before_it_takes_in_a_folder_with_gaps(
    bench: Path, finished: Path, tmp_path: Path
) -> None:
    (finished / "kite_its_still_3.mp4").unlink()
    arguments = ["bench", "ingest", str(finished), "--bench", str(bench), "--own-pairs",
                 "--name", "Theirs", "-o", str(tmp_path / "out")]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0
    notes = done.stderr.splitlines()
    assert notes[1].startswith("note: 1 of 5 videos are missing, the first: kite_its_still_3.mp4.")
    assert "use --partial with a new folder" in notes[1]
    assert notes[-1] == "4 of 5 videos of Theirs"
    refused = CliRunner().invoke(cli, [*arguments, "--partial"])
    assert str(refused.exception) == (
        f"{tmp_path / 'out'} was begun with 5 pairs, these are 4: 1 no longer there "
        "(kite_its_still); choose the same pairs or another folder"
    )
    part = CliRunner().invoke(cli, [*arguments[:-1], str(tmp_path / "part"), "--partial"])
    assert "missing" not in part.stderr


def test_the_command_prints_problems_as_json(made: Results) -> None:
    made.expected()[3].path.unlink()
    done = CliRunner().invoke(cli, ["bench", "check", str(made.folder), "--json", "--quiet"])
    assert (done.exit_code, done.stderr) == (1, "")
    assert json.loads(done.stdout) == {str(made.folder): {
        "model": "drawing", "videos": 5,
        "problems": [{"file": made.expected()[3].path.name, "what": "is missing"}],
    }}  # fmt: skip


@pytest.mark.slow
def test_four_published_models_are_taken_in_and_all_is_well(shared: Path, tmp_path: Path) -> None:
    benchmark = subset_of(read_benchmark(shared / "ti2v-clips"), "with-image")
    counts = {}
    for name in ("cinemo", "cond_leak", "dynamicrafter", "motif"):
        folder = shared / "ti2v-clips/videos" / name
        found = find_videos(folder, benchmark.pairs)
        part = with_videos(benchmark, found)
        results = Results(tmp_path / folder.name, folder.name, {}, part, found.seeds(), None)
        counts[folder.name] = sum(1 for _ in ingest(results, found))
        assert check(results) == [], folder.name
    assert counts == dict.fromkeys(counts, 26)



def test_images_that_are_there_are_not_checked_against_other_files(made: Results) -> None:
    write_image(made.folder / "videos/poster.png", textured(9))
    assert check(made) == []
