"""Synthetic scenes: stages, prompts, splits, sizes, and what never moves."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_scenes import NAMES, stages
from grown_masks import grown

from motifocal.scenes.render import CAMERA_WORDS, SceneClip, first_image, render
from motifocal.scenes.stage import SCENARIOS, is_held_out, make_stage
from motifocal.scenes.world import Action, Stage

#: Glows, halos, shadows, and tips thinner than half a pixel are in no mask: outside it a frame may
#: differ from the next by more than this many levels, but only in this share of the picture.
STILL_LEVELS, STILL_SHARE, LIT_SHARE = 16, 0.002, 0.07
LIT = ("bulbs", "candle", "sun", "traffic_light", "volcano")


def test_the_same_seed_gives_the_same_bytes() -> None:
    for name in NAMES:
        one, two = (render((stage := make_stage(name, "train", 5)), stage.actions[0],
                           with_flow=True) for _ in range(2))
        assert one.flow is not None
        assert two.flow is not None
        assert one.frames.tobytes() == two.frames.tobytes()
        assert one.mask.tobytes() == two.mask.tobytes()
        assert one.flow.tobytes() == two.flow.tobytes()
        assert one.caption == two.caption


def test_another_seed_or_split_gives_another_picture() -> None:
    for name in NAMES:
        pictures = [first_image(make_stage(name, split, seed)).tobytes()  # type: ignore[arg-type]
                    for split in ("train", "eval") for seed in range(4)]
        assert len(set(pictures)) == 8


def test_there_are_many_scenarios_with_three_to_five_sentences_each() -> None:
    assert len(SCENARIOS) >= 12
    for stage in stages("train", range(3)):
        sentences = [action.sentence for action in stage.actions]
        assert 3 <= len(sentences) <= 5
        assert len(set(sentences)) == len(sentences)


def test_the_sentences_of_a_picture_mean_different_things() -> None:
    for split in ("train", "eval"):
        for stage in stages(split, range(12)):
            facts = [action.facts for action in stage.actions]
            assert len(set(facts)) == len(facts)


def test_paraphrases_say_nothing_that_another_sentence_of_the_picture_says() -> None:
    for stage in stages("train", range(6)):
        told = [text for a in stage.actions for text in {a.sentence, *a.paraphrases}]
        assert len(set(told)) == len(told)


def test_training_never_draws_a_held_out_combination() -> None:
    for stage in stages("train", range(60)):
        assert not is_held_out(stage.scenario, stage.colour, stage.background)


def test_every_other_evaluation_picture_is_held_out() -> None:
    for seed in range(6):
        for stage in stages("eval", range(seed, seed + 1)):
            held_out = is_held_out(stage.scenario, stage.colour, stage.background)
            assert held_out == (seed % 2 == 1)


def test_training_and_evaluation_share_no_picture() -> None:
    for name in NAMES:
        train, held = ({first_image(make_stage(name, split, seed), 32).tobytes()  # type: ignore[arg-type]
                        for seed in range(6)} for split in ("train", "eval"))
        assert not train & held


def test_all_combinations_can_occur_but_the_held_out_ones_in_training() -> None:
    for name, rule in SCENARIOS.items():
        every = {(c, b) for c in rule.colours for b in rule.backgrounds}
        held = {pair for pair in every if is_held_out(name, *pair)}
        pictures = (make_stage(name, "train", seed) for seed in range(260))
        drawn = {(stage.colour, stage.background) for stage in pictures}
        assert held
        assert drawn == every - held


def test_an_unknown_scenario_or_split_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scenario should be one of .* got 'dragon'"):
        make_stage("dragon", "train", 0)
    with pytest.raises(ValueError, match=r"split should be one of .* got 'test'"):
        make_stage("fish", "test", 0)  # type: ignore[arg-type]


def test_frame_0_is_the_picture_whatever_the_sentence_and_the_camera() -> None:
    for stage in stages("eval", range(2)):
        picture = first_image(stage)
        for action in stage.actions:
            assert np.array_equal(render(stage, action).frames[0], picture)
    stage = make_stage("car", "eval", 0)
    resting = first_image(stage).astype(int)
    for camera in CAMERA_WORDS:
        moved = render(stage, stage.actions[0], camera=camera).frames[0].astype(int)
        assert np.abs(moved - resting).max() <= 1


def test_the_still_clip_does_not_move() -> None:
    for stage in stages("train", range(1)):
        clip = render(stage, None, with_flow=True)
        assert clip.flow is not None
        assert np.array_equal(clip.frames, np.repeat(clip.frames[:1], 16, axis=0))
        assert not clip.mask.any()
        assert not clip.flow.any()


def test_what_the_mask_leaves_out_hardly_changes(
    still_camera: list[tuple[Stage, Action, SceneClip]],
) -> None:
    for stage, action, clip in still_camera:
        share = LIT_SHARE if stage.scenario in LIT else STILL_SHARE
        for f in range(len(clip.frames) - 1):
            outside = ~grown(clip.mask[f] | clip.mask[f + 1])
            change = np.abs(np.diff(clip.frames[f : f + 2].astype(int), axis=0)).max(axis=(0, -1))
            assert np.mean((change > STILL_LEVELS) & outside) <= share, (action.sentence, f)


def test_what_neither_glows_nor_casts_shadows_leaves_the_rest_exactly_as_it_was() -> None:
    for name in ("flower", "balance"):
        stage = make_stage(name, "train", 0)
        clip = render(stage, stage.actions[0])
        outside = ~grown(clip.mask.any(axis=0))
        assert outside.mean() > 0.4
        assert (clip.frames[:, outside] == clip.frames[0, outside]).all()


def test_every_sentence_moves_something(
    still_camera: list[tuple[Stage, Action, SceneClip]],
) -> None:
    for _, action, clip in still_camera:
        assert clip.mask.any(axis=(1, 2)).sum() >= 4, action.sentence
        inside = clip.frames[:, clip.mask.any(axis=0)].astype(float)
        assert np.abs(inside - inside[:1]).max() > 40, action.sentence


def test_captions_tell_what_the_camera_does() -> None:
    stage = make_stage("duck", "train", 0)
    for camera, words in CAMERA_WORDS.items():
        told = render(stage, stage.actions[0], camera=camera, frames=2).caption
        assert told == stage.actions[0].sentence + words


def test_a_larger_picture_shows_the_same_place() -> None:
    for stage in stages("eval", range(1)):
        small, large = first_image(stage, 64), first_image(stage, 192)
        reduced = cv2.resize(large, (64, 64), interpolation=cv2.INTER_AREA)
        assert np.abs(reduced.astype(float) - small).mean() < 4


def test_the_length_does_not_change_the_path() -> None:
    stage = make_stage("golf", "train", 2)
    short, long = (render(stage, stage.actions[0], frames=n).frames for n in (6, 16))
    assert np.array_equal(short, long[::3])


def test_sizes_and_lengths_that_cannot_be_drawn_are_refused() -> None:
    stage = make_stage("golf", "train", 0)
    with pytest.raises(ValueError, match="got 8 and 16"):
        render(stage, None, size=8)
    with pytest.raises(ValueError, match="got 64 and 1"):
        render(stage, None, frames=1)


def test_what_moves_is_part_of_the_objects_and_a_still_picture_has_objects_too() -> None:
    stage = make_stage("balloons", "train", 0)
    clip = render(stage, stage.actions[0])
    assert clip.mask.any()
    assert not (clip.mask & ~clip.objects).any()
    still = render(stage, None)
    assert not still.mask.any()
    assert np.array_equal(still.objects[0], clip.objects[0])
