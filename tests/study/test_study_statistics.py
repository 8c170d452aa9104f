"""Shares, intervals, tests, agreement and scores are right: by hand, by other code, by counting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import evalica
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from script_module import module_at
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from motifocal.study.stats import intervals
from motifocal.study.stats.agreement import Gold, agreement, alpha, gold_failures, left_bias
from motifocal.study.stats.bradley_terry import bradley_terry, components, edges_of
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
    Estimate,
    Resampling,
    jackknife_error,
    share,
)
from motifocal.study.stats.signflip import holm, sign_flip
from motifocal.study.stats.simulation import simulate
from motifocal.study.stats.simulation_design import Design, Truth, paper_pairs
from motifocal.study.stats.tally import Tally, comparisons, tally
from motifocal.study.stats.two_way import share_both_ways, two_way_share
from motifocal.study.votes import REASONS, Vote

SCRIPT = Path(__file__).parents[2] / "scripts" / "study_coverage.py"
PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"
TRUTH = Truth(shares=(0.65,), ties=0.1, left=0.55)
VOTES = simulate(Design(), TRUTH, seed=4)
LEAGUE = simulate(
    Design(pairs=paper_pairs()[:60], baselines=("a", "b", "c"), round_robin=True),
    Truth(shares=(0.4, 0.6, 0.75), ties=0.2), seed=6,
)  # fmt: skip


def vote(
    winner: str = "model_a", pair: str = "p", image_id: str = "i", worker: str = "w",
    left: str = "model_a", models: tuple[str, str] = ("ours", "theirs"), **other: Any,
) -> Vote:  # fmt: skip
    return Vote(model_a=models[0], model_b=models[1], winner=winner, pair=pair, image_id=image_id,
                left=left, worker=worker, **other)  # fmt: skip


def table(rows: Sequence[tuple[str, str]]) -> Tally:
    """(picture and pair, votes as in "aab=") -> a tally."""
    winners = {"a": "model_a", "b": "model_b", "=": "tie"}
    return tally([vote(winners[letter], pair, pair[0], f"w{w}")
                  for pair, letters in rows for w, letter in enumerate(letters)],
                 "ours", "theirs")  # fmt: skip


# --- shares ---------------------------------------------------------------------------------


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


# --- intervals ------------------------------------------------------------------------------


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


# --- both ways ------------------------------------------------------------------------------


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


# --- tests ----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(leads=st.lists(st.integers(-6, 6), min_size=1, max_size=9))
def test_the_exact_p_value_is_that_of_all_sign_patterns(leads: list[int]) -> None:
    total = abs(sum(leads))
    patterns = [abs(np.dot(signs, leads)) for signs in product((-1, 1), repeat=len(leads))]
    found = sign_flip(leads)
    assert found.exact
    assert found.p == pytest.approx(np.mean(np.array(patterns) >= total))
    assert sign_flip([-lead for lead in leads]).p == found.p


def test_drawn_patterns_come_near_the_exact_p_value() -> None:
    leads = np.random.default_rng(3).integers(-8, 11, 88)
    exact = sign_flip(leads)
    drawn = sign_flip(leads + 1e-12 * np.arange(88), seed=1, flips=20_000)
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.p == pytest.approx(exact.p, abs=0.01)
    assert sign_flip(np.full(40, 1.5), flips=999).p == 1 / 1000  # never 0


def test_a_p_value_of_no_lead_or_one_picture_is_1() -> None:
    assert sign_flip([0, 0, 0]).p == 1
    assert sign_flip([20]).p == 1
    assert sign_flip([3, 3]).p == 0.5
    with pytest.raises(ValueError, match="finite"):
        sign_flip([])


@pytest.mark.parametrize("p", [[0.2], [0.04, 0.01, 0.03], [0.5, 1.0, 0.0, 0.3, 0.02, 0.02, 0.9]])
def test_holm_is_that_of_statsmodels(p: list[float]) -> None:
    assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]), abs=1e-12)


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_keeps_the_order_and_never_lowers_a_p_value(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(value <= new <= 1 for value, new in zip(p, adjusted, strict=True))
    assert min(adjusted) == pytest.approx(min(1, len(p) * min(p)))
    order = np.argsort(p, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_p_values_outside_0_and_1_are_refused() -> None:
    with pytest.raises(ValueError, match="should lie in"):
        holm([0.5, 1.5])
    assert holm([]) == []


# --- agreement ------------------------------------------------------------------------------

# Krippendorff (2011), examples A and C: two observers and ten units, four observers and twelve.
EXAMPLE_A = ("0100000010", "1110010000")
EXAMPLE_C = ("123321412...", "1233224125.3", ".3332342251.", "12332441251.")


@pytest.mark.parametrize(("rows", "published"), [(EXAMPLE_A, 0.095), (EXAMPLE_C, 0.743)])
def test_alpha_is_that_of_the_published_examples(rows: Sequence[str], published: float) -> None:
    counts = [[sum(row[u] == value for row in rows) for value in "012345"]
              for u in range(len(rows[0]))]  # fmt: skip
    assert round(alpha(counts), 3) == published


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_alpha_is_that_of_evalica_whoever_is_missing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratings = rng.integers(0, 3, (6, 15)).astype(float)
    ratings[1] = ratings[0]
    ratings[rng.random((6, 15)) < 0.3] = np.nan
    counts = [[(ratings[:, u] == value).sum() for value in range(3)] for u in range(15)]
    assert alpha(counts) == pytest.approx(evalica.alpha(pd.DataFrame(ratings)).alpha)


def test_alpha_is_1_in_full_agreement_and_unknown_where_nothing_differs() -> None:
    assert alpha([[5, 0], [0, 5]]) == 1
    assert alpha([[1, 0], [0, 5], [3, 0]]) == 1  # one value says nothing about agreement
    assert np.isnan(alpha([[5, 0], [5, 0]]))
    same = agreement(table([(f"{letter}1", "aaaaa") for letter in "uvwxyz"]))
    assert same.method == NONE
    assert np.isnan([same.value, same.low, same.high]).all()


def test_choosing_the_left_is_a_bias_and_a_better_model_on_the_left_is_none() -> None:
    always_left = [vote(side, f"{k}{n}", str(k), f"w{n}", left=side)
                   for k in range(8) for n, side in enumerate(("model_a", "model_b") * 3)]
    assert left_bias(tally(always_left, "ours", "theirs")).value == 1
    often_left = [vote("model_a", str(k), str(k), f"w{n}", left="model_a" if n < 4 else "model_b")
                  for k in range(8) for n in range(5)]  # fmt: skip
    assert left_bias(tally(often_left, "ours", "theirs")).value == 0.5
    only_left = tally([vote(worker=f"w{n}") for n in range(5)], "ours", "theirs")
    assert np.isnan(left_bias(only_left).value)


def test_gold_failures_are_counted_for_each_worker() -> None:
    votes = [
        vote("model_b", worker="ann"),
        vote("model_b", worker="ann", gold="repeat"),
        vote("model_b", worker="ann", gold="still", models=("ours", "still")),
        vote("tie", worker="bob", gold="shuffled", models=("ours", "shuffled")),
        vote("model_a", worker="bob", gold="repeat"),  # bob never judged the pair itself
        vote(worker="cat"),
    ]
    assert gold_failures(votes) == {"ann": Gold(2, 1), "bob": Gold(1, 1), "cat": Gold(0, 0)}


# --- Bradley and Terry ----------------------------------------------------------------------


def as_evalica(votes: Sequence[Vote]) -> tuple[list[str], list[str], list[Any]]:
    kinds = {"model_a": evalica.Winner.X, "model_b": evalica.Winner.Y, "tie": evalica.Winner.Draw}
    return [v.model_a for v in votes], [v.model_b for v in votes], [kinds[v.winner] for v in votes]


@pytest.mark.parametrize(("ties", "weight"), [("dropped", 0.0), ("halved", 0.5)])
def test_scores_are_those_of_evalica(ties: Any, weight: float) -> None:
    kept = [v for v in LEAGUE if weight or v.winner != "tie"]
    known = evalica.bradley_terry(
        *as_evalica(kept), tie_weight=weight, tolerance=1e-12, limit=10_000
    ).scores
    found = bradley_terry(LEAGUE, ties=ties, ridge=0)
    expected = np.log([known[name] / known["ours"] for name in found.models])
    np.testing.assert_allclose(found.score, expected, atol=1e-5)


def test_clustered_intervals_are_those_of_statsmodels() -> None:
    kept = [v for v in LEAGUE if v.winner != "tie"]
    found = bradley_terry(LEAGUE, ridge=0)
    columns = np.array([[(v.model_a == name) - (v.model_b == name) for name in found.models[1:]]
                        for v in kept], dtype=float)  # fmt: skip
    won = np.array([v.winner == "model_a" for v in kept], dtype=float)
    picture = pd.factorize(np.array([v.image_id for v in kept]))[0]
    fitted = sm.Logit(won, columns).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": picture, "use_correction": False}
    )
    clusters = found.clusters
    error = fitted.bse * np.sqrt(clusters / (clusters - 1))
    np.testing.assert_allclose(found.score[1:], fitted.params, atol=1e-5)
    width = stats.t.ppf(0.975, clusters - 1) * error
    np.testing.assert_allclose((found.high - found.score)[1:], width, rtol=1e-4)


def test_davidsons_model_is_the_log_linear_model_of_the_counts() -> None:
    edges = edges_of([tally(LEAGUE, *pair) for pair in comparisons(LEAGUE)])
    counts, rows, models = edges.counts.sum(axis=0), [], len(edges.models)
    for e, (first, second) in enumerate(edges.ends):
        for outcome in np.eye(3):
            row = np.zeros(models + 1 + len(edges.ends))
            row[[first, second]] = outcome[:2] + outcome[2] / 2
            row[models] = outcome[2]
            row[models + 1 + e] = 1
            rows.append(row)
    fitted = sm.GLM(counts.reshape(-1), np.array(rows)[:, 1:], family=sm.families.Poisson()).fit()
    found = bradley_terry(LEAGUE, ties="davidson", ridge=0)
    np.testing.assert_allclose(found.score[1:], fitted.params[: models - 1], atol=1e-5)
    assert found.log_nu == pytest.approx(fitted.params[models - 1], abs=1e-5)


def test_two_models_have_the_log_odds_of_their_share() -> None:
    found = bradley_terry(VOTES, anchor="baseline", ridge=0)
    share_ = vote_share(tally(VOTES, "ours", "baseline"))
    assert found.score[0] == pytest.approx(special.logit(share_.value), abs=1e-6)
    assert special.expit([found.low[0], found.high[0]]) == pytest.approx(
        [share_.low, share_.high], abs=0.005
    )
    assert found.chance("ours", "baseline") == pytest.approx(share_.value)
    assert (found.score[1], found.low[1], found.high[1]) == (0, 0, 0)


def test_another_anchor_moves_all_scores_alike() -> None:
    one, other = (bradley_terry(LEAGUE, anchor=name) for name in ("ours", "b"))
    np.testing.assert_allclose(np.diff(one.score), np.diff(other.score), atol=1e-6)
    assert other.score[other.models.index("b")] == 0


def test_a_model_with_only_wins_has_a_score_but_no_bounds() -> None:
    votes = [vote("model_a", f"p{k}", f"i{k}", models=("best", "ours")) for k in range(30)]
    found = bradley_terry(LEAGUE + votes, anchor="ours")
    best = found.models.index("best")
    assert found.unbounded == ("best",)
    assert found.score[best] == max(found.score)
    assert 2 < found.score[best] < 15
    assert np.isnan([found.low[best], found.high[best]]).all()
    assert np.isfinite(np.delete(found.low, best)).all()
    swayed = bradley_terry(LEAGUE)
    np.testing.assert_allclose(found.score[:best], swayed.score, atol=0.01)


def test_models_that_never_met_are_not_compared() -> None:
    apart = [*LEAGUE, vote(models=("x", "y")), vote("model_b", models=("x", "y"), worker="v")]
    with pytest.raises(ValueError, match=r"2 parts: ours, a, b, c; x, y"):
        bradley_terry(apart)
    parts = components(edges_of([tally(apart, *pair) for pair in comparisons(apart)]))
    assert parts == [("ours", "a", "b", "c"), ("x", "y")]
    with pytest.raises(ValueError, match="no votes"):
        bradley_terry([])
    with pytest.raises(ValueError, match="anchor should be one of"):
        bradley_terry(LEAGUE, anchor="nobody")


# --- all together ---------------------------------------------------------------------------


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


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPT.parent)  # it imports another script
    return module_at(SCRIPT)


@pytest.mark.slow
def test_intervals_over_pictures_cover_the_truth_and_one_over_votes_does_not(
    script: ModuleType,
) -> None:
    found = script.coverage(script.STRONG, 60, (1,), lambda: None)
    missed = {name: record.missed / 60 for name, record in found.items()}
    for name in ("raw share", "majority", "alpha", "left choices"):
        assert missed[name] <= 0.15, name
        assert np.mean(found[name].values) == pytest.approx(found[name].truth, abs=0.015), name
    assert missed["raw share, over votes"] >= 0.2
    pictures, pairs, votes = script.false_alarms(script.NULLS["effects of items"], 300, (1,),
                                                 lambda: None)  # fmt: skip
    assert 0.02 <= pictures <= 0.09
    assert 0.02 <= pairs <= 0.09
    assert votes >= 0.12


def test_an_interval_that_is_not_known_counts_as_a_miss(script: ModuleType) -> None:
    record = script.Record(0.5, [])
    record.add(Estimate(0.5, np.nan, np.nan, 3, NONE))
    record.add(Estimate(0.5, 0.4, 0.6, 3, STUDENT))
    assert record.covered == "50.0%"


def test_the_page_has_a_place_for_every_table_of_the_script(script: ModuleType) -> None:
    page = PAGE.read_text(encoding="utf-8")
    names = ("coverage", "values", "alarms", "scores", "blind", "majority")
    for name in names:
        assert script.replaced(page, name, "TABLE").count("TABLE") == 1
    assert script.majority_table() in page
    with pytest.raises(ValueError, match="each once"):
        script.replaced(page, "elsewhere", "TABLE")
