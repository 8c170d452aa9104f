"""Living and hard scenes: the default is unchanged, truth stays exact, movers get small."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from motifocal.cli import cli
from motifocal.data.sources import SceneClips
from motifocal.media.video import read_video
from motifocal.scenes.drawing.draw import PALETTE
from motifocal.scenes.drawing.residue import LEVELS, shake
from motifocal.scenes.evaluation.evaluate import ENTERS, eval_pairs, kind_of, score, truth_of
from motifocal.scenes.export import BenchmarkSettings, DatasetSettings, export_dataset, recipe
from motifocal.scenes.render import TRAVEL, Camera, SceneClip, first_image, render
from motifocal.scenes.stage import SCENARIOS, make_stage
from motifocal.scenes.variant import STANDARD, SceneVariant
from motifocal.scenes.world import Stage
from motifocal.training.encoders.autoencoder import BUNDLED_AUTOENCODER, SceneFrames

CALM, LIVELY, HARD = SceneVariant("calm"), SceneVariant("lively"), SceneVariant("still", "hard")
SIZE = 32


def living(scenario: str, seed: int, variant: SceneVariant = LIVELY) -> tuple[Stage, SceneClip]:
    stage = make_stage(scenario, "train", seed, variant)
    return stage, render(stage, stage.actions[0], size=SIZE, frames=6, with_flow=True)


# The default


@pytest.mark.parametrize(("scenario", "seed", "camera", "colours", "moving", "flow"), [
    ("balloons", 0, "static", 6176.6, 273, 791.04),
    ("bird", 1, "static", 14465.0, 132, 529.14),
    ("tide", 2, "static", 21655.6, 2720, 6915.84),
    ("candle", 3, "static", 7377.1, 204, 198.31),
    ("car", 4, "left", -110.3, 187, 8374.23),
    ("duck", 5, "in", 4818.9, 350, 5298.85),
])
def test_the_default_draws_what_it_drew_before_there_were_variants(
    scenario: str, seed: int, camera: Camera, colours: float, moving: int, flow: float
) -> None:
    """Random projections of clips that the code drew then; one pixel that is off by 1 shows."""
    stage = make_stage(scenario, "train", seed)
    clip = render(stage, stage.actions[0], size=32, frames=4, camera=camera, with_flow=True)
    assert clip.flow is not None
    assert clip.flow_valid is not None
    weights = np.random.default_rng(0).standard_normal(clip.frames.shape)
    # Some float pictures are rounded, which another processor may do otherwise at a few pixels.
    assert float((clip.frames * weights).sum()) == pytest.approx(colours, abs=4)
    assert clip.mask.sum() == moving
    assert float((np.abs(clip.flow) * clip.flow_valid[:, None]).sum()) == pytest.approx(flow, 1e-4)
    assert not clip.residue.any()


def test_a_variant_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match=r"background should be one of .*'calm'.*, got 'windy'"):
        SceneVariant("windy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"difficulty should be one of .*, got 'easy'"):
        SceneVariant("still", "easy")  # type: ignore[arg-type]


# Living


@pytest.mark.parametrize("variant", [CALM, LIVELY, SceneVariant("lively", "hard")])
def test_residue_is_a_function_of_stage_and_frame_alone(variant: SceneVariant) -> None:
    stage, clip = living("duck", 3, variant)
    again = render(make_stage("duck", "train", 3, variant), None, size=SIZE, frames=6)
    other = render(stage, stage.actions[1], size=SIZE, frames=6)
    outside = ~(clip.mask | other.mask).any(axis=0)
    outside &= np.abs(clip.frames.astype(int) - other.frames).max(axis=(0, 3)) == 0
    longer = render(stage, None, size=SIZE, frames=9)
    assert np.array_equal(again.frames, longer.frames[:6])
    # Compression works in blocks, so only blocks that no sentence touches are compared.
    assert outside.mean() > 0.2
    assert np.array_equal(clip.frames[:, outside], again.frames[:, outside])


@pytest.mark.parametrize("scenario", ["bird", "bulbs", "fish"])
@pytest.mark.parametrize("variant", [CALM, LIVELY])
def test_every_sentence_of_a_living_picture_starts_from_it(
    scenario: str, variant: SceneVariant
) -> None:
    stage = make_stage(scenario, "eval", 0, variant)
    picture = first_image(stage, SIZE)
    for action in stage.actions:
        assert np.array_equal(render(stage, action, size=SIZE, frames=4).frames[0], picture)


def test_a_living_clip_is_never_still_and_a_lively_one_moves_more_than_a_calm_one() -> None:
    moved = {}
    for variant in (STANDARD, CALM, LIVELY):
        frames = [render(make_stage(name, "train", 1, variant), None, size=SIZE, frames=6).frames
                  for name in sorted(SCENARIOS)]
        moved[variant] = np.mean([np.abs(np.diff(f.astype(float), axis=0)).mean() for f in frames])
    assert moved[STANDARD] == 0
    assert 0.1 < moved[CALM] < 0.7 * moved[LIVELY]


def test_mask_and_flow_of_what_the_sentence_moves_stay_exact_under_residue() -> None:
    """Inside what is shifted the flow differs from the still clip's by the step of the shake."""
    for scenario, seed in product(("balloons", "car"), range(4)):
        stage, clip = living(scenario, seed)
        bare = make_stage(scenario, "train", seed)
        still = render(bare, bare.actions[0], size=SIZE, frames=6, with_flow=True)
        assert clip.flow is not None
        assert still.flow is not None
        step = np.diff(shake(stage.background_seed, 6, LEVELS["lively"].shake), axis=0) * SIZE
        both = clip.mask & still.mask
        assert both.sum() > 0.8 * (clip.mask | still.mask).sum()
        for f in range(5):
            inside = cv2.erode(both[f].astype(np.uint8), np.ones((3, 3))) > 0
            assert inside.any()
            assert np.allclose(clip.flow[f][:, inside] - still.flow[f][:, inside],
                               step[f][:, None], atol=1e-3)


