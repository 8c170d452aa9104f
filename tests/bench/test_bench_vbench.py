"""The view for VBench-I2V: names that its custom input reads, marks, and what it refuses."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny_gallery import MakeResults
from viewed_results import HARD_PAIRS

from motifocal.bench.pairs import Benchmark, Pair, read_benchmark
from motifocal.bench.results import Results, claim_results
from motifocal.bench.vbench import (
    DIMENSIONS,
    SCRIPT,
    STATEMENT,
    export_vbench,
    naming_rule,
    validate_view,
)
from motifocal.cli import cli
from motifocal.media.picture import write_image
from motifocal.media.video import read_video, write_video


def read_as_vbench_does(videos: Path, pictures: Path) -> dict[str, Path]:
    """File name of a video -> the picture that custom input pairs it with; KeyError without one."""
    known = {}
    for name in os.listdir(pictures):
        stem, suffix = os.path.splitext(name)
        if (pictures / name).is_file() and suffix.lower() in (".jpg", ".jpeg", ".png"):
            known[stem] = pictures / name
    found = {}
    for name in os.listdir(videos):
        if Path(name).suffix.lower() in (".mp4", ".gif"):
            stem = Path(name).stem
            found[name] = known[re.sub(r"-\d+$", "", stem) if re.search(r"-\d+$", stem) else stem]
    return found


def test_every_video_has_the_image_of_its_own_pair(
    make_results: MakeResults, tmp_path: Path
) -> None:
    results = make_results(seeds=(0, 3, 12))
    for pair in HARD_PAIRS:  # a picture of its own colour each
        colour = sum(pair.image_id.encode()) % 256
        write_image(results.image(pair), np.full((16, 32, 3), colour, np.uint8))
    view = export_vbench(results, tmp_path / "view")
    assert view.state == "complete"
    seen = read_as_vbench_does(tmp_path / "view" / "videos", tmp_path / "view" / "pictures")
    assert len(seen) == len(HARD_PAIRS) * 3
    assert {name: path.name for name, path in seen.items()} == validate_view(tmp_path / "view")
    for video in results.expected():
        name = f"{video.pair.stem}-{video.seed}.mp4"
        assert seen[name].read_bytes() == results.image(video.pair).read_bytes()
        assert (tmp_path / "view" / "videos" / name).resolve() == video.path.resolve()
    assert read_video(tmp_path / "view/videos/cat-3_a_cat_jumps_on_box_7-12.mp4").fps == 8


def test_the_naming_rule_takes_one_number_off_the_end() -> None:
    assert naming_rule("duck_1_the_duck_dives-0.mp4") == "duck_1_the_duck_dives"
    assert naming_rule("cat-3_jumps-3-4294967295.mp4") == "cat-3_jumps-3"
    assert naming_rule("v1.2_stops-7.mp4") == "v1.2_stops"
    assert naming_rule("no_number.mp4") == "no_number"
    assert naming_rule("duck_3.mp4") == "duck_3"


@given(st.text(st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\:"), min_size=1,
               max_size=40).filter(lambda text: text[0] != "."), st.integers(0, 2**32))
def test_any_stem_comes_back_from_its_video_s_name(stem: str, seed: int) -> None:
    assert naming_rule(f"{stem}-{seed}.mp4") == stem


def test_the_names_of_all_320_pairs_work(
    shared: Path, tmp_path: Path, make_results: MakeResults
) -> None:
    benchmark = read_benchmark(shared / "ti2v-clips")
    assert len(benchmark.pairs) == 320
    results = make_results(pairs=benchmark.pairs, seeds=(0, 1))
    view = export_vbench(results, tmp_path / "view")
    assert len(view.videos) == 640
    assert len(set(view.videos.values())) == 320
    seen = read_as_vbench_does(tmp_path / "view" / "videos", tmp_path / "view" / "pictures")
    assert {name: path.name for name, path in seen.items()} == view.videos
    with (shared / "ti2v-clips" / "pairs.csv").open(encoding="utf-8", newline="") as file:
        names = {re.sub(r"_0\.mp4$", "-0.mp4", row["file"]) for row in csv.DictReader(file)}
    assert names == {name for name in view.videos if name.endswith("-0.mp4")}


def test_real_outputs_can_be_laid_out(shared: Path, tmp_path: Path) -> None:
    clips = shared / "ti2v-clips"
    videos = {path.name: path for path in sorted((clips / "videos" / "cinemo").glob("*.mp4"))}
    pairs = tuple(pair for pair in read_benchmark(clips).pairs if pair.file() in videos)
    results = Results(tmp_path / "results", "Cinemo", {},
                      Benchmark("TI2V-Bench", pairs, 320, "those with a video"), (0,), None)
    claim_results(results)
    for video in results.expected():
        video.path.symlink_to(videos[video.path.name])
        shutil.copy(clips / "images" / f"{video.pair.image_id}.png", results.image(video.pair))
    export_vbench(results, tmp_path / "view")
    held = json.loads((tmp_path / "view" / STATEMENT).read_text())
    assert held["mark"] == "SUBSET: 26 of 320 pairs of TI2V-Bench (those with a video)"
    assert held["frame_rates"] == [{
        "frames_per_second": 8.0, "videos": 26,
        "dynamic_degree": {"every_nth_frame": 1, "threshold_times": 1.0}}]


def test_the_statement_says_what_the_view_is_of(make_results: MakeResults, tmp_path: Path) -> None:
    export_vbench(make_results(subset="the first 4"), tmp_path / "view")
    held = json.loads((tmp_path / "view" / STATEMENT).read_text())
    assert (held["model"], held["benchmark"], held["state"]) == ("Mine", "a few", "complete")
    assert held["mark"] == "SUBSET: 4 of 9 pairs of a few (the first 4)"
    assert held["missing"] == []
    assert held["videos"]["cat-3_a_cat_jumps_on_box_7-0.mp4"] == {
        "picture": "cat-3_a_cat_jumps_on_box_7.png", "image_id": "cat-3",
        "prompt": "a cat jumps on box 7", "seed": 0}
    assert held["dimensions"] == list(DIMENSIONS)
    assert "camera_motion" in held["left_out"]


def test_the_frame_rates_are_those_of_the_files(make_results: MakeResults, tmp_path: Path) -> None:
    results = make_results()
    frames = np.zeros((3, 16, 32, 3), np.uint8)
    write_video(results.expected()[0].path, frames, 24)
    write_video(results.expected()[1].path, frames, 4)
    export_vbench(results, tmp_path / "view")
    held = json.loads((tmp_path / "view" / STATEMENT).read_text())
    assert [(rate["frames_per_second"], rate["videos"], *rate["dynamic_degree"].values())
            for rate in held["frame_rates"]] == [(4, 1, 1, 2.0), (8, 2, 1, 1.0), (24, 1, 3, 1.0)]


def test_missing_videos_are_refused_or_recorded(make_results: MakeResults, tmp_path: Path) -> None:
    results = make_results(seeds=(0, 1))
    gone = [video for video in results.expected() if video.pair.image_id == "cat-3"]
    for video in gone:
        video.path.unlink()
    with pytest.raises(ValueError, match=r"2 of 8 videos are missing: cat-3_a_cat\S+_0.mp4"):
        export_vbench(results, tmp_path / "view")
    assert not (tmp_path / "view").exists()
    view = export_vbench(results, tmp_path / "view", allow_missing=True)
    assert view.state == "INCOMPLETE: 2 of 8 videos are missing"
    held = json.loads((tmp_path / "view" / STATEMENT).read_text())
    assert held["state"] == view.state
    assert held["missing"] == [f"cat-3_a_cat_jumps_on_box_7-{seed}.mp4" for seed in (0, 1)]
    assert not any("cat-3" in name for name in os.listdir(tmp_path / "view" / "pictures"))
    for video in results.expected():
        video.path.unlink(missing_ok=True)
    with pytest.raises(ValueError, match="8 of 8 videos are missing"):
        export_vbench(results, tmp_path / "other", allow_missing=True)


def test_what_is_wrong_with_a_view_is_named(make_results: MakeResults, tmp_path: Path) -> None:
    view = tmp_path / "view"
    export_vbench(make_results(), view)
    picture = view / "pictures" / f"{HARD_PAIRS[1].stem}.png"

    def faults() -> str:
        with pytest.raises(ValueError, match=re.escape(str(view))) as error:
            validate_view(view)
        return str(error.value)

    target = os.readlink(picture)
    picture.unlink()
    assert f"pictures/{picture.name} is missing" in faults()
    assert f"{HARD_PAIRS[1].stem}-0.mp4 has no image {picture.name}" in faults()
    picture.symlink_to("nowhere.png")
    assert "is missing or a link to nothing" in faults()
    picture.unlink()
    Image.new("L", (32, 16)).save(picture)
    assert f"{picture.name} should be RGB" in faults()
    picture.unlink()
    picture.symlink_to(target)
    (view / "pictures" / f"{HARD_PAIRS[1].stem}.jpg").symlink_to(target)
    assert "are images of the same videos" in faults()
    (view / "pictures" / f"{HARD_PAIRS[1].stem}.jpg").rename(view / "pictures" / "lonely.jpg")
    assert "lonely.jpg has no video" in faults()
    (view / "pictures" / "lonely.jpg").rename(view / "pictures" / picture.name.upper())
    assert "differ in case only" in faults()


def test_names_that_are_too_long_are_refused_and_the_longest_works(
    make_results: MakeResults, tmp_path: Path
) -> None:
    longest = Pair("", "a" * 120, "b" * 119)
    export_vbench(make_results(pairs=(longest,), seeds=(4294967295,)), tmp_path / "view")
    (name,) = os.listdir(tmp_path / "view" / "videos")
    assert len(name) == 255
    results = make_results(pairs=(Pair("", "a" * 120, "b" * 128),), seeds=(0,), folder="more")
    stem = results.benchmark.pairs[0].stem
    assert len(f"{stem}-0.mp4") == 255
    export_vbench(results, tmp_path / "more view")
    one_more = Results(results.folder, "Mine", {}, results.benchmark, (0, 10), None)
    with pytest.raises(ValueError, match="at most 255 bytes, got a"):
        export_vbench(one_more, tmp_path / "last view")


def test_the_script_runs_every_dimension_once_on_the_view(
    make_results: MakeResults, tmp_path: Path
) -> None:
    view, clone = tmp_path / "a view's", tmp_path / "VBench"
    export_vbench(make_results(), view)
    assert subprocess.run(["sh", "-n", view / SCRIPT], check=False).returncode == 0
    text = (view / SCRIPT).read_text()
    words = re.findall(r"^for dimension in (.*); do$", text, re.MULTILINE)
    assert words == [" ".join(DIMENSIONS)]
    assert "camera_motion" not in text
    clone.mkdir()
    (clone / "evaluate_i2v.py").write_text(
        "import json, os, sys\n"
        "given = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "os.makedirs(given['--output_path'])\n"
        "given['seen'] = len(os.listdir(given['--videos_path']))\n"
        "json.dump(given, open(given['--output_path'] + '/given.json', 'w'))\n")
    done = subprocess.run(["sh", str(view / SCRIPT), str(clone)], check=False, cwd=tmp_path,
                          capture_output=True, env={**os.environ, "PYTHON": shutil.which("python3")
                                                    or "python"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(os.listdir(view / "scores")) == sorted(DIMENSIONS)
    for dimension in DIMENSIONS:
        assert json.loads((view / "scores" / dimension / "given.json").read_text()) == {
            "--mode": "custom_input", "--dimension": dimension, "seen": len(HARD_PAIRS),
            "--videos_path": str(view / "videos"),
            "--custom_image_folder": str(view / "pictures"),
            "--output_path": str(view / "scores" / dimension)}
    alone = subprocess.run(["sh", str(view / SCRIPT)], check=False, capture_output=True, text=True)
    assert alone.returncode != 0
    assert "usage: sh run_vbench.sh" in alone.stderr


def test_the_dimensions_are_those_of_custom_input_without_camera_motion() -> None:
    allowed = ["i2v_subject", "i2v_background", "camera_motion", "subject_consistency",
               "background_consistency", "motion_smoothness", "dynamic_degree",
               "aesthetic_quality", "imaging_quality"]
    assert sorted([*DIMENSIONS, "camera_motion"]) == sorted(allowed)


def test_the_command_lays_out_a_view_and_says_where(
    make_results: MakeResults, tmp_path: Path
) -> None:
    results = make_results(subset="the first 4")
    results.expected()[0].path.unlink()
    view = tmp_path / "view"
    arguments = [str(results.folder), "-o", str(view)]
    failed = CliRunner().invoke(cli, ["bench", "vbench", *arguments])
    assert isinstance(failed.exception, ValueError)
    assert "1 of 4 videos are missing" in str(failed.exception)
    done = CliRunner().invoke(
        cli, ["bench", "vbench", *arguments, "--allow-missing", "--copy"]
    )
    assert done.exit_code == 0
    assert done.stdout.split() == [str(view / STATEMENT), str(view / SCRIPT)]
    assert "SUBSET: 4 of 9 pairs of a few (the first 4)" in done.stderr
    assert "3 videos of Mine, INCOMPLETE: 1 of 4 videos are missing" in done.stderr
    assert not any(path.is_symlink() for path in view.rglob("*"))
