"""Synthetic scenes: stages, sentences, splits, and what is true of a rendered clip."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from motifocal.scenes.render import (
    CAMERA_WORDS,
    TRAVEL,
    ZOOM,
    SceneClip,
    first_image,
    render,
)
from motifocal.scenes.stage import SCENARIOS, is_held_out, make_stage
from motifocal.scenes.world import Action, Stage

NAMES = sorted(SCENARIOS)
#: Glows, halos, shadows, and tips thinner than half a pixel are in no mask: outside it a frame may
#: differ from the next by more than this many levels, but only in this share of the picture.
STILL_LEVELS, STILL_SHARE, LIT_SHARE = 16, 0.002, 0.07
LIT = ("bulbs", "candle", "sun", "traffic_light", "volcano")


def stages(split: str, seeds: range) -> list[Stage]:
    return [make_stage(name, split, seed) for name in NAMES for seed in seeds]  # type: ignore[arg-type]


def clips(seeds: range, **options: object) -> list[tuple[Stage, Action, SceneClip]]:
    return [(stage, action, render(stage, action, with_flow=True, **options))  # type: ignore[arg-type]
            for stage in stages("train", seeds) for action in stage.actions]


@pytest.fixture(scope="module")
def still_camera() -> list[tuple[Stage, Action, SceneClip]]:
    return clips(range(1))


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


def test_true_flow_carries_each_frame_onto_the_next(
    still_camera: list[tuple[Stage, Action, SceneClip]],
) -> None:
    errors, without = [], []
    for _, action, clip in still_camera:
        assert clip.flow is not None
        steps = [(f, seen) for f in range(15) if (seen := followed(clip, f)).sum() >= 12]
        for f, seen in steps:
            picture, following = clip.frames[f].astype(np.float32), clip.frames[f + 1]
            errors.append(np.abs(warped(following, clip.flow[f]) - picture)[seen].mean())
            without.append(np.abs(following - picture)[seen].mean())
        if steps:
            # Squeezed wings and tyres two pixels wide cannot be fetched any better at this size.
            error, still = (np.mean(values[-len(steps):]) for values in (errors, without))
            assert error < max(9, 0.3 * still), action.sentence
    assert len(errors) > 300
    assert np.mean(errors) < 3.5
    assert np.mean(errors) < 0.2 * np.mean(without)


def test_flow_is_exactly_zero_where_nothing_moves(
    still_camera: list[tuple[Stage, Action, SceneClip]],
) -> None:
    for _, action, clip in still_camera:
        assert clip.flow is not None
        for f in range(len(clip.flow)):
            # A pixel belongs to an object by its centre in the flow, by half its area in the mask.
            moving = grown(clip.mask[f])
            stray = (np.abs(clip.flow[f]).max(axis=0) > 1e-6) & ~moving
            assert stray.sum() <= 1, (action.sentence, f)


def test_a_pan_moves_the_background_uniformly_and_masks_nothing() -> None:
    stage = make_stage("balloons", "train", 0)
    step = TRAVEL * 64 / 15
    expected = {"left": (step, 0), "right": (-step, 0), "up": (0, step), "down": (0, -step)}
    for camera, (x, y) in expected.items():
        clip = render(stage, None, camera=camera, with_flow=True)  # type: ignore[arg-type]
        assert clip.flow is not None
        assert np.allclose(clip.flow[:, 0], x, atol=1e-4)
        assert np.allclose(clip.flow[:, 1], y, atol=1e-4)
        assert not clip.mask.any()
        inner = np.s_[8:-8, 8:-8]
        error = np.abs(warped(clip.frames[4], clip.flow[3]) - clip.frames[3])[inner].mean()
        still = np.abs(clip.frames[4].astype(float) - clip.frames[3])[inner].mean()
        assert error < 0.5 * still


def test_a_zoom_moves_the_background_away_from_the_centre() -> None:
    clip = render(make_stage("fish", "train", 0), None, camera="in", with_flow=True)
    assert clip.flow is not None
    place = np.arange(64) + 0.5 - 32
    growth = ZOOM ** (1 / 15) - 1
    assert np.allclose(clip.flow[:, 0], place[None, :] * growth, atol=1e-4)
    assert np.allclose(clip.flow[:, 1], place[:, None] * growth, atol=1e-4)


def test_the_object_moves_against_the_camera_in_a_moving_camera_flow() -> None:
    stage = make_stage("balloons", "train", 1)
    action = stage.actions[0]
    rest, panned = (render(stage, action, camera=camera, with_flow=True)  # type: ignore[arg-type]
                    for camera in ("static", "left"))
    assert rest.flow is not None
    assert panned.flow is not None
    both = rest.mask[0] & panned.mask[0]
    pan = np.array([TRAVEL * 64 / 15, 0])
    assert np.allclose(panned.flow[0][:, both].T, rest.flow[0][:, both].T + pan, atol=1e-3)


def test_captions_tell_what_the_camera_does() -> None:
    stage = make_stage("duck", "train", 0)
    for camera, words in CAMERA_WORDS.items():
        told = render(stage, stage.actions[0], camera=camera, frames=2).caption
        assert told == stage.actions[0].sentence + words


def test_an_object_seen_edge_on_has_no_flow_and_does_not_crash() -> None:
    """With an odd number of frames what turns around is a line in the middle frame."""
    for seed in range(6):
        for name in ("fish", "duck"):
            stage = make_stage(name, "train", seed)
            turn = next(action for action in stage.actions if action.facts[2] == "turn")
            clip = render(stage, turn, frames=17, with_flow=True)
            assert clip.flow is not None
            assert clip.flow_valid is not None
            assert np.isfinite(clip.flow).all()
            assert np.abs(clip.flow).max() < 16


def test_a_change_of_light_has_no_valid_flow() -> None:
    stage = make_stage("bulbs", "train", 0)
    clip = render(stage, stage.actions[0], with_flow=True)
    assert clip.flow_valid is not None
    assert not clip.flow_valid[0][shrunk(clip.mask[0])].any()
    assert clip.flow_valid[0][~grown(clip.mask[0])].all()
    assert clip.flow_valid[-1].all()  # by then the bulb is as bright as it gets


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


def grown(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The mask and one pixel around it."""
    return cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def shrunk(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0


def targets(flow: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], ...]:
    rows, columns = np.mgrid[: flow.shape[1], : flow.shape[2]].astype(np.float32)
    return columns + flow[0], rows + flow[1]


