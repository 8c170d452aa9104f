"""Questions come from prompts by rules, are the same everywhere, and users' tables are checked."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny_bench import textured, write_benchmark

from motifocal.bench.ingest import find_videos
from motifocal.bench.judge.question_table import (
    questions_by_rule,
    questions_csv,
    questions_of_benchmark,
    read_questions,
)
from motifocal.bench.judge.questions import (
    DOES,
    ELSE,
    THERE,
    Question,
    named_thing,
    opposite,
    questions_of,
)
from motifocal.bench.layouts import COMP, OMIT, layout_of
from motifocal.bench.pairs import Pair, read_benchmark, subset_of
from motifocal.cli import cli
from motifocal.media.video import write_image, write_video
from motifocal.scenes.evaluation.evaluate import eval_pairs

SCENES = Path(__file__).parents[2] / "motifocal" / "bench" / "judge" / "scenes.csv"


def test_a_prompt_gives_three_questions_with_their_answers() -> None:
    assert questions_of("the blue balloon dips down") == [
        Question("Does the video show the blue balloon?", "yes", THERE),
        Question('Does the video show this: "the blue balloon dips down"?', "yes", DOES),
        Question("Does anything other than the blue balloon move in the video?", "no", ELSE),
    ]


@pytest.mark.parametrize(("prompt", "thing"), [
    ("a car changing its lane", "a car"), ("light bulbs glowing", "light bulbs"),
    ("all the light bulbs light up", "all the light bulbs"),
    ("a traffic light turns green", "a traffic light"),
    ("a second, green bird flies in", "a second, green bird"),
    ("the tree's shadow shifts as the sun moves", "the tree's shadow"),
    ("leaves from the tree fall to the ground", "leaves from the tree"),
    ("waves advance towards the shore", "waves"), ("the falling leaves swirl", None),
    ("it's still", None), ("", None),
])  # fmt: skip
def test_the_named_thing_ends_before_the_verb(prompt: str, thing: str | None) -> None:
    assert named_thing(prompt) == thing


def test_a_prompt_without_a_verb_has_the_question_about_itself_alone() -> None:
    assert [question.kind for question in questions_of("it's still")] == [DOES]


@pytest.mark.parametrize(("prompt", "other"), [
    ("a bird flying upward", "a bird flying downward"),
    ("the balance tilts to the left", "the balance tilts to the right"),
    ("the balance swings left and right", "nothing moves"),
    ("the sun rises higher", "the sun sinks lower"),
    ("the golf ball rolls into the hole", "the golf ball rolls out of the hole"),
    ("a second bird flies in", "a second bird flies out"),
    ("a bird flies in the air", "nothing moves"),
    ("waves advance towards the shore", "waves recede from the shore"),
    ("a man nodding his head", "a man shaking his head"), ("a dog barking", "nothing moves"),
])  # fmt: skip
def test_an_opposite_contradicts_its_prompt(prompt: str, other: str) -> None:
    assert opposite(prompt) == other
    assert other == "nothing moves" or opposite(other) == prompt


def test_the_questions_of_the_scenes_that_are_checked_in_are_those_of_the_rules() -> None:
    pairs = {pair.prompt: Pair(pair.scenario, "", pair.prompt) for pair in eval_pairs(320, 32)}
    with SCENES.open(newline="", encoding="utf-8") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [(pair.scenario, pair.prompt, question.kind, question.text, question.expected)
                    for pair in sorted(pairs.values(), key=lambda p: (p.scenario, p.prompt))
                    for question in questions_of(pair.prompt)]
    assert len(rows) == 3 * len(pairs) > 250


@pytest.mark.skipif("MOTIFOCAL_SHARED" not in os.environ, reason="generated clips are not here")
def test_every_pair_of_ti2v_bench_has_three_questions() -> None:
    benchmark = read_benchmark(Path(os.environ["MOTIFOCAL_SHARED"]) / "ti2v-clips")
    questions = questions_by_rule(benchmark.pairs)
    assert len(questions) == 320
    assert {len(of_pair) for of_pair in questions.values()} == {3}
    opposites = {pair.prompt: opposite(pair.prompt) for pair in benchmark.pairs}
    assert len(opposites) == 133
    assert all(prompt != other for prompt, other in opposites.items())


# Tables.


def pairs_in(folder: Path) -> tuple[Pair, ...]:
    return read_benchmark(write_benchmark(folder), own_pairs=True).pairs


def test_a_written_table_reads_back_the_same(tmp_path: Path) -> None:
    pairs = pairs_in(tmp_path / "bench")
    table = tmp_path / "questions.csv"
    table.write_text(questions_csv(pairs, questions_by_rule(pairs)))
    assert read_questions(table, pairs) == questions_by_rule(pairs)


def test_a_table_of_ones_own_gets_the_question_about_the_prompt_as_well(tmp_path: Path) -> None:
    pairs = pairs_in(tmp_path / "bench")[:1]
    table = tmp_path / "own.jsonl"
    table.write_text(json.dumps({"image": "ball_1", "sentence": "the ball rises",
                                 "question": "Is it red?", "answer": "No"}))
    (questions,) = read_questions(table, pairs).values()
    assert questions[0] == Question("Is it red?", "no", "own")
    assert [question.kind for question in questions] == ["own", DOES]


@pytest.mark.parametrize(("row", "words"), [
    ({"image_id": "ball_1", "prompt": "it flies", "question": "?"}, "row 1: there is no pair"),
    ({"image_id": "ball_1", "prompt": "the ball rises", "question": "Q?", "expected": "maybe"},
     "row 1: the expected answer should be yes or no, got 'maybe'"),
    ({"image_id": "ball_1", "prompt": "the ball rises", "question": " "}, "should not be empty"),
    ({"image_id": "ball_1", "prompt": "the ball rises", "question": "Q?", "kind": "odd"},
     "kind should be one of"),
    ({"image_id": "ball_1", "prompt": "the ball rises", "question": "Q?"},
     "should hold questions of every pair, got none of ball_1_the_ball_falls_slowly"),
])  # fmt: skip
def test_a_table_that_does_not_fit_is_refused(
    tmp_path: Path, row: dict[str, str], words: str
) -> None:
    table = tmp_path / "questions.json"
    table.write_text(json.dumps([row]))
    with pytest.raises(ValueError, match=words):
        read_questions(table, pairs_in(tmp_path / "bench"))


def test_the_command_writes_a_table_and_checks_one(tmp_path: Path) -> None:
    bench = write_benchmark(tmp_path / "bench")
    table = tmp_path / "questions.csv"
    common = ["bench", "questions", "--bench", str(bench), "--own-pairs"]
    assert CliRunner().invoke(cli, [*common, "-o", str(table)]).exit_code == 0
    assert "13 questions of 5 pairs" in CliRunner().invoke(
        cli, [*common, "--check", str(table)]).output
    table.write_text(table.read_text().replace("yes", "perhaps", 1))
    done = CliRunner().invoke(cli, [*common, "--check", str(table)])
    assert (done.exit_code, "yes or no, got 'perhaps'" in str(done.exception)) == (1, True)


# Folders of other benchmarks.


def omit_folder(folder: Path) -> Path:
    samples = [{"id": f"sample_{k}", "image-path": f"addition/animal/sample_{k}.png",
                "prompt": f"a cat number {k} appears", "main-category": "addition",
                "questions": [{"id": "q1", "question": f"Is there a cat {k}?",
                               "expected_answer": "yes", "category": "existence"},
                              {"id": "q2", "question": "Is there a dog?",
                               "expected_answer": "no", "category": "existence"}]}
               for k in range(3)]
    (folder / "addition" / "animal").mkdir(parents=True)
    (folder / "meta.json").write_text(json.dumps(samples))
    for k in range(3):
        write_image(folder / "addition" / "animal" / f"sample_{k}.png", textured(k))
    return folder


def comp_folder(folder: Path) -> Path:
    for name in ("prompts", "first_frames/motion_binding"):
        (folder / name).mkdir(parents=True)
    (folder / "prompts" / "motion_binding.txt").write_text(
        "the car\u2028moves left\n\nit turns\n", encoding="utf-8")
    for k in (1, 2):
        write_image(folder / "first_frames" / "motion_binding" / f"{k:04d}_16x9.png", textured(k))
    return folder


def test_omit_i2v_is_read_with_its_questions_images_and_video_names(tmp_path: Path) -> None:
    folder = omit_folder(tmp_path / "omit")
    layout = layout_of(folder)
    assert layout is not None
    assert layout.title == OMIT
    benchmark = subset_of(read_benchmark(folder, own_pairs=True))
    pair = benchmark.pairs[1]
    assert (pair.scenario, pair.image_id, pair.prompt) == (
        "addition", "sample_1", "a cat number 1 appears")
    assert pair.required_image() == folder / "addition" / "animal" / "sample_1.png"
    questions = questions_of_benchmark(folder, benchmark.pairs)[pair.stem]
    assert [(q.text, q.expected) for q in questions[:2]] == [
        ("Is there a cat 1?", "yes"), ("Is there a dog?", "no")]
    assert questions[2].kind == DOES
    (tmp_path / "videos").mkdir()
    for k in (0, 2):
        write_video(tmp_path / "videos" / f"sample_{k}.mp4", [textured(k)] * 2, 8)
    found = find_videos(tmp_path / "videos", benchmark.pairs)
    assert {stem for stem, _ in found.videos} == {benchmark.pairs[k].stem for k in (0, 2)}
    with pytest.raises(ValueError, match="3 pairs where TI2V-Bench has 320"):
        read_benchmark(folder)


def test_samples_of_omit_i2v_that_share_an_image_have_one_image_and_their_own_video_names(
    tmp_path: Path,
) -> None:
    folder = omit_folder(tmp_path / "omit")
    samples = json.loads((folder / "meta.json").read_text())
    samples[2]["image-path"] = f"./{samples[0]['image-path']}"
    (folder / "meta.json").write_text(json.dumps(samples))
    pairs = read_benchmark(folder, own_pairs=True).pairs
    assert [pair.image_id for pair in pairs] == ["sample_0", "sample_1", "sample_0"]
    assert pairs[2].image == pairs[0].image != pairs[1].image
    assert [pair.theirs for pair in pairs] == ["sample_0", "sample_1", "sample_2"]
    asked = questions_of_benchmark(folder, pairs)[pairs[2].stem]
    assert asked[0].text == "Is there a cat 2?"


def test_i2v_compbench_is_read_with_its_images_and_video_names(tmp_path: Path) -> None:
    folder = comp_folder(tmp_path / "comp")
    layout = layout_of(folder)
    assert layout is not None
    assert layout.title == COMP
    benchmark = subset_of(read_benchmark(folder, own_pairs=True))
    assert [(p.image_id, p.prompt) for p in benchmark.pairs] == [
        ("motion_binding_0001", "the car moves left"), ("motion_binding_0002", "it turns")]
    (tmp_path / "video" / "motion_binding").mkdir(parents=True)
    (tmp_path / "video" / "view_transformation").mkdir()
    for name in ("motion_binding/0002", "view_transformation/0001"):
        write_video(tmp_path / "video" / f"{name}.mp4", [textured(1)] * 2, 8)
    found = find_videos(tmp_path / "video", benchmark.pairs)
    assert list(found.videos) == [(benchmark.pairs[1].stem, 0)]
    assert found.unmatched == ("0001.mp4",)
    kinds = [q.kind for q in questions_of_benchmark(folder, benchmark.pairs)[
        benchmark.pairs[0].stem]]
    assert kinds == [THERE, DOES, ELSE]


@pytest.mark.parametrize(("content", "words"), [
    ("{}", "should hold a list, got dict"), ("[3]", "sample 1 should have an id and a prompt"),
    ('[{"id": "a"}]', "sample 1 should have an id and a prompt"), ("[", "meta.json should be JSON"),
])  # fmt: skip
def test_a_meta_file_of_another_form_is_refused(tmp_path: Path, content: str, words: str) -> None:
    (tmp_path / "meta.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        read_benchmark(tmp_path, own_pairs=True)


def test_no_image_outside_of_the_folder_is_taken(tmp_path: Path) -> None:
    write_image(tmp_path / "secret.png", textured(0))
    folder = tmp_path / "omit"
    folder.mkdir()
    (folder / "meta.json").write_text(json.dumps(
        [{"id": "a", "prompt": "it moves", "image-path": "../secret.png"}]))
    assert read_benchmark(folder, own_pairs=True).pairs[0].image is None


def test_own_pairs_beside_a_meta_file_are_own_pairs(tmp_path: Path) -> None:
    folder = write_benchmark(tmp_path / "bench")
    (folder / "meta.json").write_text('{"made": "by hand"}')
    pairs = read_benchmark(folder, own_pairs=True).pairs
    assert len(pairs) == 5
    assert questions_of_benchmark(folder, pairs) == questions_by_rule(pairs)


def test_pairs_of_another_table_have_the_questions_of_the_rules(tmp_path: Path) -> None:
    folder, table = omit_folder(tmp_path / "omit"), tmp_path / "own.csv"
    table.write_text("image_id,prompt\nsample_1,the cat jumps\nkite,a kite flies in\n")
    pairs = read_benchmark(folder, table=table, own_pairs=True).pairs
    assert questions_of_benchmark(folder, pairs) == questions_by_rule(pairs)


def test_an_id_of_omit_i2v_that_ends_like_an_image_keeps_its_image_and_questions(
    tmp_path: Path,
) -> None:
    folder = omit_folder(tmp_path / "omit")
    meta = folder / "meta.json"
    meta.write_text(meta.read_text().replace('"id": "sample_1"', '"id": "sample_1.png"'))
    benchmark = subset_of(read_benchmark(folder, own_pairs=True))
    pair = benchmark.pairs[1]
    assert pair.image_id == "sample_1"
    questions = questions_of_benchmark(folder, benchmark.pairs)[pair.stem]
    assert questions[0].text == "Is there a cat 1?"


@pytest.mark.parametrize("change", [('"yes"', '"perhaps"'), ('"Is there a cat 1?"', '" "')])
def test_a_question_of_omit_i2v_that_cannot_be_asked_is_refused_with_its_sample(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    folder = omit_folder(tmp_path / "omit")
    pairs = read_benchmark(folder, own_pairs=True).pairs
    before, sample, after = (folder / "meta.json").read_text().partition('"sample_1"')
    (folder / "meta.json").write_text(before + sample + after.replace(*change, 1))
    with pytest.raises(ValueError, match="sample_1: questions should have question and"):
        questions_of_benchmark(folder, pairs)
