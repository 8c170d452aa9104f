"""Everything that is wrong with a folder of results is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from tiny_bench import FPS, FRAMES, SIDE, DrawingModel, take, textured

from motifocal.bench.check import check
from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results
from motifocal.bench.run import run
from motifocal.cli import cli
from motifocal.generate.model import Format
from motifocal.media.video import read_image, read_video, write_image, write_video


@pytest.fixture
def made(bench: Path, tmp_path: Path) -> Results:
    """A complete folder of results: five pairs, one seed."""
    model = DrawingModel()
    benchmark = read_benchmark(bench, own_pairs=True)
    results = Results(tmp_path / "made", "drawing", model.settings, benchmark, (0,), model.format)
    assert all(outcome.new for outcome in run(model, results))
    return results


def problems_of(results: Results, **options: Format) -> list[tuple[str, str]]:
    return [(problem.file, problem.what) for problem in check(results, **options)]


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


def test_the_command_prints_problems_as_json(made: Results) -> None:
    made.expected()[3].path.unlink()
    done = CliRunner().invoke(cli, ["bench", "check", str(made.folder), "--json", "--quiet"])
    assert (done.exit_code, done.stderr) == (1, "")
    assert json.loads(done.stdout) == {str(made.folder): {
        "model": "drawing", "videos": 5,
        "problems": [{"file": made.expected()[3].path.name, "what": "is missing"}],
    }}  # fmt: skip


def test_images_that_are_there_are_not_checked_against_other_files(made: Results) -> None:
    write_image(made.folder / "videos/poster.png", textured(9))
    assert check(made) == []
