"""Judges answer questions about videos; control rows stand beside, failures are named."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_judges import FRAMES, RuleJudge, chance, first_frame_only, query, results_in

from motifocal.bench.judge.asking import PATIENCE
from motifocal.bench.judge.judge import (
    FAILURES,
    NEITHER,
    NO_CONNECTION,
    REFUSED,
    TEMPLATE,
    UNREADABLE,
    Answer,
    Failure,
    Query,
    answer_of,
    check_template,
    form_of,
    query_key,
    sample_frames,
    text_hash,
)
from motifocal.bench.judge.question_table import with_prompt_question
from motifocal.bench.judge.questions import DOES, Question
from motifocal.bench.judge.report import to_markdown, write_files
from motifocal.bench.judge.run import CONTROLS, EMPTY_PROMPT, OPPOSITE, REVERSED, judge_videos
from motifocal.bench.judge.summary import summarise, verdict, video_scores
from motifocal.bench.score.controls import ANOTHER, SHUFFLED, STILL, shuffle_order
from motifocal.media.video import read_image, read_video


def files(folder: Path) -> dict[str, bytes]:
    names = ("table.md", "scores.json", "answers.csv")
    return {name: (folder / name).read_bytes() for name in names}


def test_frames_are_taken_evenly_from_the_first_to_the_last() -> None:
    clip = np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1).repeat(3, axis=3)
    assert sample_frames(clip, 3)[:, 0, 0, 0].tolist() == [0, 4, 8]
    assert sample_frames(clip, 4)[:, 0, 0, 0].tolist() == [0, 3, 5, 8]
    assert sample_frames(clip, 1)[:, 0, 0, 0].tolist() == [0]
    assert len(sample_frames(clip, 20)) == 9
    with pytest.raises(ValueError, match="at least 1, got 0"):
        sample_frames(clip, 0)


def test_yes_is_summed_over_its_forms_and_over_yes_and_no_alone() -> None:
    tokens = [("Yes", 0.3), (" yes", 0.1), ("NO", 0.2), ("maybe", 0.4)]
    answer = answer_of(tokens)
    assert isinstance(answer, Answer)
    assert answer.probability == pytest.approx(0.4 / 0.6)
    assert answer.mass == pytest.approx(0.6)
    assert [form_of(word) for word in ("YES", "\nno", "not", "yes.")] == ["yes", "no", None, None]


def test_an_answer_without_yes_or_no_is_a_failure_that_names_the_likeliest_token() -> None:
    failure = answer_of([("I\x1b[31m", 0.99), ("yes", 0.004)])
    assert failure == Failure(NEITHER, "the likeliest first token is 'I [31m'")
    assert str(failure).startswith("neither yes nor no: ")


def test_the_text_holds_the_question_and_how_many_frames_there_are() -> None:
    assert query().text.startswith("These are 5 frames of one video")
    assert "Does it rise? Answer with yes or no only." in query().text


@pytest.mark.parametrize("template", ["yes or no?", "{question} {colour}", "{question",
                                      "{question} {prompt.author}", "{question} {count[0]}"])
def test_a_template_without_the_question_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="template should"):
        check_template(template)


def test_the_key_of_an_answer_is_of_frames_text_prompt_and_judge() -> None:
    judge = RuleJudge(lambda query: 0.5)
    same = query_key(judge, query())
    assert query_key(judge, query(FRAMES.copy())) == same
    others = [
        query_key(judge, query(FRAMES[::-1])), query_key(judge, query(prompt="a ball falls")),
        query_key(judge, query(FRAMES.reshape(5, 1, 4, 3))),
        query_key(judge, replace(query(), question="Does it fall?")),
        query_key(judge, replace(query(), template="{question}")),
        query_key(RuleJudge(lambda query: 0.5, "another"), query()),
    ]  # fmt: skip
    assert len({same, *others}) == 7


def test_every_control_row_shows_what_it_says(tmp_path: Path) -> None:
    results = results_in(tmp_path)
    judge = RuleJudge(lambda query: chance(query.frames.tobytes(), query.text.encode()))
    judged = judge_videos([results], tmp_path / "out", judge, count=4)
    by_text = {(q.frames.tobytes(), q.text) for q in judge.asked}
    pair = next(p for p in results.benchmark.pairs if p.prompt == "the ball falls, slowly!")
    video = next(v for v in results.expected() if v.pair == pair)
    own = sample_frames(read_video(video.path).frames, 4)
    other = next(v for v in results.expected() if v.pair.image_id == pair.image_id and v != video)

    def asked(row: str) -> tuple[str, str]:
        of_pair = [a for a in judged.asked if a.row == row and a.video == video]
        (item,) = [a for a in of_pair if a.question.kind == "does"]
        return item.prompt, item.text

    shown = {
        "drawing": own, REVERSED: own[::-1], EMPTY_PROMPT: own, OPPOSITE: own,
        SHUFFLED: own[list(shuffle_order(4, 0, video.path.name) or ())],
        STILL: np.repeat(read_image(results.image(pair))[None], 4, axis=0),
        ANOTHER: sample_frames(read_video(other.path).frames, 4),
    }  # fmt: skip
    for row, frames in shown.items():
        assert (frames.tobytes(), asked(row)[1]) in by_text, row
    assert asked(EMPTY_PROMPT)[0] == ""
    assert asked(OPPOSITE)[0] == "nothing moves"
    assert asked(ANOTHER)[0] == pair.prompt
    assert {row.name for row in summarise(judged)} == {"drawing", *CONTROLS}


def test_another_row_holds_only_images_with_two_prompts(tmp_path: Path) -> None:
    judged = judge_videos([results_in(tmp_path)], tmp_path / "out", RuleJudge(lambda q: 0.5))
    pairs = {row.name: row.pairs for row in summarise(judged)}
    assert pairs == {"drawing": 5, STILL: 5, SHUFFLED: 5, REVERSED: 5, ANOTHER: 4,
                     EMPTY_PROMPT: 5, OPPOSITE: 5}


def moves_to_the_right(query: Query) -> float:
    """Knows the drawing model: its pictures are shifted ever more, in order, whatever is asked."""
    still = bool((query.frames == query.frames[0]).all())
    return 0.1 if still or '""' in query.text or "nothing moves" in query.text else 0.9


def test_a_judge_that_does_not_tell_the_controls_apart_is_named_in_the_table(
    tmp_path: Path,
) -> None:
    results = results_in(tmp_path)
    judged = judge_videos([results], tmp_path / "out", RuleJudge(moves_to_the_right, "mover"))
    told = {row.name: row.told_apart for row in summarise(judged)}
    assert told == {"drawing": None, STILL: True, SHUFFLED: False, REVERSED: False,
                    ANOTHER: False, EMPTY_PROMPT: True, OPPOSITE: True}
    words = verdict(judged, summarise(judged))
    assert words.startswith("mover DOES NOT TELL the videos of drawing from: frames shuffled, "
                            "frames reversed, another prompt.")
    assert "**mover DOES NOT TELL" in to_markdown(judged, summarise(judged))


def test_the_controls_are_compared_by_the_question_of_the_rules_where_a_table_words_it_anew(
    tmp_path: Path,
) -> None:
    results = results_in(tmp_path)
    questions = {pair.stem: with_prompt_question(pair, [Question("Is it dark?", "no", DOES)])
                 for pair in results.benchmark.pairs}
    judge = RuleJudge(lambda query: 0.1 if "dark" in query.text else 0.9)
    judged = judge_videos([results], tmp_path / "out", judge, questions=questions)
    rows = {row.name: row for row in summarise(judged)}
    assert rows["drawing"].yes.mean == pytest.approx(0.9)
    assert rows[STILL].difference.mean == pytest.approx(0)
    assert rows["drawing"].score.mean == pytest.approx(0.9)


def test_a_judge_that_always_says_yes_tells_nothing_apart(tmp_path: Path) -> None:
    judged = judge_videos([results_in(tmp_path)], tmp_path / "out", RuleJudge(lambda q: 1.0))
    rows = summarise(judged)
    assert {row.rate.mean for row in rows} == {1.0}
    assert all(row.told_apart is False for row in rows if row.name in CONTROLS)
    # Of "there", "does" and "else" one expects no; "it's still" has "does" alone.
    assert rows[0].score.mean == pytest.approx((4 * 2 / 3 + 1) / 5)


def test_failures_are_counted_by_name_and_are_no_answers(tmp_path: Path) -> None:
    def rule(query: Query) -> float | Failure:
        return Failure(REFUSED, "no") if "anything other" in query.text else 0.75

    results = results_in(tmp_path)
    judged = judge_videos([results], tmp_path / "out", RuleJudge(rule))
    row = summarise(judged)[0]
    failed = sum("anything other" in a.question.text for a in judged.asked)
    assert row.failures == {REFUSED: failed}
    assert failed > 0
    scores = {s.video.pair.stem: s for s in video_scores(judged.asked)}
    assert all((s.score is None) == (s.failure is not None) for s in scores.values())
    assert sum(s.failure is not None for s in scores.values()) == failed
    write_files(judged, tmp_path / "out")
    with (tmp_path / "out" / "answers.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["failure"] for line in lines} == {"", "refused: no"}
    assert all(bool(line["probability"]) != bool(line["failure"]) for line in lines)
    assert all(line["text_sha256"] == text_hash(line["text"]) for line in lines)
    assert f"failed, *{REFUSED}*: {FAILURES[REFUSED]}" in (tmp_path / "out/table.md").read_text()


def test_a_video_that_does_not_decode_is_a_failure_of_its_questions(tmp_path: Path) -> None:
    results = results_in(tmp_path)
    video = results.expected()[0]
    video.path.write_bytes(b"no video")
    judged = judge_videos([results], tmp_path / "out", RuleJudge(lambda q: 0.5))
    broken = [a for a in judged.asked if a.video == video and a.row == "drawing"]
    assert {a.outcome.kind for a in broken if isinstance(a.outcome, Failure)} == {UNREADABLE}
    assert summarise(judged)[0].yes.mean == 0.5


@pytest.mark.parametrize("stop", [4])
def test_a_run_that_was_killed_and_resumed_equals_one_that_was_not(
    tmp_path: Path, stop: int
) -> None:
    results = results_in(tmp_path)

    def rule(query: Query) -> float:
        return chance(query.frames.tobytes(), query.text.encode())

    whole = RuleJudge(rule)
    write_files(judge_videos([results], tmp_path / "whole", whole), tmp_path / "whole")
    killed = RuleJudge(rule)

    def until(query: Query) -> float:
        if len(killed.asked) > 3 * stop:
            raise KeyboardInterrupt
        return rule(query)

    killed.rule = until
    with pytest.raises(KeyboardInterrupt):
        judge_videos([results], tmp_path / "broken", killed)
    with (tmp_path / "broken" / "answers.jsonl").open("ab") as file:
        file.write(b'{"key": "torn')
    resumed = RuleJudge(rule)
    write_files(judge_videos([results], tmp_path / "broken", resumed), tmp_path / "broken")
    assert files(tmp_path / "broken") == files(tmp_path / "whole")
    assert len(resumed.asked) == len(whole.asked) - 3 * stop
    again = RuleJudge(rule)
    judge_videos([results], tmp_path / "broken", again)
    assert again.asked == []


def test_failures_are_asked_again_by_the_next_run(tmp_path: Path) -> None:
    results = results_in(tmp_path)
    judge_videos([results], tmp_path / "out", RuleJudge(lambda q: Failure(REFUSED, "")))
    assert not (tmp_path / "out" / "answers.jsonl").exists()
    judged = judge_videos([results], tmp_path / "out", RuleJudge(lambda q: 0.5))
    assert all(isinstance(item.outcome, Answer) for item in judged.asked)


def test_a_judge_that_cannot_be_reached_is_given_up_soon(tmp_path: Path) -> None:
    judge = RuleJudge(lambda q: Failure(NO_CONNECTION, "refused"), batch=1)
    with pytest.raises(ValueError, match=f"none of the first {PATIENCE} questions; the last one: "
                                         "no connection: refused"):
        judge_videos([results_in(tmp_path)], tmp_path / "out", judge)
    assert len(judge.asked) == PATIENCE


def test_scores_say_which_judge_text_and_frames_they_are_of(tmp_path: Path) -> None:
    judged = judge_videos([results_in(tmp_path)], tmp_path / "out", RuleJudge(first_frame_only))
    write_files(judged, tmp_path / "out")
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert content["kind"] == "motifocal judge"
    assert content["template_sha256"] == text_hash(TEMPLATE)
    assert content["rule"] == "evenly from the first to the last frame"
    assert content["frames"] == 8
    assert content["identity"] == {"judge": "rule"}
    assert len(content["videos"]) == 5
    assert [row["name"] for row in content["rows"]] == ["drawing", *CONTROLS]
