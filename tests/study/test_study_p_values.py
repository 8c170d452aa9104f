"""P-values of a lead, and how they are adjusted for several comparisons."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from motifocal.study.stats.signflip import holm, sign_flip


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
