"""Pairs of a benchmark: read from any table, validated, named, and never cut short silently."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest
from tiny_bench import write_benchmark

from motifocal.bench.pairs import (
    PAPER,
    Pair,
    counts,
    read_benchmark,
    subset_of,
    what_differs,
)
from motifocal.bench.video_names import match
from motifocal.scenes.export import BenchmarkSettings, export_benchmark

ROWS = [("a", "a1", "it moves"), ("a", "a1", "it stops"), ("b", "b_2", "it moves")]


def table(folder: Path, text: str, name: str = "pairs.csv") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def read(folder: Path) -> list[tuple[str, str, str]]:
    pairs = read_benchmark(folder, own_pairs=True).pairs
    return [(pair.scenario, pair.image_id, pair.prompt) for pair in pairs]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pairs.csv", "scenario,image_id,prompt\na,a1,it moves\na,a1,it stops\nb,b_2,it moves\n"),
        ("pairs.csv", "\ufeffPrompt,Category,Image\r\nit moves,a,a1.png\r\nit stops,a,a1.png\r\n"
                      '"it  moves",b,b_2.JPG\r\n'),
        ("pairs.jsonl", "\n".join(json.dumps({"class": s, "id": i, "caption": p})
                                  for s, i, p in ROWS)),
        ("pairs.json", json.dumps([{"type": s, "img": i, "text": p} for s, i, p in ROWS])),
        ("pairs.json", json.dumps({"pairs": [{"scenario": s, "image": i, "sentence": p}
                                             for s, i, p in ROWS]})),
    ],
)  # fmt: skip
def test_the_same_pairs_are_read_from_every_kind_of_table(
    name: str, text: str, tmp_path: Path
) -> None:
    assert read(table(tmp_path / "mine", text, name)) == ROWS


def test_an_object_of_prompts_by_image_is_a_table_too(tmp_path: Path) -> None:
    text = json.dumps({"a1": ["it moves", "it stops"], "b_2": "it moves"})
    assert read(table(tmp_path, text, "pairs.json")) == [("", *row[1:]) for row in ROWS]


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("pairs.csv", "image_id,prompt\na1,it moves\na1,It  moves\n", "there twice|differ by more"),
        ("pairs.csv", "image_id,prompt\na1,it moves\na1,it moves\n", "there twice"),
        ("pairs.csv", "image_id,prompt\na1,it moves\nA1,it moves!\n", "differ by more"),
        ("pairs.csv", "image_id,prompt\na_b,c\na,b c\n", "differ by more"),
        ("pairs.csv", "image_id,prompt\n../a1,it moves\n", "plain file name"),
        ("pairs.csv", "image_id,prompt\n.a1,it moves\n", "plain file name"),
        ("pairs.csv", "image_id,prompt\na1,it moves, slowly\n", "2 cells"),
        ("pairs.csv", "image_id,prompt\na1,...\n", "an image id and a prompt"),
        ("pairs.csv", "image_id,prompt\n", "at least one pair"),
        ("pairs.csv", f"image_id,prompt\na1,{'very ' * 60}long\n", "at most 240 bytes"),
        ("pairs.csv", "image_id,prompt,file\na1,it moves,a1_it_stops_0.mp4\n", "should be a1_it_m"),
        ("pairs.json", "{", "should be JSON"),
        ("pairs.json", "3", "a list or an object"),
        ("pairs.json", '[{"id": "a1", "prompt": ["it moves"]}]', "should be text"),
        ("pairs.jsonl", '{"id": "a1", "prompt": "it moves"}\n["a"]', "should be an object"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(
    name: str, text: str, what: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=what):
        read(table(tmp_path / "mine", text, name))


@pytest.mark.parametrize("mark", [";", "\t"])
def test_a_table_of_other_spreadsheets_is_read(tmp_path: Path, mark: str) -> None:
    text = f"Image{mark}Prompt\na1{mark}it moves, slowly\n"
    assert read(table(tmp_path, text)) == [("", "a1", "it moves, slowly")]


def test_images_and_videos_are_found_in_the_other_spelling_of_their_letters(
    tmp_path: Path,
) -> None:
    table(tmp_path, "image_id,prompt\n\u00e9t\u00e9,it moves\n")
    picture = tmp_path / "e\u0301te\u0301.png"
    picture.write_bytes(b"picture")
    (pair,) = read_benchmark(tmp_path, own_pairs=True).pairs
    assert pair.image == picture
    name = unicodedata.normalize("NFD", pair.file(3))
    assert name != pair.file(3)
    assert match([name], [pair]) == ({name: (pair, 3)}, [])


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes(b"image_id,prompt\na1,\xff\xfe\n")
    with pytest.raises(ValueError, match="UTF-8"):
        read(tmp_path)


def test_a_folder_with_two_tables_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="got none"):
        read(tmp_path)
    table(tmp_path, "image_id,prompt\na1,x\n")
    table(tmp_path, "[]", "pairs.json")
    with pytest.raises(ValueError, match=r"pairs\.csv and pairs\.json"):
        read(tmp_path)


def test_two_images_of_one_id_are_refused(tmp_path: Path) -> None:
    write_benchmark(tmp_path / "mine")
    (tmp_path / "mine/images/kite.jpg").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"one image of kite, got kite\.jpg and kite\.png"):
        read_benchmark(tmp_path / "mine", own_pairs=True)


def test_pairs_that_are_not_the_papers_have_to_be_called_ones_own(tmp_path: Path) -> None:
    folder = write_benchmark(tmp_path / "mine")
    with pytest.raises(ValueError, match=r"2 scenarios where TI2V-Bench has 22.*--own-pairs"):
        read_benchmark(folder)
    assert read_benchmark(folder, own_pairs=True).title == "mine"


def test_the_drawn_world_needs_no_such_word(tmp_path: Path) -> None:
    for _ in export_benchmark(tmp_path / "drawn", BenchmarkSettings(pairs=7, size=32, truth=False)):
        pass
    benchmark = read_benchmark(tmp_path / "drawn")
    assert (benchmark.title, len(benchmark.pairs)) == ("synthetic scenes", 7)
    assert all(pair.image is not None for pair in benchmark.pairs)


def test_all_of_ti2v_bench_is_what_the_paper_counts(shared: Path) -> None:
    benchmark = read_benchmark(shared / "ti2v-clips")
    assert counts(benchmark.pairs) == PAPER
    assert benchmark.title == "TI2V-Bench"
    assert benchmark.mark == ""


def test_one_lost_prompt_is_named_by_its_image(shared: Path) -> None:
    pairs = read_benchmark(shared / "ti2v-clips").pairs
    lost = next(pair for pair in pairs if pair.image_id == "balloon2")
    words = what_differs([pair for pair in pairs if pair != lost])
    assert "319 pairs where TI2V-Bench has 320" in words
    assert "prompts are missing in balloon: balloon2 3 of 4" in words
    assert what_differs(pairs) == ""


def test_missing_images_are_named_and_a_part_is_only_taken_when_asked_for(shared: Path) -> None:
    benchmark = read_benchmark(shared / "ti2v-clips")
    with pytest.raises(ValueError, match=r"46 of 88 images are missing: .*--subset with-image"):
        subset_of(benchmark)
    part = subset_of(benchmark, "with-image")
    assert part.mark == "SUBSET: 150 of 320 pairs of TI2V-Bench (those with an image)"
    assert part.digest() != benchmark.digest()


def test_parts_by_scenario_image_and_count(tmp_path: Path) -> None:
    benchmark = read_benchmark(write_benchmark(tmp_path / "mine"), own_pairs=True)
    assert [p.image_id for p in subset_of(benchmark, "scenarios:kite").pairs] == ["kite", "kite"]
    first = subset_of(benchmark, "images:ball_1, kite", limit=3)
    assert first.mark == "SUBSET: 3 of 5 pairs of mine (images ball_1, kite, the first 3)"
    assert subset_of(benchmark, limit=5) == benchmark
    for wanted, what in (("scenarios:cat", "cat"), ("colour:red", "should be"), ("images:", "be")):
        with pytest.raises(ValueError, match=what):
            subset_of(benchmark, wanted)
    with pytest.raises(ValueError, match="at least 1"):
        subset_of(benchmark, limit=0)


def test_names_are_matched_against_the_pairs_not_taken_apart() -> None:
    known = (("a", "b c"), ("a_b_c", "d"), ("x_1", "go"), ("x", "1"))
    pairs = [Pair("", image_id, prompt) for image_id, prompt in known]
    names = ["a_b_c_0.mp4", "a_b_c_d_12.gif", "X_1_GO_3.mp4", "x_1_4.mp4", "deep/a_b_c_7.mp4",
             "a_b_c.mp4", "a_b_c_d_.mp4", "a_b_c_²3.mp4", "y_1_go_0.mp4"]  # fmt: skip
    found, unmatched = match(names, pairs)
    assert {name: (pairs.index(pair), seed) for name, (pair, seed) in found.items()} == {
        "a_b_c_0.mp4": (0, 0), "a_b_c_d_12.gif": (1, 12), "X_1_GO_3.mp4": (2, 3),
        "x_1_4.mp4": (3, 4), "deep/a_b_c_7.mp4": (0, 7),
    }  # fmt: skip
    assert unmatched == names[5:]


def test_every_name_of_ti2v_bench_finds_its_own_pair(shared: Path) -> None:
    pairs = read_benchmark(shared / "ti2v-clips").pairs
    found, unmatched = match([pair.file(seed) for pair in pairs for seed in (0, 7)], pairs)
    assert unmatched == []
    assert all(pair.file(seed) == name for name, (pair, seed) in found.items())
