"""The report of an evaluation: how wide its intervals are, and its sections."""

from __future__ import annotations

import csv
import io
import json
import math

import numpy as np
import pytest
from scipy import stats

from motifocal.metrics import over_images, share_over_images
from motifocal.scenes.evaluation.evaluate import KINDS, Score, Scored
from motifocal.scenes.evaluation.report import (
    HELD_OUT,
    SEEN,
    summarise,
    to_csv,
    to_json,
    to_markdown,
)
from motifocal.scenes.stage import SCENARIOS


def test_intervals_over_pictures_are_wider_than_over_pairs_that_agree() -> None:
    """Four pairs a picture that always agree hold a quarter of the evidence."""
    rng = np.random.default_rng(1)
    values = np.repeat(rng.integers(0, 2, 50), 4).astype(float)
    pictures = np.repeat([f"p{i}" for i in range(50)], 4)
    over = over_images(values, list(pictures))
    alone = over_images(values, [f"{p}.{i}" for i, p in enumerate(pictures)])
    assert over.mean == alone.mean == values.mean()
    assert (over.high - over.low) / (alone.high - alone.low) == pytest.approx(2, rel=0.15)


def test_the_interval_of_independent_pairs_is_the_binomial_one() -> None:
    values = np.r_[np.ones(120), np.zeros(80)]
    measured = over_images(values, [str(i) for i in range(200)])
    half = 1.96 * math.sqrt(0.6 * 0.4 / 200)
    assert measured.mean == 0.6
    assert measured.low == pytest.approx(0.6 - half, abs=0.01)
    assert measured.high == pytest.approx(0.6 + half, abs=0.01)


def test_the_same_seed_gives_the_same_interval_and_one_picture_gives_none() -> None:
    values, pictures = np.array([1.0, 0, 0, 1, 1]), ["a", "a", "b", "b", "c"]
    assert over_images(values, pictures, seed=3) == over_images(values, pictures, seed=3)
    alone = over_images(values, ["a"] * 5)
    assert alone.mean == 0.6
    assert math.isnan(alone.low)


@pytest.mark.parametrize("images", [1, 5, 23])
def test_where_all_or_none_follow_the_interval_is_the_exact_binomial_one(images: int) -> None:
    names = [f"p{i // 2}" for i in range(2 * images)]
    none = share_over_images(np.zeros(2 * images), names)
    whole = share_over_images(np.ones(2 * images), names)
    assert (none.mean, none.low, whole.mean, whole.high) == (0, 0, 1, 1)
    assert none.high == pytest.approx(stats.beta.ppf(0.975, 1, images))
    assert whole.low == pytest.approx(stats.beta.ppf(0.025, images, 1))
    mixed = np.arange(2 * images) % 3 == 0
    assert share_over_images(mixed * 1.0, names) == over_images(mixed * 1.0, names) or images == 1


def test_every_pair_is_in_the_total_and_once_in_every_section(scored: Scored) -> None:
    groups = {group.name: group for group in summarise(scored).groups}
    assert groups["all"].pairs == 110
    assert groups[SEEN].pairs + groups[HELD_OUT].pairs == 110
    assert sum(groups[kind].pairs for kind in KINDS) == 110
    assert sum(groups[name].pairs for name in SCENARIOS) == 110
    assert groups["balloons"].chance == pytest.approx(1 / 6)


def test_a_scenario_that_fails_shows_in_its_row_and_in_the_total(scored: Scored) -> None:
    failed = Score(0.0, 1.0, 30.0, 0.9, 30.0, 0.0, 40.0, 20.0)
    made = tuple(failed if pair.scenario == "fish" else s
                 for pair, s in zip(scored.pairs, scored.scores["made"], strict=True))
    groups = {g.name: g.measures["made"]["follows"] for g in summarise(
        Scored(scored.pairs, scored.chance, {**scored.scores, "made": made}, ())).groups}
    assert groups["fish"].mean == 0
    assert groups["duck"].mean == 1
    assert groups["all"].mean == pytest.approx(102 / 110)
    assert groups["all"].low < 102 / 110 < groups["all"].high


def test_json_csv_and_markdown_hold_the_same_numbers(scored: Scored) -> None:
    report = summarise(scored, "the truth")
    content = json.loads(to_json(report))
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert len(content["pairs"]) == len(rows) == 110
    assert content["title"] == "the truth"
    assert content["groups"][0]["measures"]["made"]["follows"]["mean"] == 1
    assert np.mean([float(row["follows"]) for row in rows]) == 1
    line = next(line for line in to_markdown(report).splitlines() if line.startswith("| all |"))
    assert line.split(" | ")[1:8] == ["30", "110", "100.0%", "88-100%", "21.3%", "0.0%",
                                      "100.0%"]
