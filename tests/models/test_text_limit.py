"""What a text encoder does not read of a prompt is said, by every command that gives it one."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
from click.testing import CliRunner
from doctor_clips import moving, save
from tiny import tiny_base
from tiny_diffusers import save_tiny
from tiny_encoders import tiny_tokenizer
from tiny_model import tiny_folder, tiny_pipeline
from transformers import Qwen2_5_VLProcessor

from motifocal.cli import cli
from motifocal.generate.model import Sampling
from motifocal.generate.open import open_model
from motifocal.generate.text_limit import limit_of_class, limit_of_folder
from motifocal.media.video import write_image, write_video
from motifocal.models.text import tokenize
from motifocal.models.text_limit import TextLimit, unread_notes

# A tower of 16 places: start, 14 tokens, end.
LONG = "the blue balloon dips down " * 5 + "and the red balloon rises slowly to the left"


@pytest.fixture(scope="module")
def limit() -> TextLimit:
    return tiny_pipeline().text_limit


def test_what_is_unread_is_what_the_tower_gets_no_token_of(limit: TextLimit) -> None:
    pipeline = tiny_pipeline()
    unread = limit.unread(LONG)
    assert LONG.endswith(unread)
    assert 0 < len(unread) < len(LONG)
    read = LONG.removesuffix(unread)

    def tokens(sentence: str) -> list[int]:
        return tokenize(pipeline.tokenizer, pipeline.text_encoder, [sentence])[0].tolist()

    # Nothing after the first word that is not read whole changes what the tower gets ...
    assert tokens(LONG) == tokens(read + unread.split(" ")[0] + " to the right")
    # ... and every word before it does.
    assert tokens(LONG) != tokens(read.rstrip().rsplit(" ", 1)[0] + " moves")
    assert limit.unread(read.rstrip()) == ""


@pytest.mark.parametrize("length", range(4, 30))
def test_a_sentence_is_unread_from_the_first_word_that_the_limit_cuts(length: int) -> None:
    words = ("moves nothing " * 20).split()
    tokenizer = tiny_tokenizer(length)
    limit = TextLimit(tokenizer, length)
    unread = limit.unread(" ".join(words))
    kept = len(words) - len(unread.split())
    counts = [len(tokenizer(" ".join(words[:n]))["input_ids"]) for n in range(len(words) + 1)]
    assert kept == max(n for n, count in enumerate(counts) if count <= length)


def test_text_without_spaces_is_cut_at_a_character(limit: TextLimit) -> None:
    text = "\u6c17\u7403" * 30
    unread = limit.unread(text)
    assert text.endswith(unread)
    assert 0 < len(unread) < len(text)
    assert limit.unread(text.removesuffix(unread)) == ""


def test_a_sentence_that_fits_is_read_to_its_end(limit: TextLimit) -> None:
    assert limit.unread("the blue balloon dips down") == ""
    assert limit.unread("") == ""
    assert unread_notes(limit, ["the blue balloon dips down", ""]) == []


def test_notes_quote_a_few_sentences_and_count_all(limit: TextLimit) -> None:
    many = [f"{LONG} {number}" for number in range(8)]
    *quoted, counted = unread_notes(limit, [*many, *many, "it rises"])
    assert len(quoted) == 5
    assert many[0] in quoted[0]
    assert "slowly to the left 0" in quoted[0]
    assert counted == (
        "longer than the 16 tokens that the text encoder reads: 8 of 9 prompts"
    )


# What the documentation of each class says, or its constructor does.
LENGTHS = {"wan21": 512, "cogvideox": 226, "ltx": 128, "i2vgen-xl": 77, "hunyuan": 256 + 103}


@pytest.mark.parametrize("kind", LENGTHS)
def test_the_limit_of_a_diffusers_pipeline_is_that_of_its_call(kind: str, tmp_path: Path) -> None:
    limit = limit_of_folder(save_tiny(kind, tmp_path / kind))
    assert limit is not None
    assert limit.tokens == LENGTHS[kind]


def test_hunyuan_reads_its_limit_after_its_instructions(tmp_path: Path) -> None:
    limit = limit_of_folder(save_tiny("hunyuan", tmp_path / "hunyuan"))
    assert limit is not None
    call = inspect.signature(diffusers.HunyuanVideoImageToVideoPipeline.__call__)
    template = call.parameters["prompt_template"].default["template"]
    assert template.startswith(limit.prefix)
    assert template[len(limit.prefix) :].startswith("{}")


class TextProcessor(Qwen2_5_VLProcessor):
    """Qwen's processor without the parts for pictures and videos, which ask for torchvision."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer


@pytest.mark.parametrize(("kind", "tokens"), [("Kandinsky5I2VPipeline", 512),
                                              ("Kandinsky6TI2VAPipeline", 1024)])  # fmt: skip
def test_the_limit_of_a_processor_is_that_of_its_tokenizer(kind: str, tokens: int) -> None:
    limit = limit_of_class(getattr(diffusers, kind), TextProcessor(tiny_tokenizer(4096)), {})
    assert limit is not None
    assert limit.tokens == tokens
    assert limit.unread("nothing moves") == ""
    assert limit.unread("nothing moves at all " * tokens)


