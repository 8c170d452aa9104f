"""Scores come out as tables that are right, escaped, marked, and the same byte for byte."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from steady import steady

from motifocal.bench.pairs import Pair
from motifocal.bench.score.controls import CONTROLS, STILL
from motifocal.bench.score.learned import CLIP_MEASURES, DINO_MEASURES
from motifocal.bench.score.measures import MEASURES, Measure
from motifocal.bench.score.plot import draw_plot
from motifocal.bench.score.report import to_csv, to_eval_results, to_json, to_table_csv, write_files
from motifocal.bench.score.run import CONTROL, MODEL, Row, ScoredVideo, Scores
from motifocal.bench.score.tables import (
    Summary,
    difference_cells,
    headings,
    latex_text,
    markdown_text,
    row_cells,
    summarise,
    to_latex,
    to_markdown,
)
from motifocal.media.picture import read_image

DOCS = Path(__file__).parents[2] / "docs"
MEASURE = Measure(name="quality", unit="dB", better="higher", definition="how good it is",
                  source="the tests", blind_spot="what is bad", still_wins=True)
TABLE = {"quality": MEASURE, "speed": replace(MEASURE, name="speed", unit="", better="neither",
                                              still_wins=False)}

Values = Mapping[tuple[str, str, int], float]  # (picture, sentence, seed) -> quality


def row(name: str, values: Values, kind: str = MODEL, note: str = "") -> Row:
    return Row(name, kind, tuple(
        ScoredVideo(Pair("a scene", image, prompt), seed, Path(f"{name}/{image}_{seed}.mp4"), 16,
                    {"quality": value, "speed": float("nan")})
        for (image, prompt, seed), value in values.items()
    ), note)


def scores_of(*rows: Row, marks: tuple[str, ...] = (), failures: tuple[str, ...] = ()) -> Scores:
    return Scores("Some bench", marks, TABLE, rows, rows[0].name, failures, 0,
                  {"measures": "hash"})


def grid(value: Callable[[int, int], float], pictures: int = 8, sentences: int = 4) -> Values:
    return {(f"image{p}", f"sentence {s}", 0): value(p, s)
            for p in range(pictures) for s in range(sentences)}


def control(values: Values) -> Row:
    return row(STILL, values, CONTROL, "of first")


@pytest.fixture
def summary() -> Summary:
    first = grid(lambda p, s: 20 + p + 0.1 * s)
    second = {key: value + 1 + 0.01 * index for index, (key, value) in enumerate(first.items())}
    return summarise(scores_of(row("first", first), row("second", second),
                               control({key: 40.0 for key in first}),
                               marks=("SUBSET: 8 of 320 pairs of it (those with a_video)",),
                               failures=("x/y_0.mp4: truncated",)))


def test_a_mean_is_over_pairs_and_seeds_are_averaged_first() -> None:
    values = {("a", "one", 0): 1.0, ("a", "one", 1): 3.0, ("b", "one", 0): 10.0}
    cell = summarise(scores_of(row("m", values))).cells["m"]["quality"]
    assert cell.value is not None
    assert cell.value.mean == pytest.approx((2 + 10) / 2)
    assert (cell.pairs, cell.images) == (2, 2)


def test_an_interval_over_images_is_wider_when_prompts_of_an_image_agree() -> None:
    agreeing = grid(lambda p, s: float(p))
    one_a_video = {(f"{image} {prompt}", prompt, seed): value
                   for (image, prompt, seed), value in agreeing.items()}
    images, videos = (summarise(scores_of(row("m", values))).cells["m"]["quality"].value
                      for values in (agreeing, one_a_video))
    assert images is not None
    assert videos is not None
    assert images.mean == pytest.approx(videos.mean)
    assert images.high - images.low > 1.5 * (videos.high - videos.low)


def test_a_paired_difference_is_narrower_than_the_rows_it_is_of(summary: Summary) -> None:
    cells = summary.cells
    difference = summary.differences["second"]["quality"]
    first, second = cells["first"]["quality"].value, cells["second"]["quality"].value
    assert first is not None
    assert second is not None
    assert difference.value is not None
    assert difference.pairs == 32
    assert difference.value.mean == pytest.approx(second.mean - first.mean)
    assert difference.value.high - difference.value.low < (first.high - first.low) / 5
    assert difference.value.low > 0


def test_a_difference_is_taken_on_the_pairs_that_both_rows_have() -> None:
    first = grid(lambda p, s: float(p))
    part = {key: value + 2 for key, value in first.items() if key[0] != "image0"}
    found = summarise(scores_of(row("a", first), row("b", part))).differences["b"]["quality"]
    assert found.value is not None
    assert found.value.mean == pytest.approx(2)
    assert (found.pairs, found.images) == (28, 7)


def test_what_is_no_number_is_left_out_and_counted() -> None:
    values = dict(grid(lambda p, s: float(p)))
    values[next(iter(values))] = float("nan")
    found = summarise(scores_of(row("m", values)))
    assert found.cells["m"]["quality"].pairs == 31
    assert math.isnan(found.cells["m"]["speed"].value.mean)
    assert "NaN" not in to_json(found)
    content = json.loads(to_json(found))
    assert content["rows"][0]["measures"]["speed"] == {
        "mean": None, "low": None, "high": None, "pairs": 0, "images": 0, "pictures": 0}
    assert row_cells(found, found.scores.rows[0])[-1] == "–"


def test_fewer_pairs_than_the_row_has_are_told_in_the_cell() -> None:
    first = row("m", grid(lambda p, s: float(p)))
    numbers = [video.numbers for video in first.videos]
    for index, each in enumerate(numbers):
        each["speed"] = 1.0 if index else float("nan")
    cells = row_cells(summarise(scores_of(first)), first)
    assert cells[1] == "32"
    assert cells[3].endswith("[31 pairs]")


def test_eval_results_have_the_form_of_vbench(summary: Summary) -> None:
    first = summary.scores.rows[0]
    content = json.loads(to_eval_results(first, summary.scores))
    assert list(content) == ["quality"]  # of speed there is no number
    mean, listed = content["quality"]
    assert set(listed[0]) == {"video_path", "video_results"}
    assert listed[0]["video_path"] == first.videos[0].path.as_posix()
    results = [video["video_results"] for video in listed]
    assert results == [video.numbers["quality"] for video in first.videos]
    assert mean == pytest.approx(np.mean(results))


def test_the_csv_has_a_line_for_every_video_of_every_row(summary: Summary) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(summary.scores))))
    assert len(lines) == 3 * 32
    assert {line["kind"] for line in lines} == {MODEL, CONTROL}
    assert {line["speed"] for line in lines} == {""}
    assert {line["marks"] for line in lines} == set(summary.scores.marks)
    for line, video in zip(lines, summary.scores.rows[0].videos, strict=False):
        assert (line["image_id"], line["prompt"]) == (video.pair.image_id, video.pair.prompt)
        assert float(line["quality"]) == video.numbers["quality"]


def test_the_table_as_csv_has_the_numbers_of_the_json(summary: Summary) -> None:
    lines = list(csv.DictReader(io.StringIO(to_table_csv(summary))))
    content = json.loads(to_json(summary))
    assert len(lines) == 3 * 2
    for line in lines:
        if line["measure"] == "quality":
            (held,) = [each for each in content["rows"] if each["name"] == line["row"]]
            for name in ("mean", "low", "high"):
                assert float(line[name]) == held["measures"]["quality"][name]
        if line["row"] == "second" and line["measure"] == "quality":
            found = content["differences"]["second"]["quality"]
            assert float(line["difference_low"]) == found["low"]


def test_every_file_repeats_the_marks(summary: Summary, tmp_path: Path) -> None:
    marks = summary.scores.marks
    for text in (to_json(summary), to_csv(summary.scores), to_table_csv(summary)):
        assert all(mark in text for mark in marks)
    assert all(markdown_text(mark) in to_markdown(summary) for mark in marks)
    assert all(latex_text(mark) in to_latex(summary) for mark in marks)
    for text in (to_json(summary), to_markdown(summary), to_latex(summary)):
        assert "truncated" in text
    draw_plot(tmp_path / "with.png", summary)
    draw_plot(tmp_path / "without.png", replace(summary, scores=replace(summary.scores, marks=())))
    with_marks, without = (read_image(tmp_path / f"{name}.png") for name in ("with", "without"))
    assert with_marks.shape[0] > without.shape[0]


def test_decimals_follow_the_narrowest_interval_of_a_column() -> None:
    wide, narrow = grid(lambda p, s: 10.0 * p), grid(lambda p, s: 20 + 0.01 * p)
    alone = summarise(scores_of(row("wide", wide)))
    both = summarise(scores_of(row("wide", wide), row("narrow", narrow)))
    assert re.fullmatch(r"35 \(\d+ to \d+\)", row_cells(alone, alone.scores.rows[0])[2])
    assert re.fullmatch(r"35\.000 \([\d.]+ to [\d.]+\)", row_cells(both, both.scores.rows[0])[2])
    minus = difference_cells(both, both.scores.rows[1])[2]
    assert minus.startswith("−15")
    assert "-" not in minus


def test_headings_say_which_way_is_better_and_what_a_still_image_wins(summary: Summary) -> None:
    assert headings(summary) == ["", "pairs", "quality ↑† (dB)", "speed"]


def test_controls_are_told_apart_in_both_tables(summary: Summary) -> None:
    assert f"| *{STILL}* |" in to_markdown(summary)
    assert "| first |" in to_markdown(summary)
    rules = to_latex(summary).split("\\midrule")
    assert [STILL in part for part in rules] == [False, False, True]
    assert to_latex(summary).count("\\toprule") == to_latex(summary).count("\\bottomrule") == 1


HOSTILE = "a|b *c* _d_ <script>&amp; $x$ 50% #1 \\end{tabular} [l](u) `q` ^~{}"


def test_hostile_names_cannot_break_out_of_a_table(tmp_path: Path) -> None:
    values = {("im_g", HOSTILE, 0): 1.0, ("b", "x", 0): 2.0}
    found = summarise(scores_of(row(HOSTILE, values), row("=1+1", values), marks=(HOSTILE,)))
    table = [line for line in to_markdown(found).splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {5}
    assert "<script>" not in to_markdown(found)
    assert "*c*" not in to_markdown(found).replace("\\*", "")
    latex = to_latex(found)
    assert latex.count("\\end{tabular}") == latex.count("\\begin{tabular}") == 1
    assert {len(re.findall(r"(?<!\\)&", line)) for line in latex.splitlines()
            if line.endswith("\\\\") and "multicolumn" not in line} == {3}
    body = latex.split("\\midrule")[1]
    assert not re.search(r"(?<!\\)[%#_]", body)
    lines = list(csv.DictReader(io.StringIO(to_csv(found.scores))))
    assert lines[0]["row"] == lines[0]["prompt"] == HOSTILE
    draw_plot(tmp_path / "plot.png", found)
    assert read_image(tmp_path / "plot.png").shape[-1] == 3


@steady
@given(st.text())
def test_escaped_markdown_reads_as_it_was(text: str) -> None:
    escaped = markdown_text(text)
    plain = re.sub(r"\\([\\`*_{}\[\]()#+!|~-])", r"\1", escaped)
    for name, letter in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        plain = plain.replace(name, letter)
    assert plain == text


def test_writing_twice_gives_the_same_bytes(summary: Summary, tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        write_files(summary, folder)
        draw_plot(folder / "plot.png", summary)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted([
        "scores.json", "scores.csv", "table.md", "table.tex", "table.csv", "plot.png",
        "first_eval_results.json", "second_eval_results.json"])
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_every_measure_and_control_row_is_explained_in_the_docs() -> None:
    page = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for name, about in (MEASURES | CLIP_MEASURES | DINO_MEASURES).items():
        section = re.search(rf"^### .*`{name}`.*\n((?:(?!^#).*\n)*)", page, re.MULTILINE)
        assert section is not None, name
        assert "Blind spot" in section[1], name
        assert (f"`{name}`" in still_wins_of(page)) == about.still_wins, name
    assert all(f"**{name}**" in page for name in CONTROLS)


def still_wins_of(page: str) -> str:
    """The paragraph of the page that lists what a still image wins."""
    found = re.search(r"^A still image wins, by definition: (.*?)\n\n", page,
                      re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]
