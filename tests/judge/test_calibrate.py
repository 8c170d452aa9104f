"""A judge is measured where the truth is known; oracle, yes-man and first-frame judge differ."""

from __future__ import annotations

import json
import math
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from tiny_judges import RuleJudge, chance, first_frame_only

from motifocal.bench.judge.calibration import (
    Calibration,
    calibrate,
    fit_platt,
    reliability,
)
from motifocal.bench.judge.calibration_report import (
    ALL,
    JudgeReport,
    make_report,
    statement,
    to_markdown,
)
from motifocal.bench.judge.judge import REFUSED, TEMPLATE, Failure, Query
from motifocal.bench.judge.scene_cases import (
    ANOTHER,
    OWN,
    STILL,
    Case,
    CaseAnswer,
    ask_scenes,
    scene_cases,
    scene_queries,
    shows_too,
)
from motifocal.cli import cli
from motifocal.scenes.evaluation.evaluate import KINDS, eval_pairs, truth_of_pair

PAIRS, SIZE = 40, 24


@cache
def asked() -> list[tuple[Case, Query]]:
    """What is asked of the cases, which takes seconds to draw."""
    cases = scene_cases(PAIRS, SIZE)
    return [(cases[place], query) for place, query in scene_queries(cases, 4)]


def report_of(judge: RuleJudge, platt: bool = False) -> JudgeReport:
    cases = scene_cases(PAIRS, SIZE)
    outcomes = judge.ask([query for _, query in asked()])
    answers = [CaseAnswer(case, outcome) for (case, _), outcome in
               zip(asked(), outcomes, strict=True)]
    return make_report(judge.name, judge.identity, "scenes", 4, TEMPLATE, answers, platt=platt,
                       left_out=len(cases) - len(answers))


def truths() -> dict[bytes, bool]:
    """What is true of every query of the cases, by frames and prompt."""
    return {query.frames.tobytes() + query.prompt.encode(): case.truth for case, query in asked()}


def test_what_is_asked_is_answered_case_by_case_and_kept(tmp_path: Path) -> None:
    cases = scene_cases(3, SIZE)
    judge = RuleJudge(first_frame_only, batch=4)
    answers = ask_scenes(judge, cases, tmp_path, count=4)
    for answer, query in zip(answers, judge.asked, strict=True):
        case = answer.case
        truth = truth_of_pair(case.pair)
        clip = truth.stands_still() if case.shown is None else truth.clips[case.shown]
        assert (query.frames == clip[[0, 5, 10, 15]]).all()
        assert query.question == f'Does the video show this: "{case.pair.prompt}"?'
    again = RuleJudge(first_frame_only)
    assert ask_scenes(again, cases, tmp_path, count=4) == answers
    assert again.asked == []


def test_oracle_yes_man_and_first_frame_judge_are_told_apart_in_words() -> None:
    known = truths()

    def exact(query: Query) -> float:
        return float(known[query.frames.tobytes() + query.prompt.encode()])

    oracle = report_of(RuleJudge(exact, "oracle"))
    whole = oracle.tables[ALL]
    assert (whole.accuracy.mean, whole.auc.mean, whole.error.mean, whole.bias.mean) == (1, 1, 0, 0)
    assert statement(oracle).startswith("oracle tells what happens: 100.0 (100.0 to 100.0) % right")

    assert 0 < oracle.left_out < 5
    assert f"{oracle.left_out} questions were not asked" in to_markdown(oracle)

    yes = report_of(RuleJudge(lambda query: 0.97, "yes-man"))
    assert yes.tables[ALL].auc.mean == 0.5
    assert yes.tables[ALL].bias.mean == pytest.approx(1 - yes.tables[ALL].true)
    assert statement(yes).startswith("yes-man says yes to nearly everything: yes in 100 %")

    first = report_of(RuleJudge(first_frame_only, "first"))
    assert 0.2 < first.tables[ALL].yes.mean < 0.8
    assert first.apart[STILL].mean == first.apart[ANOTHER].mean == 0
    assert statement(first).startswith("first answers alike whatever happens after the first frame")
    assert len({statement(report)[:20] for report in (oracle, yes, first)}) == 3
    assert set(oracle.tables) == {ALL, *KINDS}


