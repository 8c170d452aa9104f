"""Simulated studies have the design asked for, and their population's values are the true ones."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from motifocal.bench.pairs import PAPER, counts
from motifocal.study.stats.agreement import alpha, gold_failures
from motifocal.study.stats.compare import leads
from motifocal.study.stats.simulation import draw, simulate
from motifocal.study.stats.simulation_design import (
    DEFAULT_REASONS,
    Design,
    Truth,
    paper_pairs,
    strengths,
)
from motifocal.study.stats.tally import LOST, TIED, WON, tally
from motifocal.study.votes import GOLD, validate

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from study_population import population, population_scores

FEW = Design(pairs=paper_pairs()[:30], votes=5, annotators=12)
TWO = replace(FEW, baselines=("first", "second"), gold=4)
MESSY = Truth(shares=(0.6, 0.8), ties=0.1, left=0.6, careless=0.25)


def test_the_papers_design_has_the_papers_counts() -> None:
    pairs = paper_pairs()
    assert counts(pairs) == PAPER
    assert len({pair.stem for pair in pairs}) == 320
    sizes = Counter(Counter(pair.image_id for pair in pairs).values())
    assert sizes == {2: 10, 3: 26, 4: 41, 5: 8, 6: 3}


def test_every_pair_has_its_votes_by_different_annotators_with_sides_in_balance() -> None:
    votes = simulate(TWO, MESSY, seed=1)
    real = [vote for vote in votes if vote.gold is None]
    by_unit = defaultdict(list)
    for vote in real:
        by_unit[vote.unit].append(vote)
    assert len(by_unit) == 60
    lefts = []
    for unit in by_unit.values():
        assert len({vote.worker for vote in unit}) == len(unit) == 5
        lefts.append(sum(vote.left == "model_a" for vote in unit))
    assert lefts == [2, 3] * 15 + [3, 2] * 15
    loads = Counter(vote.worker for vote in real)
    assert len(loads) == 12
    assert max(loads.values()) - min(loads.values()) <= 8


def test_simulated_votes_are_valid_and_told_by_their_seed() -> None:
    votes = simulate(TWO, MESSY, seed=1)
    assert validate(votes) == []
    assert simulate(TWO, MESSY, seed=1) == votes
    assert simulate(TWO, MESSY, seed=2) != votes
    assert {vote.gold for vote in votes} == {None, *GOLD}
    assert {vote.winner for vote in votes} == {"model_a", "model_b", "tie"}


def test_nobody_gets_a_gold_item_twice_though_a_pair_was_judged_in_several_comparisons() -> None:
    design = replace(TWO, pairs=paper_pairs()[:4], annotators=5, gold=8)  # all judge all of them
    votes = simulate(design, MESSY, seed=0)
    assert validate(votes) == []
    assert Counter(vote.worker for vote in votes if vote.gold) == Counter(
        {vote.worker: 4 for vote in votes})


@pytest.mark.parametrize("cluster_by", ["image_id", "scenario"])
def test_counting_the_votes_gives_what_was_drawn(cluster_by: Any) -> None:
    votes = simulate(TWO, MESSY, seed=3)
    drawn = draw(TWO, MESSY, np.random.default_rng(3))
    for c, (ours, theirs) in enumerate(TWO.comparisons):
        told, known = tally(votes, ours, theirs, cluster_by=cluster_by), drawn.tally(c, cluster_by)
        assert (told.pairs, told.clusters) == (known.pairs, known.clusters)
        for name in ("cluster", "outcomes", "left", "reasons"):
            np.testing.assert_array_equal(getattr(told, name), getattr(known, name))


@pytest.mark.slow
@pytest.mark.parametrize(
    "truth",
    [
        Truth(),
        Truth(shares=(0.8,), picture_sd=0, pair_sd=0),
        Truth(ties=0.2, left=0.65),
        Truth(shares=(0.7,), scenario_sd=0.3, annotator_sd=0.3),
        Truth(careless=0.1, left=0.55),
    ],
)
def test_the_population_values_are_the_means_over_many_studies(truth: Truth) -> None:
    design, rng, seen = Design(annotators=80), np.random.default_rng(11), []
    for _ in range(300):
        drawn = draw(design, truth, rng).tally()
        won, lost, tied = drawn.outcomes.sum(axis=0)
        lead, left = leads(drawn), drawn.left.sum(axis=0)
        right = np.array([won, lost]) - left
        named = drawn.reasons.sum(axis=0) / np.array([[won], [lost]])
        seen.append([
            won / (won + lost), (won + tied / 2) / drawn.outcomes.sum(),
            (lead > 0).mean() + (lead == 0).mean() / 2, tied / drawn.outcomes.sum(),
            alpha(drawn.outcomes), (left[0] / left.sum() + right[1] / right.sum()) / 2,
            *named.reshape(-1),
        ])  # fmt: skip
    known = population(design, truth)
    expected = np.array([known.share, known.share_ties_halved, known.majority, known.ties,
                         known.alpha, known.left, *known.reasons.reshape(-1)])  # fmt: skip
    error = np.std(seen, axis=0) / np.sqrt(len(seen))
    # 0.001: a study's own alpha is a little below that of endlessly many annotators.
    assert (np.abs(np.mean(seen, axis=0) - expected) <= 4 * error + 0.001).all()


def test_a_majority_of_five_makes_68_of_60_percent_when_votes_are_independent() -> None:
    known = population(Design(), Truth(picture_sd=0, pair_sd=0))
    assert known.majority == pytest.approx(stats.binom.sf(2, 5, 0.6))
    assert round(known.majority, 2) == 0.68
    assert known.alpha == pytest.approx(0)
    assert population(Design(), Truth()).majority < 0.66  # pairs that all agree on gain nothing


def test_careless_annotators_draw_everything_to_chance() -> None:
    known = population(Design(), Truth(shares=(0.9,), left=0.7, careless=1))
    assert known.share == pytest.approx(0.5)
    assert known.left == pytest.approx(0.5)
    assert known.alpha == pytest.approx(0)
    np.testing.assert_allclose(known.reasons, 0.25)


def test_the_bias_and_ties_asked_for_are_those_of_equal_videos() -> None:
    known = population(Design(votes=4), Truth(shares=(0.5,), picture_sd=0, pair_sd=0, ties=0.2))
    assert known.ties == pytest.approx(0.2)
    biased = Truth(shares=(0.5,), picture_sd=0, pair_sd=0, left=0.6)
    assert population(Design(votes=4), biased).left == pytest.approx(0.6)


def test_without_effects_of_items_the_scores_are_the_strengths() -> None:
    design = Design(baselines=("a", "b", "c"), round_robin=True)
    truth = Truth(shares=(0.3, 0.6, 0.9), picture_sd=0, pair_sd=0)
    known = strengths(design, truth)
    np.testing.assert_allclose(population_scores(design, truth), known, atol=1e-6)
    tied = replace(truth, ties=0.2)
    np.testing.assert_allclose(
        population_scores(design, tied, "davidson"), strengths(design, tied), atol=1e-6
    )
    wide = population_scores(design, replace(truth, picture_sd=1.0))
    shares = 1 / (1 + np.exp(wide))
    np.testing.assert_allclose(shares[1:], truth.shares, atol=0.02)


def test_careless_annotators_fail_gold_items_and_others_do_not() -> None:
    design = replace(FEW, annotators=20, gold=12)
    truth = Truth(careless=0.5)
    votes = simulate(design, truth, seed=5)
    drawn = draw(design, truth, np.random.default_rng(5))
    names = [next(v.worker for v, w in zip(votes, drawn.worker, strict=False) if w == worker)
             for worker in range(20)]  # fmt: skip
    failures = gold_failures(votes)
    failed = np.array([failures[name].failed / failures[name].seen for name in names])
    assert all(failures[name].seen >= 6 for name in names)
    assert failed[drawn.careless].mean() > 0.35
    assert failed[~drawn.careless].mean() < 0.2


def test_votes_take_reasons_only_for_choices() -> None:
    drawn = draw(TWO, MESSY, np.random.default_rng(0))
    given = drawn.reasons.any(axis=1)
    np.testing.assert_array_equal(given, drawn.outcome != TIED)
    assert set(np.unique(drawn.outcome)) == {WON, LOST, TIED}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Design(votes=50), "votes should be 1 to 40"),
        (lambda: Design(baselines=("ours",)), "different names"),
        (lambda: Design(pairs=()), "0 pairs"),
        (lambda: Design(gold=-1), "gold should be at least 0"),
        (lambda: Truth(shares=(1.0,)), "shares should lie between 0 and 1"),
        (lambda: Truth(left=0.0), "left should lie between 0 and 1"),
        (lambda: Truth(pair_sd=-1), "pair_sd should be at least 0"),
        (lambda: Truth(ties=1), "ties should be in"),
        (lambda: Truth(reasons={"ours": DEFAULT_REASONS["ours"]}), "ours and baseline"),
        (lambda: simulate(Design(), Truth(shares=(0.5, 0.5)), 0), "one for each of 1 baselines"),
    ],
)
def test_a_design_or_truth_that_cannot_be_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
