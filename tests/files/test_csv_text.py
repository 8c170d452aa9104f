"""Tables as CSV: a spreadsheet runs nothing that somebody else wrote into them."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from motifocal.bench.judge.judge import Failure
from motifocal.bench.judge.questions import Question
from motifocal.bench.judge.report import to_csv as answers_csv
from motifocal.bench.judge.run import Asked, Judged
from motifocal.bench.pairs import Pair
from motifocal.bench.results import ExpectedVideo
from motifocal.bench.score.report import to_csv as scores_csv
from motifocal.bench.score.run import MODEL, Row, ScoredVideo, Scores
from motifocal.cli.output.clip_table import ClipRow, read_table, write_table
from motifocal.files.csv_text import FORMULA_STARTS, csv_text, guarded, unguarded
from motifocal.study.stats.metric_votes import read_scores

FORMULA = '=HYPERLINK("https://x.example")'


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@steady
@given(st.text("'=+-@\t\r\na 1"))
def test_no_guarded_text_is_a_formula_and_each_comes_back(text: str) -> None:
    cell = guarded(text)
    assert isinstance(cell, str)
    assert not cell.startswith(FORMULA_STARTS)
    assert unguarded(cell) == text
    assert unguarded(text) == text or text.startswith("'")


def test_numbers_and_columns_of_names_stay_as_they_are() -> None:
    text = csv_text(("name", "prompt", "change"), [("=a", "=a", -1.5), ("b", "b", math.nan)],
                    free=("prompt", "change"))  # fmt: skip
    assert text == "name,prompt,change\n=a,'=a,-1.5\nb,b,\n"


def scores(folder: Path) -> Scores:
    video = ScoredVideo(Pair("-1+1", "=id", FORMULA), 3, folder / "v.mp4", 9, {})
    return Scores("t", ("@mark",), {}, (Row("=Model", MODEL, (video,)),), "=Model", (), 0, {})


def test_prompts_in_scores_are_no_formulas_and_scores_are_found_again(tmp_path: Path) -> None:
    text = scores_csv(scores(tmp_path))
    (row,) = rows_of(text)
    assert (row["scenario"], row["prompt"], row["marks"]) == ("'-1+1", f"'{FORMULA}", "'@mark")
    assert (row["row"], row["image_id"], row["seed"]) == ("=Model", "=id", "3")
    (tmp_path / "scores.csv").write_text(text)
    (tmp_path / "scores.json").write_text('{"measures": {}, "marks": []}')
    assert list(read_scores(tmp_path).numbers) == [("=Model", Pair("", "=id", FORMULA).stem, 3)]


def test_texts_in_the_answers_of_a_judge_are_no_formulas(tmp_path: Path) -> None:
    video = ExpectedVideo(Pair("s", "i", FORMULA), 0, tmp_path / "v.mp4")
    asked = Asked("=Model", MODEL, video, FORMULA, Question("+1?"), f"{FORMULA}?",
                  Failure("refused", "no"))  # fmt: skip
    (row,) = rows_of(answers_csv(Judged("t", (), "j", {}, ("=Model",), "=Model", 4, "{prompt}", 0,
                                        (asked,))))  # fmt: skip
    for column in ("prompt", "asked_of", "question", "text"):
        assert row[column].startswith(("'=", "'+")), column
    assert (row["row"], row["failure"]) == ("=Model", "refused: no")


@pytest.mark.parametrize("reason", [FORMULA, "too short", "'quoted'", ""])
def test_a_reason_in_the_table_of_clips_is_no_formula_and_is_read_as_it_was(
    reason: str, tmp_path: Path
) -> None:
    row = ClipRow("a.npz", "/clips/a.mp4", 1, 2, reason=reason)
    write_table(tmp_path / "clips.csv", [row])
    (line,) = rows_of((tmp_path / "clips.csv").read_text())
    assert not line["reason"].startswith(FORMULA_STARTS)
    assert line["clip"] == row.clip
    assert read_table(tmp_path / "clips.csv") == {row.clip: row}
