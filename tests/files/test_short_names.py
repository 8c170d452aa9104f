"""Names that are too long are cut so that no two become one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from motifocal.files.names import shortened


def test_a_name_that_fits_stays_as_it_is() -> None:
    assert shortened("duck", 20) == "duck"
    assert shortened("é" * 10, 20) == "é" * 10


@given(start=st.text(min_size=40), a=st.text(), b=st.text())
def test_names_that_differ_stay_different_and_are_no_longer_than_asked(
    start: str, a: str, b: str
) -> None:
    one, other = shortened(start + a, 40), shortened(start + b, 40)
    assert (one == other) == (a == b)
    assert max(len(name.encode()) for name in (one, other)) <= 40