def warped(
    picture: npt.NDArray[np.uint8], flow: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """The next picture, fetched from where each pixel goes."""
    x, y = targets(flow)
    return np.asarray(cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LINEAR,
                                borderMode=cv2.BORDER_REPLICATE), np.float32)


def followed(clip: SceneClip, f: int) -> npt.NDArray[np.bool_]:
    """Moving pixels with valid flow, off the outline, that the next frame shows: neither hidden
    behind something at rest nor outside the picture."""
    assert clip.flow is not None
    assert clip.flow_valid is not None
    x, y = targets(clip.flow[f])
    side = clip.mask.shape[1]
    inside = (x >= 1) & (x <= side - 2) & (y >= 1) & (y <= side - 2)
    # Erosion in steps of one pixel; a pixel that lands near the outline may be half hidden.
    landed = cv2.remap(shrunk(shrunk(clip.mask[f + 1])).astype(np.float32), x, y, cv2.INTER_LINEAR)
    return shrunk(shrunk(clip.mask[f] & clip.flow_valid[f])) & inside & (landed > 0.99)


def test_what_moves_is_part_of_the_objects_and_a_still_picture_has_objects_too() -> None:
    stage = make_stage("balloons", "train", 0)
    clip = render(stage, stage.actions[0])
    assert clip.mask.any()
    assert not (clip.mask & ~clip.objects).any()
    still = render(stage, None)
    assert not still.mask.any()
    assert np.array_equal(still.objects[0], clip.objects[0])
