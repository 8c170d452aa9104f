"""Scores of several models from votes on pairs of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import evalica
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import special, stats
from simulated_votes import LEAGUE, VOTES, vote

from motifocal.study.stats.bradley_terry import (
    Edges,
    bradley_terry,
    components,
    edges_of,
    scores_of,
)
from motifocal.study.stats.compare import vote_share
from motifocal.study.stats.tally import comparisons, tally
from motifocal.study.votes import Vote


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
    # Images have nearly, not exactly, as many votes each, so a little less than all of them count.
    np.testing.assert_allclose((found.high - found.score)[1:], width, rtol=1e-3)


def met_on(images: int, outcomes: Sequence[tuple[int, int]]) -> Edges:
    """Ours met one model on 40 images and another on the first `images` of these."""
    counts = np.zeros((40, 2, 3))
    counts[:, 0, :2] = [(3, 2), (2, 3)] * 20
    counts[:images, 1, :2] = outcomes
    return Edges(("ours", "often", "seldom"), np.array([[0, 1], [0, 2]]), counts)


def test_a_model_that_met_others_on_few_images_has_their_few_degrees_of_freedom() -> None:
    few = [(3, 2), (1, 4), (4, 1), (2, 3), (5, 0), (2, 3)]
    found = scores_of(met_on(6, few), ridge=0)
    alone = scores_of(Edges(("ours", "seldom"), np.array([[0, 1]]),
                            np.array([[[*row, 0]] for row in few], dtype=float)), ridge=0)
    assert (found.high - found.score)[2] == pytest.approx((alone.high - alone.score)[1], rel=1e-3)
    whole = scores_of(met_on(40, (few * 7)[:40]), ridge=0)
    assert (whole.high - whole.low)[2] < 0.5 * (found.high - found.low)[2]


def test_fewer_than_four_images_and_images_all_alike_give_no_interval() -> None:
    for images, outcomes in ((3, [(3, 2), (1, 4), (4, 1)]), (8, [(5, 5)] * 8)):
        found = scores_of(met_on(images, outcomes), ridge=0)
        assert np.isfinite(found.score).all()
        assert np.isnan([found.low[2], found.high[2]]).all(), images
        assert found.low[1] < found.score[1] < found.high[1]


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