def test_the_mask_of_the_residue_holds_what_moves_unnamed_and_never_what_is_named() -> None:
    unnamed = 0.0
    for scenario, seed in product(sorted(SCENARIOS), range(2)):
        _, clip = living(scenario, seed)
        assert clip.flow_valid is not None
        assert not (clip.residue & clip.mask).any()
        ground = clip.residue & ~clip.objects
        assert not clip.flow_valid[ground[:-1]].any()
        unnamed += (clip.residue & clip.objects).mean()
    assert unnamed > 0


# Hard


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_hard_movers_reach_one_percent_of_the_picture_and_the_usual_size(scenario: str) -> None:
    areas = []
    for seed in range(12):
        stage = make_stage(scenario, "train", seed, HARD)
        clips = (render(stage, action, size=64, frames=6, supersample=2)
                 for action in stage.actions)
        areas.append(min(clip.mask.mean(axis=(1, 2)).max() for clip in clips))
    assert 0.006 < min(areas) < 0.022
    assert max(areas) > 1.4 * min(areas)


def test_a_hard_stage_is_the_standard_one_with_other_sizes() -> None:
    for scenario in SCENARIOS:
        hard, standard = (make_stage(scenario, "eval", 3, v) for v in (HARD, STANDARD))
        assert [a.sentence for a in hard.actions] == [a.sentence for a in standard.actions]
        assert (hard.background, hard.colour) == (standard.background, standard.colour)
        assert list(hard.actors) == list(standard.actors)


def test_hard_backgrounds_have_texture_where_the_others_are_flat() -> None:
    for name in ("bird", "fish", "golf"):
        plain, hard = (first_image(make_stage(name, "train", 0, variant), 64).astype(float)
                       for variant in (STANDARD, HARD))
        rough = [np.abs(np.diff(picture, axis=1)).mean() for picture in (plain, hard)]
        assert rough[1] > 1.2 * rough[0], name


def test_hard_scenery_is_no_longer_flat_and_moves_with_the_camera() -> None:
    road = (slice(26, 40), slice(28, 31))
    plain, hard = (first_image(make_stage("car", "train", 1, v), 64)[road].astype(float)
                   for v in (STANDARD, HARD))
    assert plain.std(axis=(0, 1)).max() == 0
    assert hard.std(axis=(0, 1)).min() > 1
    stage = make_stage("car", "train", 1, HARD)
    panned = render(stage, None, size=64, frames=3, camera="left")
    shifted = panned.frames[2][road[0], 28 + round(64 * TRAVEL) : 31 + round(64 * TRAVEL)]
    assert np.abs(shifted - panned.frames[0][road].astype(float)).mean() < 3


def test_a_hard_picture_shows_the_same_place_at_every_size() -> None:
    for name in ("bird", "golf", "bulbs"):
        stage = make_stage(name, "train", 2, HARD)
        small, large = (first_image(stage, size).astype(float) for size in (64, 128))
        assert np.abs(large.reshape(64, 2, 64, 2, 3).mean(axis=(1, 3)) - small).mean() < 12