def test_a_judge_that_sees_motion_but_not_which_is_said_to() -> None:
    def moves(query: Query) -> float:
        return 0.8 if (query.frames != query.frames[0]).any() else 0.1

    words = statement(report_of(RuleJudge(moves, "mover")))
    assert words.startswith("mover does not tell a prompt's own clip from another prompt's "
                            "clip")


def test_nothing_is_said_of_control_clips_where_one_image_alone_was_answered() -> None:
    truth = truths()
    image = asked()[0][0].pair.image_id

    def exact(query: Query) -> float | Failure:
        return float(truth[query.frames.tobytes() + query.prompt.encode()])

    answers = [CaseAnswer(case, RuleJudge(exact).ask([query])[0]) for case, query in asked()
               if case.pair.image_id == image]
    report = make_report("oracle", {}, "scenes", 4, TEMPLATE, answers)
    assert statement(report) == (
        "Whether oracle tells a prompt's own clip from another prompt's clip or from the still "
        "image cannot be said: that needs answers about two images or more.")


def test_failures_are_wrong_answers_and_are_counted() -> None:
    known = truths()

    def half(query: Query) -> float | Failure:
        key = query.frames.tobytes() + query.prompt.encode()
        return Failure(REFUSED, "") if chance(key) < 0.5 else float(known[key])

    whole = report_of(RuleJudge(half, "half")).tables[ALL]
    answered = whole.questions - whole.failures
    assert 0.3 < answered / whole.questions < 0.7
    assert whole.accuracy.mean == pytest.approx(answered / whole.questions)
    assert whole.auc.mean == 1
    none = report_of(RuleJudge(lambda query: Failure(REFUSED, ""), "none"))
    assert statement(none) == "none answered no question: there is nothing to believe."


def test_every_case_is_true_of_its_own_clip_alone() -> None:
    cases = scene_cases(PAIRS, SIZE)
    assert {case.clip for case in cases} == {OWN, ANOTHER, STILL}
    assert all(case.truth == (case.clip == OWN) for case in cases)
    for case in cases:
        prompts = [action.sentence for action in case.pair.stage().actions]
        if case.clip == ANOTHER:
            assert case.shown is not None
            assert prompts[case.shown] != case.pair.prompt
            assert not shows_too(case.pair.prompt, prompts[case.shown])
    assert shows_too("the blue balloon floats up", "all the balloons drift higher into the sky")
    assert not shows_too("all the balloons drift higher into the sky", "the blue balloon floats up")
    assert len([case for case in cases if case.clip == OWN]) == len(eval_pairs(PAIRS, SIZE))


# Numbers.


def of(probability: list[float], truth: list[bool], images: str) -> Calibration:
    return calibrate(np.array(probability), np.array(truth), list(images))


def test_accuracy_auc_error_and_bias_are_those_of_a_small_example() -> None:
    # Yes is said to 0.9, 0.6, 0.55: right, right, wrong; no to 0.4 and 0.05: wrong, right.
    result = of([0.9, 0.6, 0.55, 0.4, 0.05], [True, True, False, True, False], "aabbc")
    assert result.accuracy.mean == pytest.approx(3 / 5)
    # Of the 3 x 2 pairs of true and false, 0.9 and 0.6 win both, 0.4 wins one.
    assert result.auc.mean == pytest.approx(5 / 6)
    # Bins: 0.05 | 0.4 | 0.55 | 0.6 | 0.9, each alone.
    assert result.error.mean == pytest.approx((0.05 + 0.6 + 0.55 + 0.4 + 0.1) / 5)
    assert result.bias.mean == pytest.approx(3 / 5 - 3 / 5)
    assert (result.questions, result.images, result.failures) == (5, 3, 0)


def test_ties_count_half_in_the_auc_and_nothing_is_measured_of_nothing() -> None:
    assert of([0.5, 0.5], [True, False], "ab").auc.mean == 0.5
    failed = of([math.nan, math.nan], [True, False], "ab")
    assert failed.accuracy.mean == 0
    assert math.isnan(failed.auc.mean)
    with pytest.raises(ValueError, match="at least one, got 0, 0 and 0"):
        of([], [], "")


