"""A plan's hours, cost and power are what a study of that size turns out to have."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from motifocal.study.gold_rule import judged_share, warning
from motifocal.study.protocol import Protocol
from motifocal.study.schedule import GoldPlan
from motifocal.study.stats.compare import preference_test, vote_share
from motifocal.study.stats.power import design_effect, plan
from motifocal.study.stats.signflip import sign_flip
from motifocal.study.stats.simulation import draw
from motifocal.study.stats.simulation_design import Design, Truth

SIZES = np.bincount(Design().pictures[1]).tolist()


def correlations(truth: Truth) -> tuple[float, float]:
    """Of two votes on one pair, and on two pairs of one image: share 0.5, by quadrature."""
    nodes, weight = np.polynomial.hermite_e.hermegauss(61)
    weight = weight / weight.sum()
    by_image = special.expit(truth.picture_sd * nodes[:, None] + truth.pair_sd * nodes) @ weight
    whole = special.expit(np.hypot(truth.picture_sd, truth.pair_sd) * nodes)
    return float(weight @ whole**2 - 0.25) * 4, float(weight @ by_image**2 - 0.25) * 4


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
    pair, image = correlations(Truth(shares=(0.5,)))
    assert pair == pytest.approx(0.15, abs=0.005)
    assert image == pytest.approx(0.05, abs=0.005)


@pytest.mark.slow
def test_the_planned_power_and_error_are_those_of_simulated_studies() -> None:
    truth = Truth(shares=(0.56,))
    pair, image = correlations(truth)
    found = plan(320, 4, 5, true_share=0.56, sizes=SIZES,
                 pair_correlation=pair, image_correlation=image)  # fmt: skip
    rng, p, shares = np.random.default_rng(2), [], []
    for _ in range(800):
        drawn = draw(Design(), truth, rng).tally()
        p.append(preference_test(drawn).p)
        shares.append(drawn.outcomes[:, 0].sum() / drawn.outcomes.sum())
    assert np.std(shares) == pytest.approx(found.standard_error, rel=0.1)
    assert np.mean(np.array(p) <= 0.05 / 4) == pytest.approx(found.power[0], abs=0.05)
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(found.power[1], abs=0.05)


def test_the_smallest_share_is_where_the_test_turns_significant() -> None:
    images, tests = 60, 4
    found = plan(images, tests, 1, images=images)
    for share, level in zip(found.smallest_share, (0.05 / tests, 0.05), strict=True):
        won = next(won for won in range(images // 2, images)
                   if sign_flip([1] * won + [-1] * (images - won)).p <= level)  # fmt: skip
        assert won / images == pytest.approx(share, abs=1.5 / images)


def test_a_share_that_can_be_detected_has_the_power_wanted() -> None:
    found = plan()
    for place in (0, 1):
        again = plan(true_share=found.detectable_share[place])
        assert again.power[place] == pytest.approx(0.8, abs=1e-6)
    assert 0.5 < found.smallest_share[1] < found.smallest_share[0] < found.detectable_share[0]


def test_the_earlier_names_of_arguments_work_with_a_warning() -> None:
    with pytest.warns(DeprecationWarning, match=r"plan\(pictures=...\) is images=... now"):
        before = plan(60, pictures=30)  # type: ignore[call-arg]
    assert before == plan(60, images=30)


def test_more_models_cost_power_and_more_images_bring_it() -> None:
    assert plan(models=9, true_share=0.56).power[0] < plan(models=2, true_share=0.56).power[0]
    spread = plan(images=320, true_share=0.56)
    assert spread.design_effect < plan().design_effect
    assert spread.power[0] > plan(true_share=0.56).power[0]
    assert plan(true_share=0.44).power == pytest.approx(plan(true_share=0.56).power)


def test_with_a_handful_of_images_nothing_can_be_significant() -> None:
    found = plan(pairs=16, images=4, models=9)
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
        ({"pair_correlation": 0.1, "image_correlation": 0.2}, "correlations should be"),
    ],
)
def test_numbers_out_of_range_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(plan(**options))


def judged_by_counting(protocol: Protocol, items: int, annotators: int = 4000) -> float:
    """The share of annotators, with places and kinds drawn, who meet enough gold that counts."""
    judged = 0
    for token in map(str, range(annotators)):
        plan, real, gold = GoldPlan(token, protocol.gold_every), 0, 0
        while real < min(items, protocol.cap):
            is_gold = plan.due(real + gold + 1)
            gold, real = gold + is_gold, real + (not is_gold)
        kinds = list(protocol.gold_kinds)
        random.Random(token).shuffle(kinds)
        met = [kinds[turn % len(kinds)] for turn in range(gold)]
        judged += sum(kind in protocol.gold_counted for kind in met) >= protocol.gold_least
    return judged / annotators


@pytest.mark.parametrize(("items", "settings"), [
    (30, {}), (40, {}), (29, {}), (28, {}), (200, {}), (5, {}), (1, {}), (30, {"gold_every": 6}),
    (30, {"gold_every": 2}), (12, {"gold_every": 4, "cap": 9}), (3, {"gold_least": 1}),
    (40, {"gold_kinds": ("still", "repeat"), "gold_counted": ("still",), "gold_least": 3}),
])  # fmt: skip
def test_so_many_annotators_can_fail_the_rule_for_gold_items(
    items: int, settings: dict[str, Any]
) -> None:
    protocol = Protocol(**settings)
    share = judged_by_counting(protocol, items)
    assert judged_share(protocol, items) == pytest.approx(share, abs=0.03)


def test_a_rule_that_can_exclude_few_is_told_with_what_would_change_it() -> None:
    for few in (warning(Protocol(), 30), warning(Protocol(cap=30), 320)):
        assert few is not None
        assert "can exclude 19% of the annotators: nobody fails before 4 gold items" in few
        assert "in 30 items a person, one comparison in 8 being gold" in few
        assert "; --gold-every 6 or --gold-least 3 changes that" in few
    for good in (Protocol(), Protocol(cap=30, gold_every=6), Protocol(cap=30, gold_least=3)):
        assert warning(good, 320) is None
    assert warning(Protocol(gold_every=0), 3) is None
    none_counts = warning(Protocol(gold_counted=()), 320)
    assert none_counts is not None
    assert "no kind of them counts" in none_counts
