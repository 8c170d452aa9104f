"""A judge is set beside the votes: it agrees where it is right, and a failure never agrees."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from motifocal.cli import cli
from motifocal.study.report.files import to_json, to_judges_csv
from motifocal.study.report.report import Report, make_report
from motifocal.study.report.source import ExpectedVotes, Source
from motifocal.study.report.tables import to_markdown
from motifocal.study.stats.agreement import alpha
from motifocal.study.stats.intervals import Resampling
from motifocal.study.stats.judge_votes import (
    ALL,
    OURS,
    POOLED,
    THEIRS,
    JudgeScores,
    JudgeVote,
    read_judge,
)
from motifocal.study.stats.simulation import simulate
from motifocal.study.stats.simulation_design import Design, Truth, paper_pairs
from motifocal.study.votes import Vote, write_votes

DESIGN = Design(pairs=paper_pairs()[:48], ours="Ours", baselines=("First", "Second"),
                annotators=12, gold=0)
QUICK = Resampling(resamples=200)
Score = Callable[[str, str], float | None]


@pytest.fixture(scope="module")
def votes() -> list[Vote]:
    return simulate(DESIGN, Truth(shares=(0.7, 0.5)), seed=3)


@pytest.fixture(scope="module")
def people(votes: list[Vote]) -> Report:
    return make_report(source_of(votes), resampling=QUICK)


def source_of(votes: Sequence[Vote]) -> Source:
    models = dict.fromkeys(vote.unit[0] for vote in votes)
    return Source(tuple(votes), None, "", tuple(ExpectedVotes(m, 48, 5) for m in models))


def judge_by(score: Score) -> JudgeScores:
    """A judge whose score is a function of model and stem."""
    return JudgeScores("J", "J tells nothing apart.", {
        (model, pair.stem, 0): score(model, pair.stem)
        for model in ("Ours", "First", "Second") for pair in DESIGN.pairs}, ("SUBSET: some",))


def rows_with(votes: Sequence[Vote], score: Score) -> dict[tuple[str, str], JudgeVote]:
    report = make_report(source_of(votes), resampling=QUICK, judged=[judge_by(score)])
    return {(row.theirs, row.part): row for row in report.judges[0].rows}


def leads_of(report: Report, place: int) -> dict[str, int]:
    tally = report.tallies[place]
    return {stem: int(won - lost) for stem, (won, lost, _) in
            zip(tally.pairs, tally.outcomes, strict=True)}


def knows(people: Report) -> Score:
    """What a judge gives that knows how the votes of each comparison went."""
    leads = {model: leads_of(people, place) for place, model in enumerate(("First", "Second"))}
    return lambda model, stem: 0.5 if model == "Ours" else 0.5 - leads[model][stem] / 20


def test_a_judge_that_knows_the_votes_agrees_on_both_sides_and_everywhere(
    votes: list[Vote], people: Report
) -> None:
    rows = rows_with(votes, knows(people))
    assert {theirs for theirs, _ in rows} == {"First", "Second", POOLED}
    assert all(row.agreement.value == 1 for row in rows.values() if row.pairs > row.even)
    assert rows[POOLED, ALL].pairs == 96
    sides = [rows["First", part].pairs for part in (OURS, THEIRS)]
    assert sum(sides) == 48 - rows["First", ALL].even
    row = rows["First", ALL]
    assert row.alpha_people.value == pytest.approx(people.comparisons[0].alpha.value)
    assert row.alpha_with.value > row.alpha_people.value
    scenarios = {part for _, part in rows} - {ALL, OURS, THEIRS}
    assert scenarios == {pair.scenario for pair in DESIGN.pairs}


def test_a_judge_that_always_prefers_one_model_is_right_on_one_side_only(
    votes: list[Vote],
) -> None:
    rows = rows_with(votes, lambda model, stem: float(model == "Ours"))
    assert rows["First", OURS].agreement.value == 1
    assert rows["First", THEIRS].agreement.value == 0
    assert 0.5 < rows["First", ALL].agreement.value < 1


def test_a_judge_that_gives_all_the_same_is_half_right_and_lowers_alpha(
    votes: list[Vote],
) -> None:
    rows = rows_with(votes, lambda model, stem: 0.7)
    assert {row.agreement.value for row in rows.values() if row.pairs > row.even} == {0.5}
    assert rows["First", ALL].alpha_with.value < rows["First", ALL].alpha_people.value


def test_a_failure_is_a_wrong_answer_and_an_answer_of_its_own(
    votes: list[Vote], people: Report
) -> None:
    right = knows(people)
    failing = {pair.stem for pair in DESIGN.pairs[::2]}
    rows = rows_with(votes, lambda m, stem: None if stem in failing else right(m, stem))
    row = rows["First", ALL]
    leads = leads_of(people, 0)
    decided = [stem for stem, lead in leads.items() if lead]
    assert row.failed == 24
    assert row.agreement.value == pytest.approx(
        sum(stem not in failing for stem in decided) / len(decided))
    # By hand: the annotators' counts and the judge's vote, in a column of its own where it failed.
    counts = np.zeros((48, 4))
    for place, (stem, lead) in enumerate(leads.items()):
        counts[place, :3] = people.tallies[0].outcomes[place]
        counts[place, 3 if stem in failing else 0 if lead > 0 else 1 if lead < 0 else 2] += 1
    assert row.alpha_with.value == pytest.approx(alpha(counts))
    all_failed = rows_with(votes, lambda model, stem: None)
    assert all_failed[POOLED, ALL].agreement.value == 0
    assert all_failed[POOLED, ALL].failed == 96


def test_what_it_was_not_asked_about_is_left_out_and_counted(
    votes: list[Vote], people: Report
) -> None:
    scores = judge_by(knows(people))
    half = {key: value for key, value in scores.scores.items()
            if key[1] not in {pair.stem for pair in DESIGN.pairs[:10]} and key[0] != "Second"}
    report = make_report(source_of(votes), resampling=QUICK,
                         judged=[JudgeScores("J", "", half, ())])
    rows = {(row.theirs, row.part): row for row in report.judges[0].rows}
    assert (rows["First", ALL].not_asked, rows["Second", ALL].not_asked) == (10, 48)
    assert rows["First", ALL].agreement.value == 1
    assert np.isnan(rows["Second", ALL].agreement.value)
    with pytest.raises(ValueError, match="the scores by J should be of Ours, First, Second, got X"):
        make_report(source_of(votes), resampling=QUICK,
                    judged=[JudgeScores("J", "", {("X", "y", 0): 0.5}, ())])


def scores_file(folder: Path, judge: JudgeScores) -> Path:
    videos = [{"model": model, "scenario": pair.scenario, "image_id": pair.image_id,
               "prompt": pair.prompt, "seed": 0, "score": judge.scores[model, pair.stem, 0],
               "failure": None} for model in ("Ours", "First", "Second") for pair in DESIGN.pairs]
    path = folder / "scores.json"
    path.write_text(json.dumps({"kind": "motifocal judge", "judge": judge.judge,
                                "verdict": judge.verdict, "marks": list(judge.marks),
                                "videos": videos}))
    return path


def test_the_command_prints_the_judges_and_writes_their_table(
    votes: list[Vote], people: Report, tmp_path: Path
) -> None:
    judge = judge_by(knows(people))
    path = scores_file(tmp_path, judge)
    assert read_judge(path) == judge
    write_votes(tmp_path / "votes.jsonl", votes)
    arguments = ["study", "report", str(tmp_path / "votes.jsonl"), "--ours", "Ours", "--judge",
                 str(path), "--no-figures", "--resamples", "200", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "J beside the votes" in done.output
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "judges.csv").read_text())))
    assert {row["judge"] for row in rows} == {"J"}
    assert {row["theirs"] for row in rows} == {"First", "Second", ""}
    report = make_report(source_of(votes), resampling=QUICK, judged=[judge])
    assert "J tells nothing apart." in to_markdown(report)
    assert "SUBSET: some" in to_markdown(report)
    assert json.loads(to_json(report))["judges"][0]["judge"] == "J"
    assert to_judges_csv(report).startswith("judge,ours,theirs,part,pairs,not_asked,failed")


@pytest.mark.parametrize("content", [
    "{}", "[]", '{"kind": "motifocal calibration"}', "{",
    '{"kind": "motifocal judge", "judge": "J", "verdict": "", "marks": [], "videos": [{}]}',
    '{"kind": "motifocal judge", "judge": "J", "verdict": "", "marks": [], "videos": [{"model": '
    '"m", "scenario": "", "image_id": "a", "prompt": "b", "seed": 0, "score": 7}]}',
    '{"kind": "motifocal judge", "judge": "J", "verdict": "", "marks": [], "videos": [{"model": '
    '"m", "scenario": "", "image_id": "a", "prompt": "b", "seed": Infinity, "score": 1}]}',
])  # fmt: skip
def test_a_file_that_no_judge_wrote_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="should be what motifocal bench judge writes"):
        read_judge(path)
