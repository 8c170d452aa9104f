"""Shares of votes and their intervals are right: by hand, by other code, by counting."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from simulated_votes import LEAGUE, VOTES, table, vote
from statsmodels.stats.proportion import proportion_confint

from motifocal.study.stats import intervals
from motifocal.study.stats.agreement import agreement, left_bias
from motifocal.study.stats.compare import (
    compare,
    majority,
    per_scenario,
    preference_test,
    reason_shares,
    tie_share,
    vote_share,
)
from motifocal.study.stats.intervals import (
    BOOTSTRAP,
    EXACT,
    NONE,
    STUDENT,
    Resampling,
    jackknife_error,
    share,
)
from motifocal.study.stats.signflip import holm
from motifocal.study.stats.simulation import simulate
from motifocal.study.stats.simulation_design import Design, Truth
from motifocal.study.stats.tally import comparisons, tally
from motifocal.study.stats.two_way import share_both_ways, two_way_share
from motifocal.study.votes import REASONS, Vote


def test_shares_of_a_few_votes_are_those_counted_by_hand() -> None:
    small = table([("x1", "aaabb"), ("x2", "abbbb"), ("y1", "aaa=="), ("y2", "ab==="),
                   ("z1", "===")])  # fmt: skip
    found = majority(small)
    assert (found.won, found.lost, found.even) == (2, 1, 2)
    assert found.score.value == pytest.approx(3 / 5)
    assert vote_share(small).value == pytest.approx(8 / 15)
    assert vote_share(small, halve_ties=True).value == pytest.approx((8 + 4) / 23)
    assert tie_share(small).value == pytest.approx(8 / 23)
    assert vote_share(small).clusters == 2  # z has no vote for either
    assert majority(small).score.clusters == 3


def test_it_does_not_matter_which_model_is_named_first() -> None:
    turned = [
        Vote(**{**vars(v), "model_a": v.model_b, "model_b": v.model_a,
                "winner": {"model_a": "model_b", "model_b": "model_a", "tie": "tie"}[v.winner],
                "left": "model_b" if v.left == "model_a" else "model_a"})
        for v in VOTES
    ]  # fmt: skip
    here, there = (tally(votes, "ours", "baseline") for votes in (VOTES, turned))
    for name in ("outcomes", "left", "reasons"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))


def test_the_two_models_have_shares_that_mirror_each_other() -> None:
    ours, theirs = tally(VOTES, "ours", "baseline"), tally(VOTES, "baseline", "ours")
    for statistic in (vote_share, lambda each: majority(each).score):
        one, other = statistic(ours), statistic(theirs)
        assert one.value == pytest.approx(1 - other.value)
        # The two quantiles of 2000 resamples are one apart from being each other's mirror image.
        assert (one.low, one.high) == pytest.approx((1 - other.high, 1 - other.low), abs=1e-3)
    assert left_bias(ours).value == pytest.approx(left_bias(theirs).value)
    assert agreement(ours).value == pytest.approx(agreement(theirs).value)


def test_gold_votes_count_nowhere() -> None:
    gold = [vote(gold="still", models=("ours", "still")), vote("model_b", gold="repeat")]
    assert comparisons(gold + VOTES) == [("ours", "baseline")]
    votes = [vote(winner, worker=winner) for winner in ("model_a", "model_b", "model_a")]
    assert vote_share(tally(votes + gold, "ours", "theirs")).value == pytest.approx(2 / 3)


def test_reasons_are_shares_of_the_votes_of_their_side() -> None:
    both, one = (REASONS[0], REASONS[2]), (REASONS[2],)
    votes = [vote(worker="1", reasons=both), vote(worker="2", reasons=one),
             vote("model_b", worker="3", reasons=one)]  # fmt: skip
    found = reason_shares(tally(votes, "ours", "theirs"))
    assert [found["ours"][name].value for name in REASONS] == [0.5, 0, 1, 0]
    assert [found["theirs"][name].value for name in REASONS] == [0, 0, 1, 0]


def test_a_scenario_is_judged_by_its_own_pairs() -> None:
    whole = tally(VOTES, "ours", "baseline")
    found = per_scenario(whole, vote_share)
    assert len(found) == 22
    own = [v for v in VOTES if v.scenario == "place3"]
    assert found["place3"] == vote_share(tally(own, "ours", "baseline"))
    assert found["place3"].method in (STUDENT, EXACT)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (vote("ours"), "winner should be one of"),
        (vote(left="left"), "left should be one of"),
        (vote(reasons=("beauty",)), "reasons should be among"),
        (vote(models=("ours", "other")), "compare 'ours' with 'theirs', got other and ours"),
    ],
)
def test_votes_that_cannot_be_counted_are_refused(bad: Vote, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        tally([bad], "ours", "theirs")


def test_more_votes_on_the_same_pictures_do_not_shorten_the_interval() -> None:
    whole = tally(VOTES, "ours", "baseline")
    won, decided = whole.per_cluster(whole.outcomes[:, 0]), whole.per_cluster(
        whole.outcomes[:, :2].sum(axis=1))  # fmt: skip
    once, often = share(won, decided), share(won * 100, decided * 100)
    assert once.method == BOOTSTRAP
    assert (once.low, once.high) == pytest.approx((often.low, often.high), abs=5e-4)


def test_for_independent_votes_the_interval_is_the_usual_one() -> None:
    won = np.random.default_rng(0).binomial(5, 0.6, 400).astype(float)
    found = share(won, np.full(400, 5.0))
    width = 2 * 1.96 * np.sqrt(found.value * (1 - found.value) / 2000)
    assert found.high - found.low == pytest.approx(width, rel=0.1)


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.random.default_rng(1).normal(size=30)
    sums = np.stack([values, np.ones(30)])
    error = jackknife_error(sums, lambda s: s[0] / s[1])
    assert error == pytest.approx(values.std(ddof=1) / np.sqrt(30))


def test_the_same_seed_gives_the_same_interval_however_it_is_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = tally(VOTES, "ours", "baseline")
    first = agreement(whole, Resampling(seed=1))
    assert agreement(whole, Resampling(seed=2)) != first
    monkeypatch.setattr(intervals, "CHUNK", 1000)
    second = agreement(whole, Resampling(seed=1))
    assert (second.low, second.high) == pytest.approx((first.low, first.high), rel=1e-9)


def test_a_higher_level_gives_a_longer_interval() -> None:
    whole = tally(VOTES, "ours", "baseline")
    low, high = (vote_share(whole, Resampling(level=level)) for level in (0.8, 0.99))
    assert high.low < low.low < low.high < high.high


def test_unanimous_votes_still_have_an_interval_with_pictures_as_the_sample() -> None:
    found = share(np.full(88, 20.0), np.full(88, 20.0))
    expected = proportion_confint(88, 88, method="beta")
    assert (found.value, found.method) == (1, EXACT)
    assert (found.low, found.high) == pytest.approx(expected)
    assert found.low == pytest.approx(0.025 ** (1 / 88))


def test_few_pictures_are_admitted_to_be_few() -> None:
    whole = np.full(6, 20.0)
    found = share(np.array([9.0, 12, 15, 10, 11, 13]), whole)
    assert found.method == STUDENT
    assert found.high - found.low > 0.1
    assert share(np.array([10.0] * 6), whole).method == EXACT  # all alike by chance
    assert share(np.array([12.0]), np.array([20.0])).method == EXACT
    nothing = share(np.zeros(3), np.zeros(3))
    assert (nothing.clusters, nothing.method) == (0, NONE)
    assert np.isnan([nothing.value, nothing.low, nothing.high]).all()


@settings(max_examples=40, deadline=None)
@given(won=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=40))
def test_an_interval_holds_its_share_and_stays_between_0_and_1(won: list[tuple[int, int]]) -> None:
    part, rest = np.array(won, dtype=np.float64).T
    found = share(part, part + rest, Resampling(resamples=200))
    if found.clusters:
        # The scale adds half a vote to each side, which draws a long interval to the middle.
        slack = 1 / (part + rest).sum()
        assert 0 <= found.low <= found.value + slack
        assert found.value - slack <= found.high <= 1


def test_too_few_resamples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 200"):
        Resampling(resamples=50)


def test_the_variance_over_pictures_and_annotators_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(2)
    picture, worker = rng.integers(0, 25, 600), rng.integers(0, 18, 600)
    taste = rng.normal(0, 1, 25)[picture] + rng.normal(0, 1, 18)[worker]
    won = (rng.random(600) < special.expit(0.4 + taste)).astype(float)
    found = two_way_share(won, picture, worker)
    fitted = sm.OLS(won, np.ones(600)).fit(
        cov_type="cluster", cov_kwds={"groups": np.stack([picture, worker], axis=1)}
    )
    wide = special.logit(found.high) - special.logit(found.low)
    error = wide / 2 / stats.t.ppf(0.975, 17) * found.value * (1 - found.value)
    assert error == pytest.approx(float(fitted.bse[0]), rel=0.02)
    assert found.clusters == 18


def test_tastes_of_few_annotators_lengthen_only_the_interval_that_knows_of_them() -> None:
    votes = simulate(Design(annotators=20), Truth(annotator_sd=1.5), seed=8)
    pictures = vote_share(tally(votes, "ours", "baseline"))
    both = share_both_ways(votes, "ours", "baseline")
    assert both.value == pytest.approx(pictures.value)
    assert both.high - both.low > 1.3 * (pictures.high - pictures.low)
    assert share_both_ways([], "ours", "baseline").method == NONE


def test_a_study_becomes_one_result_for_each_comparison_with_p_values_adjusted() -> None:
    found = compare(LEAGUE, "b", Resampling(seed=3))
    assert [each.theirs for each in found] == ["ours", "a", "c"]
    assert [each.p_holm for each in found] == holm([each.test.p for each in found])
    assert compare(LEAGUE, "b", Resampling(seed=3)) == found
    first = found[0]
    assert first.test == preference_test(tally(LEAGUE, "b", "ours"))
    assert first.share.value == pytest.approx(first.share_both_ways.value)
    assert (first.pairs, first.votes, first.images) == (60, 300, 15)
    scenarios = compare(LEAGUE, "b", cluster_by="scenario")[0]
    assert scenarios.share.value == first.share.value
    assert scenarios.images < first.images
    with pytest.raises(ValueError, match="ours should be one of a, b, c, ours, got 'd'"):
        compare(LEAGUE, "d")
