"""Arms of an experiment: intervals that cover, curves that are read right, tables and a plot."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from motifocal.cli import cli
from motifocal.scenes.evaluation.arms import Arm, align
from motifocal.scenes.evaluation.comparison import compare, shown_steps, to_csv, to_markdown
from motifocal.scenes.evaluation.paired import (
    Cells,
    crossing_ratio,
    first_crossing,
    two_way_interval,
)
from motifocal.scenes.evaluation.probe_table import PROBE_TABLE, ProbeRow, add_to_table


def simulated(
    rng: np.random.Generator, seeds: int, images: int, deviations: tuple[float, float, float]
) -> Cells:
    """Cells of mean 0: a random effect of the seed, of the image, and of the single cell."""
    of_seed, of_image, single = deviations
    counts = rng.integers(3, 6, images).astype(float)
    effect = (of_seed * rng.standard_normal((seeds, 1)) + of_image * rng.standard_normal(images)
              + single * rng.standard_normal((seeds, images)))
    return Cells(effect * counts, counts)


@pytest.mark.parametrize("deviations", [(0, 0, 1), (0, 0.5, 1), (0.3, 0, 1), (0.2, 0.5, 1)])
@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_covers_the_truth_about_as_often_as_it_says(
    seeds: int, deviations: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(5)
    intervals = [two_way_interval(simulated(rng, seeds, 87, deviations)) for _ in range(600)]
    covered = np.mean([not interval.excludes(0) for interval in intervals])
    assert 0.92 < covered < 0.995


def test_an_interval_over_images_alone_is_too_short_where_seeds_differ() -> None:
    rng = np.random.default_rng(6)
    cells = [simulated(rng, 5, 60, (0.5, 0, 1)) for _ in range(300)]
    blind = [two_way_interval(Cells(c.sums.sum(0)[None] / 5, c.counts)) for c in cells]
    assert np.mean([not interval.excludes(0) for interval in blind]) < 0.6
    assert np.mean([not two_way_interval(c).excludes(0) for c in cells]) > 0.92


def test_one_image_gives_no_bounds_and_no_variance_a_point() -> None:
    assert np.isnan(two_way_interval(Cells(np.ones((3, 1)), np.ones(1))).low)
    still = two_way_interval(Cells(np.ones((3, 4)), np.ones(4)))
    assert (still.value, still.low, still.high) == (1, 1, 1)


@pytest.mark.parametrize(("sums", "counts"), [
    (np.ones(3), np.ones(3)), (np.ones((2, 3)), np.ones(2)), (np.ones((2, 3)), np.zeros(3)),
])
def test_cells_of_a_wrong_shape_are_refused(sums: np.ndarray, counts: np.ndarray) -> None:
    with pytest.raises(ValueError, match="counts"):
        Cells(sums, counts)


def test_cells_of_different_pairs_have_no_difference() -> None:
    a, b = Cells(np.ones((2, 3)), np.ones(3)), Cells(np.ones((2, 3)), np.array([1.0, 2, 1]))
    with pytest.raises(ValueError, match="same"):
        a.minus(b)


def test_a_curve_crosses_a_level_between_its_points() -> None:
    steps, curve = np.array([100.0, 200, 300]), np.array([0.1, 0.2, 0.4])
    assert first_crossing(steps, curve, 0.3) == pytest.approx(250)
    assert first_crossing(steps, curve, 0.05) == 100
    assert np.isnan(first_crossing(steps, curve, 0.5))


def test_a_curve_that_is_above_the_level_at_step_0_has_no_ratio_to_another() -> None:
    steps, counts = np.array([0.0, 10]), np.array([2.0, 2.0])
    high, low = np.full((2, 2, 2), 2.0), np.tile([[0.0], [2.0]], (2, 1, 2))
    for ours, theirs in ((high, high), (high, low), (low, high)):
        assert np.isnan(crossing_ratio(steps, ours, theirs, counts, 0.5).value)
    assert crossing_ratio(steps, low, low, counts, 0.5).value == 1


def test_an_arm_that_learns_twice_as_fast_has_a_ratio_of_one_half() -> None:
    rng = np.random.default_rng(0)
    steps = np.arange(1, 21) * 10.0
    counts = np.full(40, 4.0)
    image = rng.normal(0, 0.02, 40)
    def sums(rate: float) -> np.ndarray:
        noise = rng.normal(0, 0.005, (5, 1, 40))
        return (rate * steps[None, :, None] * (1 + image) + noise) * counts
    ratio = crossing_ratio(steps, sums(0.008), sums(0.004), counts, 0.5)
    assert ratio.value == pytest.approx(0.5, rel=0.05)
    assert ratio.low < 0.5 < ratio.high < 1


STEPS = (100, 200, 300, 400, 500)


def curve(share: float, seed: int, steps: tuple[int, ...] = STEPS) -> list[ProbeRow]:
    """A made-up run: the share that follows grows with the steps."""
    rng = np.random.default_rng(seed)
    rows = []
    for step in steps:
        for image in range(30):
            for action in range(3):
                follows = bool(rng.random() < share * step / steps[-1])
                kind = "one object" if action else "names one of several"
                rows.append(ProbeRow(step, f"bird{image}", action, "bird" if image % 2 else "fish",
                                     kind, False, 4, follows, not follows, 2.0 * follows - 1))
    return rows


def arms(seeds: int = 4) -> list[Arm]:
    return [Arm("plain", tuple(tuple(curve(0.4, s)) for s in range(seeds))),
            Arm("motif", tuple(tuple(curve(0.9, 50 + s)) for s in range(seeds)))]


def test_a_large_difference_is_found_and_an_arm_against_itself_has_none() -> None:
    plain, motif = arms()
    comparison = compare(align([plain, motif, Arm("copy", plain.runs)]))
    point = comparison.at("motif", 500, "follows")
    assert point.difference is not None
    assert point.difference.low > 0.35
    assert point.difference.value == pytest.approx(0.5, abs=0.06)
    same = comparison.at("copy", 500, "margin").difference
    assert same is not None
    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert comparison.at("plain", 500, "follows").difference is None
    reached = {(r.arm, r.level): r for r in comparison.reached}
    assert np.isnan(reached["plain", 0.75].steps)
    assert reached["motif", 0.25].ratio is not None
    assert reached["motif", 0.25].ratio.high < 1


def test_only_what_all_runs_have_is_compared() -> None:
    plain, motif = arms(2)
    longer = Arm("longer", tuple(tuple(curve(0.9, s, (100, 200, 300, 400, 500, 600)))
                                 for s in range(2)))
    aligned = align([plain, longer])
    assert aligned.steps.tolist() == [100, 200, 300, 400, 500]
    one = align([plain, motif], scenarios=["bird"], kinds=["names one of several"])
    assert one.counts.tolist() == [1.0] * 15
    with pytest.raises(ValueError, match="in common"):
        align([plain, motif], scenarios=["volcano"])
    with pytest.raises(ValueError, match="as many seeds"):
        align([plain, Arm("motif", motif.runs[:1])])
    broken = [row for row in motif.runs[0] if (row.step, row.image_id) != (300, "bird3")]
    with pytest.raises(ValueError, match="every step"):
        align([plain, Arm("motif", (tuple(broken), motif.runs[1]))])


def test_the_tables_hold_the_numbers_of_the_comparison() -> None:
    comparison = compare(align(arms()))
    rows = list(csv.DictReader(io.StringIO(to_csv(comparison))))
    assert len(rows) == 2 * 5 * 3
    place = ("motif", "500", "follows")
    last = next(r for r in rows if (r["arm"], r["step"], r["measure"]) == place)
    point = comparison.at("motif", 500, "follows")
    assert float(last["value"]) == pytest.approx(point.value.value, rel=1e-5)
    text = to_markdown(comparison)
    assert f"{100 * point.value.value:.1f} [" in text
    still = comparison.at("motif", 500, "static").value.value
    assert f"{100 * still:.1f} [" in text.partition("**Stands still** (%)")[2]
    assert "not reached" in text
    assert "chance 25.0%" in text
    assert "over images alone" not in text
    assert "over images alone" in to_markdown(compare(align(arms(1))))


def test_a_share_has_no_interval_beyond_0_and_100_percent() -> None:
    rows = [[ProbeRow(0, f"bird{k}", 0, "bird", "one object", False, 4, k > 0, False, 0.1)
             for k in range(4)] for _ in range(2)]
    text = to_markdown(compare(align([Arm("a", tuple(map(tuple, rows)))])))
    row = next(line for line in text.splitlines() if line.startswith("| a |"))
    assert "| arm | value |" in text
    low, high = map(float, row.split("[")[1].split("]")[0].split(", "))
    assert 0 <= low < 75 < high <= 100
    assert "| a | 0.0 |" in text  # none stands still: there is nothing to tell bounds by


def test_the_shown_steps_are_spread_and_end_with_the_last() -> None:
    assert shown_steps([1, 2]) == [1, 2]
    assert shown_steps(list(range(100, 900, 100))) == [200, 400, 600, 800]
    assert shown_steps(list(range(1, 7)))[-1] == 6


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["scenes", "compare", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_compares_folders_and_draws_the_curves(tmp_path: Path) -> None:
    for name, share in (("a", 0.3), ("b", 0.8)):
        for seed in range(2):
            folder = tmp_path / f"{name}{seed}"
            folder.mkdir()
            rows = curve(share, seed)
            for step in (100, 200, 300, 400, 500):
                add_to_table(folder / PROBE_TABLE, [row for row in rows if row.step == step])
    out = tmp_path / "out"
    invoke(f"λ = 0={tmp_path}/a0,{tmp_path}/a1", f"λ=1={tmp_path}/b0,{tmp_path}/b1", "-o", out)
    assert {path.name for path in out.iterdir()} == {"compare.md", "compare.csv", "curves.png"}


def test_the_command_reads_reports_of_sampled_videos(tmp_path: Path) -> None:
    for name, share in (("a", 0.2), ("b", 0.9)):
        (tmp_path / name).mkdir()
        pairs = [dataclasses.asdict(row) | {"chance": 0.25, "stands_still": float(row.static),
                                            "follows": float(row.follows)}
                 for row in curve(share, 1, (1,))]
        (tmp_path / name / "report.json").write_text(json.dumps({"pairs": pairs}))
    text = invoke(f"a={tmp_path}/a", f"b={tmp_path}/b", "-o", tmp_path / "out")
    assert "Margin" not in text
    assert not (tmp_path / "out/curves.png").exists()


@pytest.mark.parametrize(("arms", "words"), [
    (["plain"], "NAME=PLACE"), (["a=nowhere"], "probe.csv"), (["a={tmp}/bad"], "report"),
])
def test_what_is_no_arm_is_said(tmp_path: Path, arms: list[str], words: str) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/report.json").write_text("[" * 100_000)
    given = [arm.format(tmp=tmp_path) for arm in arms]
    result = CliRunner().invoke(cli, ["scenes", "compare", *given, "-o", str(tmp_path / "out")])
    assert result.exit_code != 0
    assert words in f"{result.output} {result.exception}"
