"""Which videos follow their prompt: the truth, another prompt's truth, chance."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from true_videos import SMALL, truth

from motifocal.scenes.evaluation.evaluate import (
    EvalPair,
    Frames,
    Scored,
    eval_pairs,
    follows_text,
    judge,
    score,
)
from motifocal.scenes.evaluation.report import summarise
from motifocal.scenes.stage import make_stage


def test_the_truth_always_follows_and_the_still_picture_never(scored: Scored) -> None:
    assert all(s.follows == 1 and s.stands_still == 0 for s in scored.scores["made"])
    assert all(s.follows == 1 for s in scored.scores["truth"])
    assert all(s.follows == 0 and s.stands_still == 1 for s in scored.scores["still image"])


def test_no_two_sentences_of_any_evaluation_picture_look_alike() -> None:
    """At 6 grey levels apart (root mean square over the region), 8-bit rounding cannot mix them."""
    seen = set()
    for pair in eval_pairs(320, SMALL):
        if (pair.scenario, pair.seed) in seen:
            continue
        seen.add((pair.scenario, pair.seed))
        true = truth(pair)
        candidates = [clip[:, true.region].astype(float) for clip in
                      (*true.clips, true.stands_still())]
        for i, one in enumerate(candidates):
            for other in candidates[:i]:
                assert np.sqrt(np.mean((one - other) ** 2)) > 6, pair.image_id


def test_another_sentences_clip_is_found_to_be_that_sentence(pairs: list[EvalPair]) -> None:
    for pair in pairs[:24]:
        true = truth(pair)
        for index, clip in enumerate(true.clips):
            noisy = clip + np.random.default_rng(index).normal(0, 12, clip.shape)
            made = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
            assert follows_text(made, true.clips, true.still, pair.action, true.region) == (
                index == pair.action, index)


def test_what_happens_outside_the_moving_region_does_not_count(pairs: list[EvalPair]) -> None:
    true = truth(pairs[0])
    made = true.clips[0].copy()
    made[:, ~true.region] = 255 - made[:, ~true.region]
    assert follows_text(made, true.clips, true.still, 0, true.region) == (True, 0)
    assert judge(made, true, 0).background_psnr < 20


def test_a_tie_does_not_follow() -> None:
    black = np.zeros((4, 16, 16, 3), np.uint8)
    region = np.ones((16, 16), bool)
    assert follows_text(black, [black, black + 9], black[0], 0, region) == (False, 0)
    assert follows_text(black, [black, black + 9], black[0] + 5, 0, region) == (True, 0)


def test_shapes_that_do_not_fit_are_refused() -> None:
    clip, region = np.zeros((4, 16, 16, 3), np.uint8), np.ones((16, 16), bool)
    for truths, still, asked, where in (
        ([clip[:3]], clip[0], 0, region), ([clip], clip[0, :8], 0, region),
        ([clip], clip[0], 1, region), ([clip], clip[0], 0, region[:8]),
        ([clip], clip[0], 0, np.zeros_like(region)),
    ):
        with pytest.raises(ValueError, match="should"):
            follows_text(clip, truths, still, asked, where)


def test_choosing_at_random_scores_chance(pairs: list[EvalPair]) -> None:
    rng = np.random.default_rng(0)

    def random_choice() -> Iterator[tuple[EvalPair, Frames]]:
        for pair in pairs:
            true = truth(pair)
            candidates = (*true.clips, true.stands_still())
            yield pair, candidates[rng.integers(len(candidates))]

    group = summarise(score(random_choice(), pairs)).groups[0]
    follows = group.measures["made"]["follows"]
    sentences = [len(make_stage(p.scenario, "eval", p.seed).actions) for p in pairs]
    assert group.chance == pytest.approx(np.mean([1 / (n + 1) for n in sentences]))
    assert follows.low < group.chance < follows.high
