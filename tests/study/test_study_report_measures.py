"""Which measures of the benchmark agree with the votes."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from simulated_reports import QUICK, SMALL, rows_of, source_of

from motifocal.study.report.files import to_json, to_metrics_csv
from motifocal.study.report.report import Report, make_report
from motifocal.study.report.tables import to_markdown
from motifocal.study.stats.metric_votes import POOLED, MetricScores, kendall, read_scores
from motifocal.study.votes import Vote


def write_scores(folder: Path, numbers: Mapping[tuple[str, int], float], better: str) -> None:
    """(model, pair's place) -> number, in the form of `motifocal bench score`."""
    folder.mkdir()
    (folder / "scores.json").write_text(json.dumps(
        {"marks": ["SUBSET: some"], "measures": {"motion": {"better": better}}}))
    with (folder / "scores.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["row", "kind", "scenario", "image_id", "prompt", "seed", "video", "frames",
                         "motion", "marks"])
        for (model, place), number in numbers.items():
            pair = SMALL.pairs[place]
            cell = "" if np.isnan(number) else repr(number)
            for kind in ("model", "control"):
                writer.writerow([model, kind, pair.scenario, pair.image_id, pair.prompt, 0, "x", 16,
                                 cell if kind == "model" else "1000", ""])


def leads_of(report: Report, c: int = 0) -> dict[str, Any]:
    tally = report.tallies[c]
    return {name: int(row[0] - row[1]) for name, row in zip(tally.pairs, tally.outcomes,
                                                            strict=True)}


@pytest.mark.parametrize(("better", "sign"), [("higher", 1), ("lower", -1), ("neither", 1)])
def test_a_measure_that_knows_the_votes_agrees_with_them(
    votes: list[Vote], simulated_report: Report, tmp_path: Path, better: str, sign: int
) -> None:
    numbers = {}
    for place, pair in enumerate(SMALL.pairs):
        numbers["Ours", place] = 0.0
        for c, model in enumerate(SMALL.baselines):
            numbers[model, place] = -sign * float(leads_of(simulated_report, c)[pair.stem])
    for place in (0, 1, 2):
        numbers["First", place] = float("nan")
    write_scores(tmp_path / "scores", numbers, better)
    report = make_report(source_of(votes), resampling=QUICK,
                         measured=read_scores(tmp_path / "scores"))
    assert report.metrics is not None
    first, second, pooled = report.metrics.rows
    assert (first.theirs, second.theirs, pooled.theirs) == ("First", "Second", POOLED)
    assert (first.pairs, first.missing, second.missing) == (48, 3, 0)
    assert (pooled.pairs, pooled.missing) == (96, 3)
    for each in report.metrics.rows:
        assert each.agreement.value == 1
        assert each.tau.value == pytest.approx(1)
        assert each.agreement.low < 1
    assert report.metrics.pooled == [pooled]
    assert rows_of(to_metrics_csv(report))[0]["missing"] == "3"
    assert "SUBSET: some" in to_markdown(report)


def test_a_measure_that_knows_nothing_agrees_by_chance(votes: list[Vote]) -> None:
    rng = np.random.default_rng(0)
    numbers = {(model, pair.stem, 0): {"noise": float(rng.normal()), "flat": 1.0}
               for model in SMALL.models for pair in SMALL.pairs}
    measured = MetricScores({"noise": "higher", "flat": "higher"}, numbers, ())
    report = make_report(source_of(votes), resampling=QUICK, measured=measured)
    assert report.metrics is not None
    noise, flat = report.metrics.pooled
    assert noise.agreement.low < 0.5 < noise.agreement.high
    assert noise.tau.low < 0 < noise.tau.high
    assert flat.agreement.value == 0.5
    assert np.isnan(flat.tau.value)
    assert json.loads(to_json(report))["metrics"]["rows"][-1]["tau"]["value"] is None
    with pytest.raises(ValueError, match="the scores should be of"):
        make_report(source_of(votes), resampling=QUICK,
                    measured=MetricScores({"noise": "higher"}, {("X", "y", 0): {"noise": 1.0}}, ()))


def test_kendalls_tau_is_scipys_and_its_interval_widens_with_fewer_images() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 9, 600).astype(float)
    y = x + rng.integers(-6, 7, 600)
    whole = kendall(x, y, np.arange(600) // 3, QUICK)
    assert whole.value == pytest.approx(stats.kendalltau(x, y).statistic)
    few = kendall(x[:36], y[:36], np.arange(36) // 3, QUICK)
    assert whole.low < whole.value < whole.high
    assert few.low < few.value < few.high
    assert few.high - few.low > 2 * (whole.high - whole.low)
    # Pairs of one image that are copies say no more than one of them.
    once = kendall(x[:200], y[:200], np.arange(200), QUICK)
    thrice = kendall(np.repeat(x[:200], 3), np.repeat(y[:200], 3), np.repeat(np.arange(200), 3),
                     QUICK)
    assert thrice.value == pytest.approx(once.value)
    assert thrice.high - thrice.low == pytest.approx(once.high - once.low)


def test_a_folder_that_holds_no_scores_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="should hold scores"):
        read_scores(tmp_path)
    write_scores(tmp_path / "scores", {("Ours", 0): 1.0}, "higher")
    (tmp_path / "scores" / "scores.json").write_text("{}")
    with pytest.raises(ValueError, match="should be what motifocal bench score writes"):
        read_scores(tmp_path / "scores")


@pytest.mark.parametrize("row", [b"Ours,model,s,i,\xff,0,x,16,1,", b"Ours,model,s,i",
                                 b"Ours,model,s,i," + b"p" * 200_000 + b",0,x,16,1,",
                                 b"Ours,model,s,i,p,0,x,16,much,"])  # fmt: skip
def test_damaged_scores_are_named(tmp_path: Path, row: bytes) -> None:
    write_scores(tmp_path / "scores", {("Ours", 0): 1.0}, "higher")
    with (tmp_path / "scores" / "scores.csv").open("ab") as file:
        file.write(row + b"\r\n")
    with pytest.raises(ValueError, match=r"scores\.csv, line \d+ should be a video's scores"):
        read_scores(tmp_path / "scores")
