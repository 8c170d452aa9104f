"""A plan's hours, cost and power are what a study of that size turns out to have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from motifocal.study.design import Design, Truth
from motifocal.study.plan import design_effect, plan
from motifocal.study.shares import preference_test, vote_share
from motifocal.study.signflip import sign_flip
from motifocal.study.simulate import draw

SIZES = np.bincount(Design().pictures[1]).tolist()


def correlations(truth: Truth) -> tuple[float, float]:
    """Of two votes on one pair, and on two pairs of one picture: share 0.5, by quadrature."""
    nodes, weight = np.polynomial.hermite_e.hermegauss(61)
    weight = weight / weight.sum()
    by_picture = special.expit(truth.picture_sd * nodes[:, None] + truth.pair_sd * nodes) @ weight
    whole = special.expit(np.hypot(truth.picture_sd, truth.pair_sd) * nodes)
    return float(weight @ whole**2 - 0.25) * 4, float(weight @ by_picture**2 - 0.25) * 4


def test_a_plan_counts_judgements_hours_and_cost() -> None:
    found = plan(320, 9, 5, wage=10, seconds_per_judgement=30, gold=0.1)
    assert found.judgements == 14_400
    assert found.gold_judgements == 1_440
    assert found.hours == pytest.approx(132)
    assert found.cost == pytest.approx(1320)


def test_independent_votes_have_no_design_effect() -> None:
    assert design_effect([4, 4], 5, 0, 0) == 1
    assert design_effect([1, 1, 1], 1, 0.5, 0.3) == 1
    assert design_effect([1, 1, 1], 5, 1, 0) == 5  # five votes that always agree are one
    assert design_effect([4] * 9, 5, 1, 1) == 20
    assert design_effect([2, 6], 1, 0.5, 0.5) > design_effect([4, 4], 1, 0.5, 0.5)


def test_the_default_correlations_are_those_of_the_default_simulation() -> None:
    pair, picture = correlations(Truth(shares=(0.5,)))
    assert pair == pytest.approx(0.15, abs=0.005)
    assert picture == pytest.approx(0.05, abs=0.005)


@pytest.mark.slow
def test_the_planned_power_and_error_are_those_of_simulated_studies() -> None:
    truth = Truth(shares=(0.56,))
    pair, picture = correlations(truth)
    found = plan(320, 4, 5, true_share=0.56, sizes=SIZES,
                 pair_correlation=pair, picture_correlation=picture)  # fmt: skip
    rng, p, shares = np.random.default_rng(2), [], []
    for _ in range(800):
        drawn = draw(Design(), truth, rng).tally()
        p.append(preference_test(drawn).p)
        shares.append(drawn.outcomes[:, 0].sum() / drawn.outcomes.sum())
    assert np.std(shares) == pytest.approx(found.standard_error, rel=0.1)
    assert np.mean(np.array(p) <= 0.05 / 4) == pytest.approx(found.power[0], abs=0.05)
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(found.power[1], abs=0.05)


def test_the_smallest_share_is_where_the_test_turns_significant() -> None:
    pictures, tests = 60, 4
    found = plan(pictures, tests, 1, pictures=pictures)
    for share, level in zip(found.smallest_share, (0.05 / tests, 0.05), strict=True):
        won = next(won for won in range(pictures // 2, pictures)
                   if sign_flip([1] * won + [-1] * (pictures - won)).p <= level)  # fmt: skip
        assert won / pictures == pytest.approx(share, abs=1.5 / pictures)


def test_a_share_that_can_be_detected_has_the_power_wanted() -> None:
    found = plan()
    for place in (0, 1):
        again = plan(true_share=found.detectable_share[place])
        assert again.power[place] == pytest.approx(0.8, abs=1e-6)
    assert 0.5 < found.smallest_share[1] < found.smallest_share[0] < found.detectable_share[0]


def test_more_models_cost_power_and_more_pictures_bring_it() -> None:
    assert plan(models=9, true_share=0.56).power[0] < plan(models=2, true_share=0.56).power[0]
    spread = plan(pictures=320, true_share=0.56)
    assert spread.design_effect < plan().design_effect
    assert spread.power[0] > plan(true_share=0.56).power[0]
    assert plan(true_share=0.44).power == pytest.approx(plan(true_share=0.56).power)


def test_with_a_handful_of_pictures_nothing_can_be_significant() -> None:
    found = plan(pairs=16, pictures=4, models=9)
    assert np.isnan(found.smallest_share[0])
    assert np.isnan(found.power[0])
    assert sign_flip([20, 20, 20, 20]).p > 0.05 / 9


def test_the_default_design_effect_is_that_of_the_simulated_studies() -> None:
    effect = plan(sizes=SIZES).design_effect
    covered = 1 - 2 * stats.norm.sf(1.96 / np.sqrt(effect))
    assert covered == pytest.approx(0.81, abs=0.015)  # as an interval over votes does, measured
    share = vote_share(draw(Design(), Truth(), np.random.default_rng(0)).tally())
    assert (share.high - share.low) / 2 == pytest.approx(1.96 * plan().standard_error, rel=0.2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pairs": 0}, "pairs should be at least 1"),
        ({"models": 0}, "models should be at least 1"),
        ({"votes": 0}, "votes should be at least 1"),
        ({"wage": -1}, "wage should be at least 0"),
        ({"gold": -0.1}, "gold should be at least 0"),
        ({"seconds_per_judgement": float("nan")}, "seconds_per_judgement"),
        ({"true_share": 1.0}, "true_share and level"),
        ({"sizes": [2, 2]}, "add up to 320"),
        ({"sizes": [320, 0]}, "at least 1"),
        ({"pair_correlation": 0.1, "picture_correlation": 0.2}, "correlations should be"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(plan(**options))
