"""Results that differ in pairs, seeds, lengths, sizes or rates are brought together or refused."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stored_videos import PROTOCOL, decoded
from tiny_bench import SENTENCES, write_benchmark
from tiny_study import tiny_results

from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results
from motifocal.media.video import VideoError, write_video
from motifocal.study.create.encoding import encoded_videos
from motifocal.study.create.matching import Reconcile, check_pairs, load_clip, match_results
from motifocal.study.create.study import lay_out
from motifocal.study.protocol import Protocol


def test_sets_that_lack_pairs_are_refused_unless_told_to_take_the_common_ones(
    ours: Results, tmp_path: Path
) -> None:
    fewer = tiny_results(tmp_path / "fewer", "Fewer", turned=True,
                         sentences={"ball_1": SENTENCES["ball_1"], "kite": ("a kite flies in",)})
    fewer.expected()[0].path.unlink()
    with pytest.raises(ValueError, match="--common takes the 2 that all have") as refused:
        match_results(ours, [fewer])
    assert "Fewer does not expect 2 of 5 videos: ball_1_b_the_ball_rises_0" in str(refused.value)
    assert "Fewer lacks 1 of 5 videos: ball_1_the_ball_rises_0" in str(refused.value)
    groups = match_results(ours, [fewer], common=True)
    assert [group.name for group in groups] == [
        "ball_1_the_ball_falls_slowly_0.mp4", "kite_a_kite_flies_in_0.mp4"]
    layout = lay_out(ours, [fewer], Protocol(gold_every=0), reconcile=Reconcile(common=True))
    assert layout.material["mark"] == ("SUBSET: 2 of 5 pairs of tiny (those that all models have)")


def test_seeds_are_matched_too(ours: Results, tmp_path: Path) -> None:
    seeds = tiny_results(tmp_path / "seeds", "Seeds", seeds=(0, 1))
    with pytest.raises(ValueError, match=r"Ours does not expect 5 of 10 videos: .*_1"):
        match_results(ours, [seeds])
    assert len(match_results(ours, [seeds], common=True)) == 5
    ones = tiny_results(tmp_path / "ones", "Ones", seeds=(1,))
    with pytest.raises(ValueError, match="should have pairs in common, got none"):
        match_results(ours, [ones], common=True)


@pytest.mark.parametrize(("name", "words"), [
    ("Ours", "should have different names"), ("  ", "should have different names"),
    ("repeat", "no model should be called repeat"),
])  # fmt: skip
def test_models_need_names_that_tell_them_apart(
    name: str, words: str, ours: Results, theirs: Results
) -> None:
    with pytest.raises(ValueError, match=words):
        match_results(ours, [replace(theirs, model=name)])
    with pytest.raises(ValueError, match="two models or more"):
        match_results(ours, [])


@pytest.mark.parametrize(("other", "words", "reconcile"), [
    ({"side": 48}, r"size differs in 5 of 5 pairs \(Ours 32x32, Other 48x48; the first is "
     r"ball_1_the_ball_rises_0.mp4\): --size", Reconcile(size=(24, 40))),
    ({"fps": 16.0}, r"rate differs in 5 of 5 pairs \(Ours 8 frames/s, Other 16 frames/s;.*--fps",
     Reconcile(fps=8, frames=3)),
    ({"frames": 7}, r"length differs in 5 of 5 pairs \(Ours 5 frames, Other 7 frames;.*--frames or "
     "--seconds", Reconcile(seconds=0.5)),
])  # fmt: skip
def test_videos_that_differ_are_refused_until_it_is_said_how_to_bring_them_together(
    other: dict[str, Any], words: str, reconcile: Reconcile, ours: Results, tmp_path: Path
) -> None:
    results = tiny_results(tmp_path / "other", "Other", turned=True, **other)
    with pytest.raises(ValueError, match=words):
        lay_out(ours, [results], Protocol(gold_every=0))
    layout = lay_out(ours, [results], Protocol(gold_every=0), reconcile=reconcile)
    (form,) = set(layout.formats)
    assert (form.height, form.width) == (reconcile.size or (32, 32))
    assert form.frames == {None: 4, 3: 3}[reconcile.frames] if reconcile.size is None else 5
    for encoded in encoded_videos(layout, random.Random(0), random.randbytes, _ignore):
        for data in encoded.videos.values():
            frames = decoded(data, tmp_path)
            assert frames.shape == (form.frames, form.height, form.width, 3)


def _ignore(doing: str, done: int, total: int) -> None:
    pass


def test_all_that_differs_is_named_at_once(ours: Results, tmp_path: Path) -> None:
    results = tiny_results(tmp_path / "other", "Other", side=48, frames=7, fps=4)
    with pytest.raises(ValueError, match="should be alike") as refused:
        lay_out(ours, [results], PROTOCOL)
    for word in ("size differs", "rate differs", "length differs"):
        assert word in str(refused.value)


def test_a_video_that_is_too_short_for_the_length_asked_for_is_named(ours: Results) -> None:
    video = ours.expected()[0].path
    assert len(load_clip(video, Reconcile(frames=3))[0]) == 3
    assert len(load_clip(video, Reconcile(seconds=0.5))[0]) == 4
    with pytest.raises(VideoError, match=f"{video.name}: should have 6 frames, got 5"):
        load_clip(video, Reconcile(frames=6))
    for wrong in ({"frames": 0}, {"seconds": -1.0}, {"size": (0, 5)}, {"fit": "squeeze"},
                  {"frames": 2, "seconds": 1.0}):
        with pytest.raises(ValueError, match="should be"):
            Reconcile(**wrong)  # type: ignore[arg-type]


def test_stretching_keeps_what_cropping_cuts_off(tmp_path: Path) -> None:
    picture = np.zeros((32, 64, 3), np.uint8)
    picture[:, 56:] = 255
    write_video(tmp_path / "x.mp4", [picture] * 2, 8)
    cropped, _ = load_clip(tmp_path / "x.mp4", Reconcile(size=(32, 32)))
    stretched, _ = load_clip(tmp_path / "x.mp4", Reconcile(size=(32, 32), fit="stretch"))
    assert cropped.max() < 50
    assert stretched[:, :, 29:].min() > 200


def test_pairs_are_compared_with_the_benchmark(
    ours: Results, theirs: Results, tmp_path: Path
) -> None:
    groups = match_results(ours, [theirs])
    benchmark = read_benchmark(write_benchmark(tmp_path / "bench"), own_pairs=True)
    check_pairs(groups, benchmark, part=False)
    check_pairs(groups[:2], benchmark, part=True)
    with pytest.raises(ValueError, match="all 5 pairs of bench should be there, 3 are not"):
        check_pairs(groups[:2], benchmark, part=False)
    smaller = replace(benchmark, pairs=benchmark.pairs[:2])
    with pytest.raises(ValueError, match="all pairs should be of bench, got 3 others"):
        check_pairs(groups, smaller, part=True)
