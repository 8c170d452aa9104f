"""How often intervals cover the truth of simulated studies, as docs/statistics.md shows it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from script_module import module_at

from motifocal.study.stats.intervals import NONE, STUDENT, Estimate

SCRIPT = Path(__file__).parents[2] / "scripts" / "study_coverage.py"
PAGE = Path(__file__).parents[2] / "docs" / "statistics.md"


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