def test_intervals_are_over_images_and_there_is_none_of_one_image() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(400) < 0.5
    probability = np.where(rng.random(400) < 0.8, truth, ~truth) * 0.8 + 0.1
    many = calibrate(probability, truth, [str(k) for k in range(400)])
    few = calibrate(np.repeat(probability[:40], 10), np.repeat(truth[:40], 10),
                    [str(k // 10) for k in range(400)])
    assert few.accuracy.high - few.accuracy.low > 2 * (many.accuracy.high - many.accuracy.low)
    assert many.accuracy.low < 0.8 < many.accuracy.high
    one = calibrate(probability, truth, ["a"] * 400)
    assert math.isnan(one.accuracy.low)


def test_the_reliability_curve_has_the_mean_of_each_bin() -> None:
    bins = reliability(np.array([0.11, 0.19, 1.0, math.nan]), np.array([True, False, True, True]))
    assert [(b.count, b.mean, b.true) for b in bins] == [(2, pytest.approx(0.15), 0.5), (1, 1, 1)]


def test_platt_scaling_finds_the_logits_that_the_truth_was_drawn_with() -> None:
    rng = np.random.default_rng(1)
    logit = rng.normal(0, 2, 20_000)
    truth = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * logit - 1)))
    probability = 1 / (1 + np.exp(-logit))
    platt = fit_platt(probability, truth)
    assert platt.slope == pytest.approx(0.5, abs=0.03)
    assert platt.offset == pytest.approx(-1, abs=0.05)
    images = [str(k % 50) for k in range(2000)]
    before, after = (calibrate(values[:2000], truth[:2000], images) for values in
                     (probability, platt.apply(probability)))
    assert after.error.mean < 0.3 * before.error.mean
    assert after.auc.mean == pytest.approx(before.auc.mean)
    with pytest.raises(ValueError, match="got 2 and 0"):
        fit_platt(np.array([0.2, 0.3]), np.array([True, True]))


def test_platt_scaling_of_a_perfect_judge_stays_finite() -> None:
    platt = fit_platt(np.array([0.0, 0.0, 1.0, 1.0]), np.array([False, False, True, True]))
    assert np.isfinite([platt.slope, platt.offset]).all()
    assert platt.slope > 0


def test_platt_is_fitted_on_one_half_and_reported_on_the_other() -> None:
    known = truths()

    def shy(query: Query) -> float:  # right, and far too unsure
        return 0.45 + 0.1 * known[query.frames.tobytes() + query.prompt.encode()]

    report = report_of(RuleJudge(shy, "shy"), platt=True)
    assert report.platt is not None
    _, before, after = report.platt
    assert 0 < before.questions < report.tables[ALL].questions
    assert after.error.mean < before.error.mean / 4
    assert "Platt scaling, fitted on half of the images" in to_markdown(report)


# The command.


def test_the_command_writes_the_report_and_resumes(tmp_path: Path) -> None:
    code = ("import sys, pathlib\nfrom PIL import Image\n"
            "frames = sorted(pathlib.Path(sys.argv[1]).iterdir())\n"
            "same = Image.open(frames[0]).tobytes() == Image.open(frames[-1]).tobytes()\n"
            "pathlib.Path(sys.argv[2]).write_text('0.1' if same else '0.9')\n")
    (tmp_path / "judge.py").write_text(code)
    arguments = ["bench", "calibrate", "--command", f"{sys.executable} {tmp_path / 'judge.py'} "
                 "{frames} {output}", "--name", "mover", "--pairs", "3", "--size", "24",
                 "--frames", "2", "-o", str(tmp_path / "out"), "-q"]  # fmt: skip
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "out" / "calibration.json").read_text())
    assert content["kind"] == "motifocal calibration"
    assert content["statement"] in done.output
    assert content["tables"]["all"]["failures"] == 0
    assert (tmp_path / "out" / "reliability.png").read_bytes()[:4] == b"\x89PNG"
    (tmp_path / "judge.py").write_text("raise SystemExit(1)")
    again = CliRunner().invoke(cli, arguments)
    assert again.exit_code == 0
    assert content == json.loads((tmp_path / "out" / "calibration.json").read_text())