# Newcomers


@pytest.mark.parametrize("scenario", ["bird", "butterfly", "fish", "volcano"])
def test_the_colour_of_a_newcomer_is_named_and_is_the_one_that_is_drawn(scenario: str) -> None:
    for seed in range(8):
        stage = make_stage(scenario, "train", seed)
        (action,) = (a for a in stage.actions if kind_of(a) == ENTERS)
        named = set(action.sentence.replace(",", "").split()) & set(PALETTE)
        assert named == {action.facts[1]}
        for text in action.paraphrases:
            assert named == set(text.replace(",", "").split()) & set(PALETTE)
        clip = render(stage, action, size=64, frames=5)
        colours = clip.frames[3][clip.mask[3]].astype(float)
        nearest = [min(PALETTE, key=lambda c: np.square(np.array(PALETTE[c]) - rgb).sum())
                   for rgb in colours]
        assert max(set(nearest), key=nearest.count) in named


# The commands and what they write


def test_living_pairs_are_scored_with_their_own_residue() -> None:
    pairs = eval_pairs(6, SIZE, LIVELY)
    truths = {pair: truth_of(pair.stage(), size=SIZE) for pair in pairs}
    for pair, truth in truths.items():
        assert np.array_equal(truth.still, pair.image())
        assert np.array_equal(truth.clips[pair.action][0], truth.still)
    scored = score(((pair, truths[pair].clips[pair.action]) for pair in pairs), pairs)
    assert all(s.follows == 1 for s in scored.scores["made"])
    assert all(s.stands_still == 1 for s in scored.scores["still image"])


def test_exported_and_prepared_clips_are_those_of_the_variant(tmp_path: Path) -> None:
    variant = SceneVariant("lively", "hard")
    settings = DatasetSettings(clips=2, split="train", size=SIZE, frames=4, seed=5,
                               camera="static", truth=True, lossless=True, variant=variant)
    list(export_dataset(tmp_path, settings))
    source = SceneClips(2, "train", SIZE, 4, 5, variant)
    for index in range(2):
        made = recipe(index, "train", 5, "static", variant)
        clip = render(made.stage, made.action, size=SIZE, frames=4)
        assert np.array_equal(read_video(tmp_path / f"videos/{index:06d}").frames, clip.frames)
        assert np.array_equal(source[index].frames, clip.frames)
        with np.load(tmp_path / f"truth/{index:06d}.npz") as truth:
            assert np.array_equal(truth["residue"], clip.residue)
    with pytest.raises(ValueError, match="background 'lively'"):
        list(export_dataset(tmp_path, DatasetSettings(**{**vars(settings), "variant": STANDARD})))
    assert BenchmarkSettings(3, SIZE, True) == BenchmarkSettings(3, SIZE, True, STANDARD)


def test_a_level_without_a_living_background_is_refused(tmp_path: Path) -> None:
    arguments = ["scenes", "preview", "fish", "-o", str(tmp_path / "fish.png"), "--size", "16"]
    refused = CliRunner().invoke(cli, [*arguments, "--level", "calm"])
    assert refused.exit_code == 2
    assert "--level goes with --background living" in refused.output
    for options in (["--background", "living"], ["--difficulty", "hard"]):
        done = CliRunner().invoke(cli, [*arguments, *options])
        assert done.exit_code == 0, done.output


def test_half_of_an_autoencoders_clips_are_of_the_variant_and_half_are_standard() -> None:
    settings = replace(BUNDLED_AUTOENCODER, size=SIZE, batch=8)
    plain, mixed = (SceneFrames(replace(settings, variant=v))[3].numpy() for v in (STANDARD, HARD))
    assert plain.shape == mixed.shape == (8, 3, SIZE, SIZE)
    differs = np.abs(plain - mixed).reshape(4, -1).max(axis=1) > 0
    assert differs.tolist() == [True, False, True, False]


@pytest.mark.parametrize(("option", "value", "message"), [
    ("--size", "20", "should divide by 8, got 20"),
    ("--device", "cuda:99", "should be one of this machine's"),
])  # fmt: skip
def test_an_autoencoder_that_cannot_be_trained_is_refused_and_nothing_is_written(
    tmp_path: Path, option: str, value: str, message: str
) -> None:
    refused = CliRunner().invoke(cli, ["base", "-o", str(tmp_path / "base"), option, value])
    assert refused.exit_code == 2
    assert message in refused.output
    assert not (tmp_path / "base").exists()
