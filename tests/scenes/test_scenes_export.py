"""Exports of synthetic scenes: layouts, captions, resuming, and the commands around them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from motifocal.cli import cli
from motifocal.data.sources import SceneClips
from motifocal.files.settings import lock_settings
from motifocal.media.sheet import contact_sheet, moving_grid
from motifocal.media.video import read_image, read_video
from motifocal.scenes.evaluation.evaluate import eval_pairs
from motifocal.scenes.export import (
    BenchmarkSettings,
    DatasetSettings,
    export_benchmark,
    export_dataset,
    recipe,
)
from motifocal.scenes.render import CAMERA_WORDS, render
from motifocal.scenes.stage import SCENARIOS, is_held_out

SETTINGS = DatasetSettings(clips=5, split="train", size=32, frames=6, seed=3, camera="static",
                           truth=False, lossless=False)


def rows(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob("*")) if path.is_file()}


# Data sets


def test_a_data_set_is_a_videofolder_whose_clips_are_those_of_the_drawn_world(
    tmp_path: Path,
) -> None:
    assert list(export_dataset(tmp_path, SETTINGS)) == [1, 2, 3, 4, 5]
    written, source = rows(tmp_path), SceneClips(5, "train", 32, 6, 3)
    assert len(written) == 5
    for index, row in enumerate(written):
        assert row["text"] == source[index].caption
        video = read_video(tmp_path / row["file_name"])
        assert video.frames.shape == (6, 32, 32, 3)
        assert video.fps == 8
        assert np.abs(video.frames.astype(float) - source[index].frames).mean() < 6
        assert not is_held_out(row["scenario"], row["colour"], row["background"])


def test_a_lossless_clip_comes_back_bit_for_bit(tmp_path: Path) -> None:
    list(export_dataset(tmp_path, replace(SETTINGS, lossless=True)))
    for index, row in enumerate(rows(tmp_path)):
        made = recipe(index, "train", 3)
        frames = render(made.stage, made.action, size=32, frames=6).frames
        assert np.array_equal(read_video(tmp_path / row["file_name"]).frames, frames)


def test_truth_holds_mask_and_flow_of_the_clip(tmp_path: Path) -> None:
    list(export_dataset(tmp_path, replace(SETTINGS, truth=True, camera="moving")))
    for index, row in enumerate(rows(tmp_path)):
        made = recipe(index, "train", 3, "moving")
        clip = render(made.stage, made.action, size=32, frames=6, camera=made.camera,
                      with_flow=True)
        with np.load(tmp_path / row["truth"]) as truth:
            assert np.array_equal(truth["mask"], clip.mask)
            assert np.array_equal(truth["flow"], clip.flow)
            assert np.array_equal(truth["flow_valid"], clip.flow_valid)


def test_the_same_settings_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        list(export_dataset(tmp_path / name, replace(SETTINGS, truth=True)))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_an_interrupted_export_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = replace(SETTINGS, lossless=True, truth=True)
    list(export_dataset(whole, settings))
    steps = export_dataset(broken, settings)
    assert [next(steps), next(steps)] == [1, 2]
    steps.close()
    assert not (broken / "metadata.jsonl").exists()
    untouched = broken / "videos" / "000000" / "000.png"
    stamp = untouched.stat().st_mtime_ns
    # What a kill leaves behind: a folder under its temporary name, half full.
    half = broken / "videos" / f".{'ab' * 8}.tmp"
    half.mkdir()
    (half / "000.png").write_bytes(b"half")
    (broken / "truth" / half.name).write_bytes(b"half")
    list(export_dataset(broken, settings))
    assert contents(whole) == contents(broken)
    assert untouched.stat().st_mtime_ns == stamp


def test_a_folder_of_other_settings_is_refused(tmp_path: Path) -> None:
    list(export_dataset(tmp_path, SETTINGS))
    with pytest.raises(ValueError, match=r"size 32 \(not 48\)"):
        list(export_dataset(tmp_path, replace(SETTINGS, size=48)))
    with pytest.raises(ValueError, match="kind 'dataset'"):
        list(export_benchmark(tmp_path, BenchmarkSettings(3, 32, False)))


def test_captions_tell_how_the_camera_moves_and_mixed_moves_it_in_half() -> None:
    for camera, low, high in (("static", 0, 0), ("mixed", 0.38, 0.62), ("moving", 1, 1)):
        made = [recipe(k, "train", 0, camera) for k in range(200)]  # type: ignore[arg-type]
        share = np.mean([clip.camera != "static" for clip in made])
        assert low <= share <= high
        for clip in made:
            words = (clip.action.sentence, *clip.action.paraphrases)
            assert clip.text in {w + CAMERA_WORDS[clip.camera] for w in words}


def test_the_camera_changes_neither_picture_nor_sentence_of_a_clip() -> None:
    for index in range(30):
        one, two = (recipe(index, "train", 0, c) for c in ("static", "moving"))  # type: ignore[arg-type]
        assert (one.stage_seed, one.action.sentence) == (two.stage_seed, two.action.sentence)
        assert two.text == one.text + CAMERA_WORDS[two.camera]


def test_no_clips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="clips should be at least 1, got 0"):
        list(export_dataset(tmp_path, replace(SETTINGS, clips=0)))


# Benchmarks


def test_a_benchmark_has_the_published_layout(tmp_path: Path) -> None:
    assert list(export_benchmark(tmp_path, BenchmarkSettings(9, 32, True)))[-1] == 9
    with (tmp_path / "pairs.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    pairs = eval_pairs(9, 32)
    assert list(table[0]) == ["scenario", "image_id", "prompt", "file"]
    assert [row["file"] for row in table] == [pair.file() for pair in pairs]
    for row, pair in zip(table, pairs, strict=True):
        image = read_image(tmp_path / "images" / f"{row['image_id']}.png")
        assert np.array_equal(image, pair.image())
        video = read_video(tmp_path / "videos" / "truth" / row["file"]).frames
        assert np.abs(video[0].astype(float) - image).mean() < 6


def test_a_benchmark_without_truth_gives_nothing_away_and_can_get_it_elsewhere(
    tmp_path: Path,
) -> None:
    list(export_benchmark(tmp_path, BenchmarkSettings(3, 32, False)))
    assert {path.name for path in tmp_path.iterdir()} == {"export.json", "images", "pairs.csv"}
    with pytest.raises(ValueError, match="truth False"):
        list(export_benchmark(tmp_path, BenchmarkSettings(3, 32, True)))


# Sheets


def test_a_contact_sheet_shows_first_and_last_frame_of_every_clip() -> None:
    frames = np.arange(16, dtype=np.uint8)[:, None, None, None] * np.ones((1, 40, 40, 3), np.uint8)
    sheet = contact_sheet([("t", [("a", [frames, frames + 100])])], columns=4, side=40)
    found = set(np.unique(sheet.reshape(-1, 3), axis=0)[:, 0].tolist())
    assert {0, 5, 10, 15, 100, 105, 110, 115} <= found
    with pytest.raises(ValueError, match="got 0 and 8"):
        contact_sheet([])


def test_a_moving_grid_plays_every_clip_at_once() -> None:
    clip = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    grid = moving_grid([[("one", clip), ("two words", clip + 50)], [("three", clip + 100)]],
                       side=64)
    assert grid.shape[0] == 5
    assert not any(side % 2 for side in grid.shape[1:3])
    for f in range(5):
        for value in (f, f + 50, f + 100):
            assert (grid[f] == value).all(axis=-1).sum() == 64 * 64
    with pytest.raises(ValueError, match="empty"):
        moving_grid([])


# Commands


def run(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["scenes", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", ["sheet.png", "sheet.gif", "sheet.mp4"])
def test_preview_draws_what_is_asked_for(tmp_path: Path, name: str) -> None:
    output = run("preview", "fish", "tide", "-o", tmp_path / name, "--size", 48, "--masks")
    assert output.strip() == str(tmp_path / name)
    count = 1 if name.endswith("png") else 16
    assert len(read_video(tmp_path / name).frames) == count


def test_preview_shows_every_scenario_by_default(tmp_path: Path) -> None:
    run("preview", "-o", tmp_path / "sheet.png", "--size", 16)
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.height > len(SCENARIOS) * 3 * 16


def test_preview_names_the_scenarios_when_it_does_not_know_one() -> None:
    result = CliRunner().invoke(cli, ["scenes", "preview", "dragon"])
    assert result.exit_code == 2
    assert "dragon is none of balance, balloons" in " ".join(result.output.split())


def test_settings_that_differ_are_told_in_words_and_hashes_only_named(tmp_path: Path) -> None:
    before = {"seed": 0, "weights": "sha256 " + "a" * 64, "settings": {"steps": 20, "fps": 8}}
    lock_settings(tmp_path / "made.json", before)
    lock_settings(tmp_path / "made.json", before)
    now = {"seed": 1, "weights": "sha256 " + "b" * 64, "settings": {"steps": 25, "fps": 8}}
    with pytest.raises(ValueError, match="says seed 0") as refused:
        lock_settings(tmp_path / "made.json", now)
    assert str(refused.value).partition(" says ")[2] == (
        "seed 0 (not 1), other weights, steps 20 (not 25); use the same settings or another folder"
    )


def test_the_export_command_writes_both_kinds(tmp_path: Path) -> None:
    dataset, bench = tmp_path / "dataset", tmp_path / "bench"
    assert run("export", "-o", dataset, "--clips", 3, "--size", 32, "--frames", 4,
               "--camera-motion", "mixed", "--truth").strip() == str(dataset)
    assert len(rows(dataset)) == 3
    run("export", "-o", bench, "--kind", "benchmark", "--pairs", 4, "--size", 32)
    assert len((bench / "pairs.csv").read_text().splitlines()) == 5


def test_options_of_the_other_kind_are_refused(tmp_path: Path) -> None:
    for arguments, name in ((["--pairs", "4"], "--pairs"),
                            (["--kind", "benchmark", "--clips", "4"], "--clips"),
                            (["--kind", "benchmark", "--lossless"], "--lossless")):
        result = CliRunner().invoke(cli, ["scenes", "export", "-o", str(tmp_path), *arguments])
        assert result.exit_code == 2
        assert f"{name} does not go with" in result.output
