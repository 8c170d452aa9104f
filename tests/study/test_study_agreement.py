"""Agreement of annotators, their bias to a side, and gold that they fail."""

from __future__ import annotations

from collections.abc import Sequence

import evalica
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_votes import table, vote

from motifocal.study.stats.agreement import Gold, agreement, alpha, gold_failures, left_bias
from motifocal.study.stats.intervals import NONE
from motifocal.study.stats.tally import tally

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


@pytest.mark.parametrize("dissenting", [2, 3])
def test_alpha_has_no_interval_where_many_resamples_hold_one_value_only(dissenting: int) -> None:
    votes = [("aaabb" if k < dissenting else "aaaaa") for k in range(88)]
    found = agreement(table([(chr(0x4E00 + k), outcome) for k, outcome in enumerate(votes)]))
    assert np.isfinite(found.value)
    assert np.isnan([found.low, found.high]).all()
    assert found.method == NONE


def test_a_few_resamples_without_alpha_leave_it_its_interval() -> None:
    votes = [("aaabb" if k < 6 else "aaaaa") for k in range(88)]
    found = agreement(table([(chr(0x4E00 + k), outcome) for k, outcome in enumerate(votes)]))
    assert -1 < found.low < found.value < found.high <= 1


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
