"""Fidelity and motion of videos of synthetic scenes, and which videos are scored."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import pytest
from true_videos import SMALL, true_videos, truth

from motifocal.metrics import psnr, ssim
from motifocal.scenes.evaluation.evaluate import EvalPair, Frames, fit, judge, score, truth_of
from motifocal.scenes.evaluation.report import summarise, to_json, to_markdown
from motifocal.scenes.stage import make_stage


def test_psnr_has_its_textbook_value_and_a_ceiling() -> None:
    grey = np.full((16, 16, 3), 100, np.uint8)
    assert psnr(grey, grey + 5) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(grey, grey) == pytest.approx(10 * math.log10(255**2 * 12))


def test_ssim_equals_its_definition_in_one_window() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (2, 11, 11, 3), dtype=np.uint8)
    place = np.arange(11) - 5
    kernel = np.exp(-(place[:, None] ** 2 + place**2) / (2 * 1.5**2))
    kernel = (kernel / kernel.sum())[..., None]
    x, y = a.astype(float), b.astype(float)
    mx, my = (x * kernel).sum((0, 1)), (y * kernel).sum((0, 1))
    vx, vy = ((x - mx) ** 2 * kernel).sum((0, 1)), ((y - my) ** 2 * kernel).sum((0, 1))
    cov = ((x - mx) * (y - my) * kernel).sum((0, 1))
    c1, c2 = 6.5025, 58.5225
    expected = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    assert ssim(a, b) == pytest.approx(expected.mean(), abs=1e-9)


def test_ssim_is_one_for_equals_symmetric_and_falls_with_blur() -> None:
    a, b = (make_stage(name, "eval", 0) for name in ("fish", "car"))
    one, two = (truth_of(stage, size=SMALL).still for stage in (a, b))
    assert ssim(one, one) == pytest.approx(1)
    assert ssim(one, two) == pytest.approx(ssim(two, one))
    assert ssim(one, two) < 0.6
    with pytest.raises(ValueError, match="11 or more"):
        ssim(one[:8], one[:8])


def test_motion_tells_standing_still_from_moving_wrongly(pairs: list[EvalPair]) -> None:
    true = truth(pairs[0])
    assert judge(true.stands_still(), true, 0).motion == 0
    assert judge(true.clips[0], true, 0).motion == pytest.approx(1)
    wrong = judge(true.clips[1], true, 0)
    assert wrong.follows == 0
    assert wrong.stands_still == 0
    assert wrong.motion > 0.5


def test_errors_inside_the_moving_region_are_in_levels_of_the_true_clip(
    pairs: list[EvalPair],
) -> None:
    true = truth(pairs[0])
    exact = judge(true.clips[0], true, 0)
    assert (exact.moving_error, exact.colour_error) == (0, 0)
    made = true.clips[0].astype(int)
    made[:, true.region] += np.where(made[:, true.region] > 127, -10, 10)
    shifted = judge(made.astype(np.uint8), true, 0)
    assert shifted.moving_error == pytest.approx(10)
    assert 0 < shifted.colour_error <= 10


def test_the_colour_error_is_of_the_pixels_that_move_and_not_of_their_places(
    pairs: list[EvalPair],
) -> None:
    true = truth(pairs[0])
    (clip, mask), noise = (true.clips[0], true.masks[0]), np.random.default_rng(0)
    made = clip.copy()
    for frame, inside in zip(made, mask, strict=True):
        frame[inside] = noise.permutation(frame[inside])
        frame[~inside] = 0
    assert judge(made, true, 0).colour_error == pytest.approx(0, abs=1e-9)
    made[mask] = np.clip(clip[mask].astype(int) // 2, 0, 255)
    assert judge(made, true, 0).colour_error > 5


def test_fidelity_is_about_the_first_frame_alone(pairs: list[EvalPair]) -> None:
    true = truth(pairs[0])
    made = true.clips[0].copy()
    made[1:] = 0
    assert judge(made, true, 0).psnr == pytest.approx(10 * math.log10(255**2 * 12))
    assert judge(made, true, 0).ssim == pytest.approx(1)


def test_other_sizes_and_lengths_are_fitted(pairs: list[EvalPair]) -> None:
    some = pairs[:8]

    def larger() -> Iterator[tuple[EvalPair, Frames]]:
        for pair in some:
            clip = truth(pair).clips[pair.action]
            big = clip[np.repeat(np.arange(16), 2)].repeat(3, axis=1).repeat(3, axis=2)
            yield pair, np.pad(big, ((0, 0), (0, 0), (21, 21), (0, 0)))

    made = score(larger(), some).scores["made"]
    assert all(s.follows == 1 for s in made)
    assert all(s.psnr > 40 for s in made)


def test_fitting_keeps_the_first_and_the_last_frame() -> None:
    frames = np.arange(25, dtype=np.uint8)[:, None, None, None].repeat(16, 1).repeat(20, 2)
    fitted = fit(frames.repeat(3, 3), 16, 16)
    assert fitted.shape == (16, 16, 16, 3)
    assert (fitted[0, 0, 0, 0], fitted[-1, 0, 0, 0]) == (0, 24)
    with pytest.raises(ValueError, match="got"):
        fit(frames[0], 16, 16)


def test_a_missing_video_is_refused_or_listed_but_never_averaged_away(
    pairs: list[EvalPair],
) -> None:
    some = pairs[:8]
    held = list(true_videos(some[:5]))
    with pytest.raises(ValueError, match=f"3 of 8 videos are missing: {some[5].file()}"):
        score(held, some)
    partial = summarise(score(held, some, allow_missing=True))
    assert partial.scored.missing == tuple(pair.file() for pair in some[5:])
    assert partial.groups[0].pairs == 5
    assert not partial.complete
    content = json.loads(to_json(partial))
    assert content["complete"] is False
    assert content["missing"] == [pair.file() for pair in some[5:]]
    assert "INCOMPLETE: 3 of 8" in to_markdown(partial)
    assert all(pair.file() in to_markdown(partial) for pair in some[5:])


def test_no_video_at_all_is_refused_in_any_case(pairs: list[EvalPair]) -> None:
    with pytest.raises(ValueError, match="8 of 8"):
        score([], pairs[:8], allow_missing=True)


def test_a_video_that_comes_twice_or_belongs_to_no_pair_is_refused(pairs: list[EvalPair]) -> None:
    videos = list(true_videos(pairs[:4]))
    with pytest.raises(ValueError, match="came twice"):
        score([*videos, videos[0]], pairs[:4])
    with pytest.raises(ValueError, match="none of the pairs"):
        score(videos, pairs[:3])


def test_further_reference_videos_are_scored_on_the_same_pairs(pairs: list[EvalPair]) -> None:
    backwards = {"backwards": lambda true, action: true.clips[action][::-1]}
    made = score(true_videos(pairs[:4]), pairs[:4], references=backwards)
    assert list(made.scores) == ["made", "backwards"]
    assert len(made.scores["backwards"]) == 4
