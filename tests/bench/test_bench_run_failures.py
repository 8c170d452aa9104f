"""Failures end a run only where it is not the images: one bad image ends none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_bench import DrawingModel, drawn_results, write_benchmark

from motifocal.bench.run import run


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    return write_benchmark(tmp_path / "bench")


def test_a_run_in_which_everything_fails_stops_early(bench: Path, tmp_path: Path) -> None:
    model = DrawingModel(trouble=lambda job: "out of memory")
    results = drawn_results(bench, tmp_path / "out", model)
    outcomes = run(model, results, failures_in_a_row=2)
    images = [video.pair.image_id for video in results.expected()]
    second = next(place for place, image in enumerate(images) if image != images[0])
    assert [next(outcomes).failure for _ in range(second + 1)] == ["out of memory"] * (second + 1)
    with pytest.raises(ValueError, match=r"2 batches of different images failed.*out of memory"):
        next(outcomes)


@pytest.mark.parametrize("batch", [1, 2])
def test_one_bad_image_ends_no_run_and_no_later_one(
    bench: Path, tmp_path: Path, batch: int
) -> None:
    for bad in ("ball_1", "kite"):
        model = DrawingModel(trouble=lambda job, bad=bad: "bad" if job.image.stem == bad else None)
        results = drawn_results(bench, tmp_path / bad, model)
        expected = [video for video in results.expected() if video.pair.image_id != bad]
        for _ in range(2):
            list(run(model, results, batch=batch, failures_in_a_row=2))
            assert all(video.path.exists() for video in expected)
        expected[-1].path.unlink()  # as of a run that was stopped
        list(run(model, results, batch=batch, failures_in_a_row=2))
        assert expected[-1].path.exists()


def test_failures_end_no_run_that_has_made_a_video(bench: Path, tmp_path: Path) -> None:
    model = DrawingModel(trouble=lambda job: None if job.image.stem == "ball_1" else "bad")
    results = drawn_results(bench, tmp_path / "out", model)
    pairs = sorted(results.benchmark.pairs, key=lambda pair: pair.image_id)
    assert pairs[0].image_id == "ball_1"
    results = replace(results, benchmark=replace(results.benchmark, pairs=tuple(pairs)))
    outcomes = list(run(model, results, failures_in_a_row=2))
    assert len(outcomes) == len(results.expected())
    assert len({o.video.pair.image_id for o in outcomes if o.failure}) >= 2
