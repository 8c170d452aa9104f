"""A report finds what is true, excludes by the rule, marks what is missing, and escapes names."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats
from tiny_study import arrive, attentive, blank_study, careless, finish, judge, judge_all

from motifocal.media.picture import read_image
from motifocal.study.protocol import Protocol
from motifocal.study.report.files import (
    to_comparisons_csv,
    to_json,
    to_metrics_csv,
    to_pairs_csv,
    to_scenarios_csv,
    write_files,
)
from motifocal.study.report.report import Report, make_report
from motifocal.study.report.source import NO_RULE, ExpectedVotes, Source, read_source
from motifocal.study.report.tables import tables, to_latex, to_markdown
from motifocal.study.report.words import sentence
from motifocal.study.stats.intervals import Resampling
from motifocal.study.stats.metric_votes import POOLED, MetricScores, kendall, read_scores
from motifocal.study.stats.simulation import simulate
from motifocal.study.stats.simulation_design import Design, Truth, paper_pairs
from motifocal.study.votes import Vote, write_votes

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from study_population import population

QUICK = Resampling(resamples=200)
SMALL = Design(pairs=paper_pairs()[:48], ours="Ours", baselines=("First", "Second"), annotators=12,
               gold=8)
TRUTH = Truth(shares=(0.8, 0.5))
BAR = re.compile(r"(?<!\\)\|")
HOSTILE = "=1+1|<b>&\\input{x}_$%\x1b[0m\n@"


def source_of(
    votes: Sequence[Vote], protocol: Protocol | None = None, wanted: int = 5
) -> Source:
    """Simulated votes as a source; every pair that any comparison has is wanted of all."""
    models = dict.fromkeys(vote.unit[0] for vote in votes if vote.gold is None)
    pairs = {(vote.pair, vote.seed) for vote in votes if vote.gold is None}
    return Source(tuple(votes), protocol, "",
                  tuple(ExpectedVotes(m, len(pairs), wanted) for m in models))


def outputs(report: Report) -> dict[str, str]:
    """All texts of a report."""
    return {"json": to_json(report), "comparisons": to_comparisons_csv(report),
            "pairs": to_pairs_csv(report), "scenarios": to_scenarios_csv(report),
            "md": to_markdown(report), "tex": to_latex(report), "sentence": sentence(report)}


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture(scope="module")
def votes() -> list[Vote]:
    return simulate(SMALL, TRUTH, seed=2)


@pytest.fixture(scope="module")
def made(votes: list[Vote]) -> Report:
    return make_report(source_of(votes), resampling=QUICK)


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


def test_the_mean_of_all_comparisons_is_the_mean_of_their_values(made: Report) -> None:
    assert made.averages is not None
    share, majority = made.averages
    assert share.value == pytest.approx(np.mean([each.share.value for each in made.comparisons]))
    assert majority.value == pytest.approx(
        np.mean([each.majority.score.value for each in made.comparisons]))
    widths = [each.share.high - each.share.low for each in made.comparisons]
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


def test_the_order_of_gold_votes_changes_no_share(votes: list[Vote], made: Report) -> None:
    real = [vote for vote in votes if vote.gold is None]
    assert len(real) < len(votes)
    without = make_report(source_of(real), resampling=QUICK)
    assert [each.share for each in without.comparisons] == [e.share for e in made.comparisons]
    assert made.gold
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
    votes: list[Vote], made: Report
) -> None:
    assert not made.ties_reported
    assert "Ties" not in [table.title for table in tables(made)]
    assert "ties" not in to_comparisons_csv(made)
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


def test_scores_are_given_for_a_connected_graph_of_three_models(made: Report) -> None:
    scores = made.scores["dropped"]
    assert scores.anchor == "Ours"
    assert dict(zip(scores.models, scores.score, strict=True))["First"] < -0.8
    assert "no more than the shares" in to_markdown(made)
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


def test_the_sentence_says_who_how_much_how_sure_and_on_what(made: Report) -> None:
    text = sentence(made)
    first, second = made.comparisons
    for part in (
        "48 pairs of image and prompt", f"({made.images} images)", "480 votes",
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


def test_a_pairs_votes_and_times_are_counted(made: Report, votes: list[Vote]) -> None:
    rows = rows_of(to_pairs_csv(made))
    assert len(rows) == 96
    assert all(int(row["won"]) + int(row["lost"]) == 5 for row in rows)
    took = [vote.milliseconds for vote in votes if vote.gold is None]
    assert made.all_times.median == pytest.approx(np.median(np.array(took, dtype=float)))
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


def test_intervals_over_scenarios_need_scenarios(votes: list[Vote], made: Report) -> None:
    cluster_by = make_report(source_of(votes), resampling=QUICK, cluster_by="scenario")
    assert cluster_by.comparisons[0].share.clusters < made.comparisons[0].share.clusters
    assert "intervals over scenarios" in sentence(cluster_by)
    assert cluster_by.images == made.images
    with pytest.raises(ValueError, match="need the scenario"):
        make_report(source_of([replace(v, scenario="") for v in votes]), cluster_by="scenario")


# A study in its database


def test_a_database_gives_the_same_report_as_its_exported_votes(tmp_path: Path) -> None:
    with blank_study(tmp_path / "study.db", pictures=6, gold_every=4) as store:
        while store.progress().done < store.progress().wanted:
            judge_all(store, attentive)
        write_votes(tmp_path / "votes.jsonl", store.votes())
        (tmp_path / "protocol.json").write_text(store.protocol.to_json())
        failed = store.failed_gold()
    held = make_report(read_source(tmp_path / "study.db"), resampling=QUICK)
    read = make_report(read_source(tmp_path / "votes.jsonl", protocol=tmp_path / "protocol.json"),
                       resampling=QUICK)
    assert to_json(held) == to_json(read)
    assert held.failed == failed == set()
    assert held.comparisons[0].share.value == 1
    assert held.marks == ()


def test_a_database_names_who_fails_as_the_store_does_and_what_is_still_wanted(
    tmp_path: Path,
) -> None:
    with blank_study(tmp_path / "study.db", pictures=6, gold_every=2, gold_least=2) as store:
        for resampling in (careless, attentive, attentive):
            judge_all(store, resampling)
        failed, progress = store.failed_gold(), store.progress()
    source = read_source(tmp_path / "study.db")
    assert source.failed() == failed
    assert len(failed) == 1
    report = make_report(source, resampling=QUICK)
    (missing,) = report.missing
    assert missing.wanted == progress.wanted == 36
    assert missing.lacking == progress.wanted - progress.done + report.excluded


def test_comparisons_without_any_vote_are_missing_too(tmp_path: Path) -> None:
    with blank_study(tmp_path / "study.db", baselines=2, votes=1) as store:
        judge(store, arrive(store))
        wanted = store.progress().wanted
    report = make_report(read_source(tmp_path / "study.db"), ours="Ours", resampling=QUICK)
    assert sum(each.lacking for each in report.missing) == wanted - 1
    assert len(report.missing) == 2
    assert "INCOMPLETE: 15 of 16" in sentence(report)


def test_replaced_votes_make_a_study_complete_again(tmp_path: Path) -> None:
    with blank_study(tmp_path / "study.db", pictures=6, gold_every=2, gold_least=2) as store:
        judge_all(store, careless)
        finish(store)
        for _ in range(20):
            if not store.reopen_failed():
                break
            while store.progress().done < store.progress().wanted:
                judge_all(store, attentive)
    report = make_report(read_source(tmp_path / "study.db"), resampling=QUICK)
    assert report.excluded > 0
    assert report.marks == ()
    assert report.votes == 36


def test_a_file_of_votes_is_refused_where_it_cannot_be_true(
    votes: list[Vote], tmp_path: Path
) -> None:
    path = tmp_path / "votes.jsonl"
    write_votes(path, [*votes, votes[0]])
    with pytest.raises(ValueError, match="cannot be true"):
        read_source(path)
    write_votes(path, [vote for vote in votes if vote.gold])
    with pytest.raises(ValueError, match="should hold votes, got none"):
        read_source(path)
    write_votes(path, votes)
    (tmp_path / "protocol.json").write_text(Protocol().to_json())
    with pytest.raises(ValueError, match="should be the protocol of the votes"):
        read_source(path, protocol=tmp_path / "protocol.json")
    (tmp_path / "protocol.json").write_text("[]")
    with pytest.raises(ValueError, match="should be a protocol"):
        read_source(path, protocol=tmp_path / "protocol.json")
    assert {each.votes for each in read_source(path).expected} == {5}
    assert {each.votes for each in read_source(path, votes_per_pair=7).expected} == {7}


# Automatic measures


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
    votes: list[Vote], made: Report, tmp_path: Path, better: str, sign: int
) -> None:
    numbers = {}
    for place, pair in enumerate(SMALL.pairs):
        numbers["Ours", place] = 0.0
        for c, model in enumerate(SMALL.baselines):
            numbers[model, place] = -sign * float(leads_of(made, c)[pair.stem])
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
