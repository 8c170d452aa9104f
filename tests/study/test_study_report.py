"""A report finds what is true, excludes by the rule, marks what is missing, and escapes names."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from simulated_reports import QUICK, SMALL, TRUTH, rows_of, source_of

from motifocal.media.picture import read_image
from motifocal.study.protocol import Protocol
from motifocal.study.report.files import (
    to_comparisons_csv,
    to_json,
    to_pairs_csv,
    to_scenarios_csv,
    write_files,
)
from motifocal.study.report.report import Report, make_report
from motifocal.study.report.source import NO_RULE
from motifocal.study.report.tables import tables, to_latex, to_markdown
from motifocal.study.report.words import sentence
from motifocal.study.stats.simulation import simulate
from motifocal.study.stats.simulation_design import Design
from motifocal.study.votes import Vote

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from study_population import population

BAR = re.compile(r"(?<!\\)\|")
HOSTILE = "=1+1|<b>&\\input{x}_$%\x1b[0m\n@"


def outputs(report: Report) -> dict[str, str]:
    """All texts of a report."""
    return {"json": to_json(report), "comparisons": to_comparisons_csv(report),
            "pairs": to_pairs_csv(report), "scenarios": to_scenarios_csv(report),
            "md": to_markdown(report), "tex": to_latex(report), "sentence": sentence(report)}


def test_a_report_recovers_what_is_true_of_a_simulated_study() -> None:
    design = Design(ours="Ours", baselines=("First", "Second"))
    report = make_report(source_of(simulate(design, TRUTH, seed=4)), resampling=QUICK)
    for c, each in enumerate(report.comparisons):
        true = population(design, TRUTH, c)
        for found, value in ((each.share, true.share), (each.majority.score, true.majority),
                             (each.left, true.left), (each.alpha, true.alpha)):
            assert found.low - 0.02 < value < found.high + 0.02
            assert abs(found.value - value) < 0.08
    assert report.comparisons[0].p_holm < 1e-6
    assert report.comparisons[1].p_holm > 0.01
    assert report.averages is not None
    assert report.averages[0].low < 0.65 < report.averages[0].high
    assert report.marks == ()


def test_the_mean_of_all_comparisons_is_the_mean_of_their_values(simulated_report: Report) -> None:
    assert simulated_report.averages is not None
    share, majority = simulated_report.averages
    assert share.value == pytest.approx(
        np.mean([each.share.value for each in simulated_report.comparisons]))
    assert majority.value == pytest.approx(
        np.mean([each.majority.score.value for each in simulated_report.comparisons]))
    widths = [each.share.high - each.share.low for each in simulated_report.comparisons]
    assert 0 < share.high - share.low < max(widths)


def test_the_same_votes_and_seed_give_the_same_bytes(votes: list[Vote], tmp_path: Path) -> None:
    folders = []
    for name in "ab":
        report = make_report(source_of(votes), resampling=QUICK)
        written = write_files(report, tmp_path / name)
        folders.append({path.name: path.read_bytes() for path in written})
    assert folders[0] == folders[1]
    assert {"figure4.png", "figure4.pdf", "graph.png", "report.json"} <= set(folders[0])
    other = make_report(source_of(votes), resampling=replace(QUICK, seed=1))
    assert to_json(other) != folders[0]["report.json"].decode()
    assert read_image(tmp_path / "a" / "figure4.png").shape[1] == 1020


def test_the_order_of_gold_votes_changes_no_share(
    votes: list[Vote], simulated_report: Report
) -> None:
    real = [vote for vote in votes if vote.gold is None]
    assert len(real) < len(votes)
    without = make_report(source_of(real), resampling=QUICK)
    shares = [each.share for each in simulated_report.comparisons]
    assert [each.share for each in without.comparisons] == shares
    assert simulated_report.gold
    assert without.gold == ()


def test_annotators_who_fail_the_rule_are_excluded_and_counted() -> None:
    messy = replace(TRUTH, careless=0.25)
    votes = simulate(replace(SMALL, gold=24), messy, seed=5)
    report = make_report(source_of(votes, Protocol(votes=5)), resampling=QUICK)
    assert 1 <= len(report.failed) <= 3
    theirs = [vote for vote in votes if vote.worker in report.failed and vote.gold is None]
    assert report.excluded == len(theirs) > 0
    assert report.votes == report.total_votes - len(theirs)
    assert report.annotators == 12 - len(report.failed)
    assert f"Excluded: {len(report.failed)} annotator" in to_markdown(report).replace("\\", "")
    assert "by the rule set beforehand" in sentence(report)
    assert json.loads(to_json(report))["gold"]["failed_annotators"] == sorted(report.failed)
    # Those whose votes are left out leave pairs with fewer votes than wanted.
    assert f"({len(theirs)} votes were excluded)" in report.marks[0]


def test_without_a_protocol_nobody_is_excluded_and_the_report_says_so() -> None:
    votes = simulate(replace(SMALL, gold=24), replace(TRUTH, careless=0.5), seed=5)
    report = make_report(source_of(votes), resampling=QUICK)
    assert report.excluded == 0
    assert NO_RULE in to_json(report)


def test_an_incomplete_study_is_marked_in_every_output(
    votes: list[Vote], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = [vote for vote in votes if vote.gold is None]
    gone = real[7].unit
    counted_votes = [vote for vote in real[1:] if vote.unit != gone]
    report = make_report(source_of(counted_votes), resampling=QUICK)
    assert report.marks == ("INCOMPLETE: 2 of 96 comparisons of a pair have fewer votes than "
                            "wanted; 6 of 480 votes are missing (0 votes were excluded)",)
    for name, text in outputs(report).items():
        assert "INCOMPLETE: 2 of 96" in text, name
    written: list[str] = []
    below = Figure.supxlabel

    def recording(figure: Figure, text: str, **options: Any) -> Any:
        written.append(" ".join(text.split()))
        return below(figure, text, **options)

    monkeypatch.setattr(Figure, "supxlabel", recording)
    write_files(report, tmp_path)
    assert len(written) == 2  # figure4 and graph
    assert all(report.marks[0] in text for text in written)


def test_ties_are_reported_only_where_there_are_any_or_may_be(
    votes: list[Vote], simulated_report: Report
) -> None:
    assert not simulated_report.ties_reported
    assert "Ties" not in [table.title for table in tables(simulated_report)]
    assert "ties" not in to_comparisons_csv(simulated_report)
    allowed = make_report(source_of(votes, Protocol(ties=True)), resampling=QUICK)
    assert "Ties" in [table.title for table in tables(allowed)]
    tied = make_report(source_of(simulate(SMALL, replace(TRUTH, ties=0.3), seed=2)),
                       resampling=QUICK)
    first = tied.comparisons[0]
    assert first.ties.value > 0.1
    assert 0.5 < first.share_ties_halved.value < first.share.value
    davidson = tied.davidson["First"]
    assert davidson.share.low < davidson.share.value < davidson.share.high
    assert davidson.share.value == pytest.approx(first.share.value, abs=0.06)
    assert davidson.nu is not None
    assert davidson.nu > 0.3
    assert set(tied.scores) == {"dropped", "halved", "davidson"}
    assert "ties dropped" in sentence(tied)


def test_scores_are_given_for_a_connected_graph_of_three_models(simulated_report: Report) -> None:
    scores = simulated_report.scores["dropped"]
    assert scores.anchor == "Ours"
    assert dict(zip(scores.models, scores.score, strict=True))["First"] < -0.8
    assert "no more than the shares" in to_markdown(simulated_report)
    ring = replace(SMALL, round_robin=True)
    round_robin = make_report(source_of(simulate(ring, TRUTH, 3)), ours="Ours", resampling=QUICK)
    assert len(round_robin.edges) == 3
    assert "no more than the shares" not in to_markdown(round_robin)


def test_without_a_connected_graph_the_report_says_why_there_are_no_scores(
    votes: list[Vote], tmp_path: Path
) -> None:
    apart = [replace(vote, model_a="Other", model_b="Another") if "Second" in vote.unit[0] else vote
             for vote in votes if vote.gold is None]
    report = make_report(source_of(apart), ours="Ours", resampling=QUICK)
    assert report.scores == {}
    assert "2 parts that no vote links: Ours, First; Other, Another" in report.no_scores
    assert report.no_scores in to_markdown(report)
    assert "graph.png" not in [path.name for path in write_files(report, tmp_path)]
    two = make_report(source_of([v for v in votes if "First" in v.unit[0] and not v.gold]))
    assert "two models" in two.no_scores


def test_names_and_sentences_of_anybody_do_no_harm(votes: list[Vote], tmp_path: Path) -> None:
    named = [replace(vote, model_b=HOSTILE if vote.model_b == "First" else vote.model_b,
                     prompt=f"@{vote.prompt}", scenario=f"-{vote.scenario}",
                     pair=f"+{vote.pair}") for vote in votes if vote.gold is None]
    report = make_report(source_of(named), ours="Ours", resampling=QUICK)
    texts = outputs(report)
    for name in ("comparisons", "pairs", "scenarios"):
        for row in rows_of(texts[name]):
            starts = {key: cell[:1] for key, cell in row.items() if not _is_number(cell)}
            assert not set(starts.values()) & set("=+-@\t\r\n"), (name, starts)
    assert rows_of(texts["comparisons"])[0]["theirs"] == "'" + HOSTILE
    assert json.loads(texts["json"])["comparisons"][0]["theirs"] == HOSTILE
    for name in ("md", "tex", "sentence"):
        assert "\x1b" not in texts[name]
    assert "<b>" not in texts["md"]
    assert "=1\\+1\\|&lt;b&gt;&amp;\\\\input" in texts["md"]
    for table in texts["md"].split("\n\n"):
        if table.startswith("|"):  # bars that end a cell: as many in each line
            assert len({len(BAR.findall(line)) for line in table.splitlines()}) == 1
    body = [line for line in texts["tex"].splitlines() if not line.startswith("%")]
    assert not any("\\input" in line for line in body)
    escaped = "=1+1\\textbar{}\\textless{}b\\textgreater{}\\&\\textbackslash{}input\\{x\\}\\_\\$\\%"
    assert any(escaped in line for line in body)
    write_files(report, tmp_path)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def test_the_sentence_says_who_how_much_how_sure_and_on_what(simulated_report: Report) -> None:
    text = sentence(simulated_report)
    first, second = simulated_report.comparisons
    for part in (
        "48 pairs of image and prompt", f"({simulated_report.images} images)", "480 votes",
        "12 annotators", "5 votes a pair", "Ours was preferred to First",
        f"{100 * first.share.value:.1f} % [{100 * first.share.low:.1f}, ",
        f"majority in {100 * first.majority.score.value:.1f} %", "p < 0.001",
        "no preference between Ours and Second was found", f"p = {second.p_holm:.3f}",
        "95 % intervals over images", "two-sided sign-flip test", "Holm-adjusted over 2",
    ):  # fmt: skip
        assert part in text
    assert text.count("\n") == 1


def test_the_sentence_names_the_other_model_where_that_one_wins(votes: list[Vote]) -> None:
    only = [vote for vote in votes if vote.gold is None and "First" in vote.unit[0]]
    report = make_report(source_of(only), ours="First", resampling=QUICK)
    assert "Ours was preferred to First" in sentence(report)
    share = report.comparisons[0].share
    assert f"{100 * (1 - share.value):.1f} % [{100 * (1 - share.high):.1f}, " in sentence(report)


def test_a_pairs_votes_and_times_are_counted(simulated_report: Report, votes: list[Vote]) -> None:
    rows = rows_of(to_pairs_csv(simulated_report))
    assert len(rows) == 96
    assert all(int(row["won"]) + int(row["lost"]) == 5 for row in rows)
    took = [vote.milliseconds for vote in votes if vote.gold is None]
    median = np.median(np.array(took, dtype=float))
    assert simulated_report.all_times.median == pytest.approx(median)
    fast = [replace(vote, milliseconds=2_999) for vote in votes]
    assert make_report(source_of(fast), resampling=QUICK).all_times.under_3_s == 480
    untimed = [replace(vote, milliseconds=None) for vote in votes]
    unknown = make_report(source_of(untimed), resampling=QUICK)
    assert json.loads(to_json(unknown))["milliseconds"]["median"] is None


def test_whose_side_is_taken_is_told_where_it_cannot_be_guessed(votes: list[Vote]) -> None:
    apart = [replace(vote, model_a="Other", model_b="Another") if "Second" in vote.unit[0] else vote
             for vote in votes if vote.gold is None]
    with pytest.raises(ValueError, match="no model was compared with all others"):
        make_report(source_of(apart), resampling=QUICK)
    with pytest.raises(ValueError, match="ours should be one of"):
        make_report(source_of(votes), ours="Nobody", resampling=QUICK)


def test_intervals_over_scenarios_need_scenarios(
    votes: list[Vote], simulated_report: Report
) -> None:
    cluster_by = make_report(source_of(votes), resampling=QUICK, cluster_by="scenario")
    assert cluster_by.comparisons[0].share.clusters < simulated_report.comparisons[0].share.clusters
    assert "intervals over scenarios" in sentence(cluster_by)
    assert cluster_by.images == simulated_report.images
    with pytest.raises(ValueError, match="need the scenario"):
        make_report(source_of([replace(v, scenario="") for v in votes]), cluster_by="scenario")
