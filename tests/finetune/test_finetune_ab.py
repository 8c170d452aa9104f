"""The page that sets runs side by side: exact scores, control rows, intervals, a study."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import finetune_scenes
import finetune_scenes_model

from motifocal.bench.results import open_results
from motifocal.cli.finetune.ab_page import CLIP_LOSSES, write_ab_page
from motifocal.cli.finetune.ab_scenes import (
    SCENES,
    another_of,
    exported_scenes,
    scene_scores,
    truth_of_clip,
)
from motifocal.cli.finetune.ab_videos import SETTINGS, results_of, study_of
from motifocal.media.arrays import Frames
from motifocal.media.video import read_video, to_tensor, write_image, write_video
from motifocal.motion.settings import HeatmapSettings
from motifocal.scenes.evaluation.evaluate import Truth
from motifocal.scenes.export import DatasetSettings, export_dataset, recipe
from motifocal.training.families.registry import family_of
from motifocal.training.families.wan import Wan21, encode
from motifocal.training.finetune.cache import CachedClip, CacheSettings, ClipCache, picture_path
from motifocal.training.finetune.prepare import lock_cache, write_index

CLIPS, FRAMES, SIZE = 4, 9, 48
Make = Callable[[Truth, int], Frames]


@pytest.fixture
def clips(tmp_path: Path) -> ClipCache:
    """A cache of exported scenes, without latents: nothing here trains on it."""
    settings = DatasetSettings(CLIPS, "eval", SIZE, FRAMES, 3, "static", False, False)
    list(export_dataset(tmp_path / "scenes", settings))
    folder = tmp_path / "cache"
    lock_cache(folder, CacheSettings("m", "wan-ti2v", "0" * 64, "float32", FRAMES, SIZE, SIZE, 8.0,
                                     1, HeatmapSettings()))  # fmt: skip
    entries = []
    for index in range(CLIPS):
        made = recipe(index, "eval", 3)
        entries.append(CachedClip(f"videos/{index:06d}.mp4", made.text, 8.0, f"0-{FRAMES - 1}",
                                  f"{index:064d}", f"{index:040d}", "t"))  # fmt: skip
    write_index(folder, entries, [])
    (folder / SCENES).write_text(json.dumps(exported_scenes(tmp_path / "scenes")))
    cache = ClipCache(folder)
    for entry in cache.clips:
        write_image(picture_path(folder, entry.clip), truth(cache, entry)[0].still)
    return cache


def truth(cache: ClipCache, clip: CachedClip) -> tuple[Truth, int]:
    scenes = json.loads((cache.folder / SCENES).read_text())
    return truth_of_clip(clip, scenes, SIZE, FRAMES)


def sampled(cache: ClipCache, run: Path, make: Make) -> Path:
    """A finished run whose videos are made so."""
    place = run / "samples/step-00000003"
    place.mkdir(parents=True)
    for index, clip in enumerate(cache.clips):
        write_video(place / f"{index}.mp4", make(*truth(cache, clip)), 8, crf=8)
    (run / SETTINGS).write_text('{"lora_rank": 4}')
    (run / CLIP_LOSSES).write_text(json.dumps({"moving": [1.0, 2.0, 4.0, None]}))
    return run


def still(of: Truth, asked: int) -> Frames:
    return of.stands_still()


def true(of: Truth, asked: int) -> Frames:
    return of.clips[asked]


def another(of: Truth, asked: int) -> Frames:
    return of.clips[(asked + 1) % len(of.clips)]


def runs(cache: ClipCache, folder: Path, first: Make, last: Make) -> dict[float, Path]:
    return {0.0: sampled(cache, folder / "motif-weight-0", first),
            1.0: sampled(cache, folder / "motif-weight-1", last)}  # fmt: skip


def videos_of(made: dict[float, Path]) -> dict[str, list[Path]]:
    return {f"{weight:g}": [run / f"samples/step-00000003/{index}.mp4" for index in range(CLIPS)]
            for weight, run in made.items()}  # fmt: skip


def test_true_clips_follow_their_sentence_still_ones_and_those_of_another_do_not(
    clips: ClipCache, tmp_path: Path
) -> None:
    of_runs, controls = scene_scores(clips, videos_of(runs(clips, tmp_path / "a", still, true)))
    assert of_runs["1"]["follows"] == [1.0] * CLIPS
    assert of_runs["1"]["change"] == pytest.approx([1.0] * CLIPS, abs=0.1)
    assert of_runs["0"]["follows"] == [0.0] * CLIPS
    assert of_runs["0"]["stands_still"] == [1.0] * CLIPS
    assert controls["still image"] == {"follows": [0.0] * CLIPS, "stands_still": [1.0] * CLIPS,
                                         "change": [0.0] * CLIPS}  # fmt: skip
    assert controls[another_of("1")]["follows"] == [0.0] * CLIPS


def test_videos_of_another_prompt_show_in_its_control_row(
    clips: ClipCache, tmp_path: Path
) -> None:
    made, controls = scene_scores(clips, videos_of(runs(clips, tmp_path / "a", another, another)))
    others = [len(truth(clips, clip)[0].clips) - 1 for clip in clips.clips]
    assert made["0"]["follows"] == [0.0] * CLIPS
    assert controls[another_of("0")]["follows"] == [1 / count for count in others]


def test_nothing_exact_is_said_of_clips_that_are_no_scenes_or_no_whole_ones(
    clips: ClipCache, tmp_path: Path
) -> None:
    videos = videos_of(runs(clips, tmp_path / "a", still, true))
    scenes = json.loads((clips.folder / SCENES).read_text())
    (clips.folder / SCENES).write_text(json.dumps({**scenes, "camera": "mixed"}))
    assert scene_scores(clips, videos) == ({}, {})
    (clips.folder / SCENES).unlink()
    assert scene_scores(clips, videos) == ({}, {})
    (tmp_path / "others").mkdir()
    assert exported_scenes(tmp_path / "others") is None


def test_the_page_has_intervals_control_rows_and_the_command_that_serves_the_study(
    clips: ClipCache, tmp_path: Path
) -> None:
    made = runs(clips, tmp_path / "ab", still, true)
    page = write_ab_page(tmp_path / "ab", made, clips).read_text()
    values = json.loads((tmp_path / "ab/ab.json").read_text())
    assert values["0"]["motion"] == [0.0] * CLIPS
    assert min(values["1"]["motion"]) > 0
    assert "<td>+1 (+1 to +1)</td>" in page  # follows
    assert "2.33 (1 to 4)" in page  # the three clips with a loss where they move
    for row in ("still image", "frames shuffled", "another prompt, &lambda; = 1"):
        assert row in page
    (study,) = (tmp_path / "ab").glob("videos-*/study.db")
    assert f"motifocal study serve {study}" in page
    assert 'src="motif-weight-1/samples/step-00000003/3.mp4"' in page


def test_a_study_is_kept_while_the_videos_are_the_same_and_another_is_made_of_others(
    clips: ClipCache, tmp_path: Path
) -> None:
    made = runs(clips, tmp_path / "ab", still, true)
    first, _ = study_of(results_of(tmp_path / "ab", made, clips))
    assert first is not None
    with sqlite3.connect(first) as database:
        database.execute("PRAGMA user_version = 77")
    again, _ = study_of(results_of(tmp_path / "ab", made, clips))
    assert again == first
    with sqlite3.connect(first) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (77,)
    write_video(made[1.0] / "samples/step-00000003/0.mp4", np.zeros((FRAMES, SIZE, SIZE, 3),
                np.uint8), 8)  # fmt: skip
    other, _ = study_of(results_of(tmp_path / "ab", made, clips))
    assert other is not None
    assert other != first


def test_results_of_the_runs_can_be_opened_as_those_of_a_benchmark(
    clips: ClipCache, tmp_path: Path
) -> None:
    results = results_of(tmp_path / "ab", runs(clips, tmp_path / "ab", still, true), clips)
    opened = [open_results(one.folder) for one in results]
    assert [one.model for one in opened] == ["motif-weight-0", "motif-weight-1"]
    assert all(not one.missing() for one in opened)
    assert asdict(opened[0].format)["frames"] == FRAMES  # type: ignore[arg-type]


def test_videos_that_hardly_move_make_a_study_without_known_answers(
    clips: ClipCache, tmp_path: Path
) -> None:
    path, words = study_of(results_of(tmp_path, runs(clips, tmp_path, still, still), clips))
    assert path is not None
    assert words.startswith("There is no comparison with a known answer")


@pytest.mark.parametrize("caption", ["a fish swims to the left " * 12, "\u0130" * 150])
def test_long_captions_are_cut_to_what_names_of_videos_have_room_for_and_the_page_says_so(
    clips: ClipCache, tmp_path: Path, caption: str
) -> None:
    first, *others = clips.clips
    long = [replace(clip, caption=caption.strip()) for clip in (first, first)]
    write_index(clips.folder, [*long, *others[1:]], [])
    clips = ClipCache(clips.folder)
    made = runs(clips, tmp_path / "ab", still, true)
    assert "too long for a video's name: 2 of 4" in write_ab_page(tmp_path / "ab", made, clips
                                                                  ).read_text()  # fmt: skip
    for results in results_of(tmp_path / "ab", made, clips):
        opened = open_results(results.folder)
        assert not opened.missing()
        assert len({pair.stem for pair in opened.benchmark.pairs}) == CLIPS
        assert opened.benchmark.pairs[0].prompt[:50] == caption[:50]


def test_captions_of_several_lines_are_one_line_in_names_and_sentences(
    clips: ClipCache, tmp_path: Path
) -> None:
    entries = [replace(clip, caption="a fish\n\tswims  left") for clip in clips.clips]
    write_index(clips.folder, entries, [])
    results = results_of(tmp_path / "ab", runs(clips, tmp_path / "ab", still, true),
                         ClipCache(clips.folder))  # fmt: skip
    assert {pair.prompt for pair in results[0].benchmark.pairs} == {"a fish swims left"}
    assert results[0].benchmark.pairs[0].file(0).endswith("_a_fish_swims_left_0.mp4")


def test_differences_are_of_the_largest_and_the_smallest_lambda_in_any_order(
    clips: ClipCache, tmp_path: Path
) -> None:
    made = runs(clips, tmp_path / "ab", still, true)
    page = write_ab_page(tmp_path / "ab", {1.0: made[1.0], 0.0: made[0.0]}, clips).read_text()
    assert "<td>+1 (+1 to +1)</td>" in page  # follows: all of lambda 1, none of lambda 0
    assert "motif-weight-1 \N{MINUS SIGN} motif-weight-0" in page
    assert "motif-weight-1 beside the others" in page


def test_a_base_is_said_to_move_where_a_true_clip_is_nearer_than_the_still_picture(
    clips: ClipCache, tmp_path: Path
) -> None:
    shutil.copytree(clips.folder, tmp_path / "caches/held-out")
    for name, make, moves, follows in (
        ("true", true, 1, 1), ("another", another, 1, 0), ("still", still, 0, 0)
    ):  # fmt: skip
        shutil.rmtree(tmp_path / "base-run", ignore_errors=True)
        sampled(clips, tmp_path / "base-run", make)
        finetune_scenes.report_motion(tmp_path)
        motion = json.loads((tmp_path / "motion.json").read_text())
        assert motion["moves"] == {"mean": moves, "low": moves, "high": moves}, name
        assert motion["follows"]["mean"] == follows, name


def test_the_script_makes_a_wan_2_1_whose_latents_are_normalised(tmp_path: Path) -> None:
    size = finetune_scenes.SIZE
    list(export_dataset(tmp_path / "scenes", DatasetSettings(2, "train", size, FRAMES, 0, "static",
                                                             False, False)))  # fmt: skip
    finetune_scenes_model.build_pipeline(tmp_path / "scenes", tmp_path / "autoencoder",
                                         tmp_path / "model", 1)  # fmt: skip
    assert isinstance(family_of(tmp_path / "model"), Wan21)
    vae = AutoencoderKLWan.from_pretrained(tmp_path / "model/vae", trust_remote_code=False)
    videos = torch.stack([to_tensor(read_video(path).frames)
                          for path in sorted((tmp_path / "scenes/videos").iterdir())])  # fmt: skip
    with torch.no_grad():
        latents = encode(vae, videos)
    assert latents.shape == (2, 16, 3, size // 8, size // 8)
    for moment, value in ((latents.mean((0, 2, 3, 4)), 0.0), (latents.std((0, 2, 3, 4)), 1.0)):
        torch.testing.assert_close(moment, torch.full((16,), value), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("length", "default"), [("base", 800), ("autoencoder", 900)])
def test_the_scenes_script_refuses_another_length_of_a_base_that_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], length: str, default: int
) -> None:
    finetune_scenes.keep_lengths(tmp_path, finetune_scenes.Lengths(lora=5))
    finetune_scenes.keep_lengths(tmp_path, finetune_scenes.Lengths(lora=9, videos=3))
    with pytest.raises(SystemExit, match="2"):
        finetune_scenes.main(["-o", str(tmp_path), f"--{length}", "9"])
    assert f"says {length} {default} (not 9)" in " ".join(capsys.readouterr().err.split())