def test_a_model_that_reads_no_sentence_has_no_limit(tmp_path: Path) -> None:
    assert limit_of_folder(save_tiny("svd", tmp_path / "svd")) is None


def test_an_argument_of_the_call_changes_the_limit(tmp_path: Path) -> None:
    folder = str(save_tiny("ltx", tmp_path / "ltx"))
    assert open_model(folder, Sampling()).text_limit.tokens == 128  # type: ignore[union-attr]
    shorter = open_model(folder, Sampling(extra={"max_sequence_length": 9})).text_limit
    assert shorter is not None
    assert shorter.unread("nothing moves at all " * 4)


NOTE = 'note: the end of this prompt was not read: "'


def run(*arguments: object) -> str:
    """What a command says on stderr."""
    result = CliRunner().invoke(cli, [str(word) for word in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stderr


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    write_image(tmp_path / "picture.png", pixels)
    return tmp_path / "picture.png"


def test_animate_says_what_it_did_not_read(picture: Path, tmp_path: Path) -> None:
    model = tiny_folder(tmp_path / "model")
    given = ("--model", model, "--steps", 1, "-o", tmp_path / "out", "--overwrite")
    assert 'left", of "the blue' in run("animate", picture, LONG, *given)
    assert NOTE not in run("animate", picture, "it rises", *given)
    assert NOTE in run("animate", picture, "it rises", "--negative-prompt", LONG, *given)


def test_animate_with_a_diffusers_pipeline_says_so_too(picture: Path, tmp_path: Path) -> None:
    model = save_tiny("ltx", tmp_path / "ltx")
    sentence = "nothing moves at all " * 60
    said = run("animate", picture, sentence, "--model", model, "--steps", 1, "--size", "32x32",
               "--frames", 9, "-o", tmp_path / "out.mp4")  # fmt: skip
    assert NOTE in said
    assert "the 128 tokens" in said


def test_a_benchmark_run_says_what_it_did_not_read(picture: Path, tmp_path: Path) -> None:
    (tmp_path / "bench" / "images").mkdir(parents=True)
    picture.rename(tmp_path / "bench" / "images" / "a.png")
    (tmp_path / "bench" / "pairs.json").write_text(
        json.dumps([{"scenario": "s", "image_id": "a", "prompt": LONG}])
    )
    said = run("bench", "run", "--bench", tmp_path / "bench", "--own-pairs", "--model",
               tiny_folder(tmp_path / "model"), "--steps", 1, "-o", tmp_path / "out")  # fmt: skip
    assert NOTE in said
    assert "reads: 1 of 1 prompts" in said
    (line,) = map(json.loads, (tmp_path / "out" / "manifest.jsonl").read_text().splitlines())
    assert line["unread"].endswith("slowly to the left")


def test_an_evaluation_says_what_the_model_did_not_read(tmp_path: Path) -> None:
    model = tiny_folder(tmp_path / "model")  # knows few words, and so takes many tokens for others
    said = run("scenes", "eval", model, "--pairs", 1, "--size", 32, "--steps", 1, "-o",
               tmp_path / "report")  # fmt: skip
    assert NOTE in said
    assert 'of "the balance tilts to the left"' in said


def test_prepare_and_train_say_which_captions_are_cut(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base")  # 8 places
    clips = tmp_path / "clips"
    clips.mkdir()
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    write_video(clips / "a.mp4", frames, 8)
    (clips / "a.txt").write_text(LONG)
    shards = tmp_path / "shards"
    said = run("prepare", clips, "-o", shards, "--model", base, "--size", "32x32", "--frames", 3,
               "--workers", 0, "--max-stride", 1)  # fmt: skip
    assert NOTE in said
    said = run("train", shards, "-o", tmp_path / "run", "--model", base, "--preset", "scenes",
               "--set", "unet.cross_attention_dim=8", "--set", "unet.latent_channels=4",
               "--dry-run")  # fmt: skip
    assert NOTE in said


def test_inspect_with_a_model_names_the_captions_that_are_cut(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name, seed, caption in (("long", 1, LONG), ("short", 2, "the red balloon rises")):
        save(clips / f"{name}.mp4", moving(seed))
        (clips / f"{name}.txt").write_text(caption)
    model, output = tiny_folder(tmp_path / "model"), tmp_path / "report"
    given = ("inspect", clips, "-o", output, "--frames", 12, "--size", "80x112", "--workers", 1)
    run(*given)
    assert faults_of(output) == {}
    run(*given, "--model", model)  # captions are read anew, though no clip has changed
    ((name, words),) = faults_of(output).items()
    assert name == "long.mp4"
    assert "slowly to the left' is not read: it has more than 16 tokens" in words
    run(*given, "--model", save_tiny("svd", tmp_path / "svd"))  # reads no prompt
    assert faults_of(output) == {}


def faults_of(report: Path) -> dict[str, str]:
    """The words of caption-cut, by clip."""
    clips = json.loads((report / "inspect.json").read_text())["clips"]
    return {clip["name"]: fault["words"] for clip in clips for fault in clip["faults"]
            if fault["code"] == "caption-cut"}  # fmt: skip
