"""Learned measures hold their definitions, on tiny random CLIP, ViT and DINOv2 towers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from huggingface_hub import constants
from hypothesis import given
from hypothesis import strategies as st
from steady import steady
from tiny_bench import DrawingModel, textured, write_benchmark
from tiny_clip import SIDE, SIZES, SMALL, write_clip
from tiny_model import SENTENCES
from transformers import (
    BitImageProcessorPil,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTImageProcessorPil,
    ViTModel,
)

from motifocal.bench.pairs import read_benchmark
from motifocal.bench.results import Results
from motifocal.bench.run import run
from motifocal.bench.score.controls import ANOTHER, SHUFFLED, STILL, still
from motifocal.bench.score.learned import (
    CLIP_MEASURES,
    DINO_MEASURES,
    ClipAlignment,
    DinoConsistency,
    Vision,
    consistency,
)
from motifocal.bench.score.measures import MEASURES
from motifocal.cli import cli
from motifocal.media.picture import Pixels


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random CLIP with the tokenizer of `SENTENCES`."""
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module", params=["vit", "dinov2"])
def dino_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    if request.param == "vit":
        ViTModel(ViTConfig(**SMALL)).save_pretrained(folder)
        ViTImageProcessorPil(size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    else:
        Dinov2Model(Dinov2Config(**SMALL)).save_pretrained(folder)
        BitImageProcessorPil(**SIZES).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def frames() -> Pixels:
    """Five quite different pictures, (5, 24, 24, 3)."""
    return np.stack([textured(seed, 24, 24) for seed in range(5)])


def features_by_hand(vision: Vision, picture: Pixels) -> np.ndarray:
    """What the model says of one picture, without batches and without our code around it."""
    pixels = vision.processor(picture, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        if isinstance(vision.model, CLIPModel):
            found = vision.model.get_image_features(pixel_values=pixels).pooler_output[0]
        else:
            found = vision.model(pixel_values=pixels).last_hidden_state[0, 0]
    return (found / found.norm()).numpy()


def test_clip_alignments_are_the_mean_cosines_of_single_frames(
    clip_folder: Path, frames: Pixels
) -> None:
    clip = ClipAlignment(str(clip_folder))
    picture = textured(9, 24, 24)
    (seen,) = clip.embed(frames, picture, [range(len(frames))])
    assert set(seen.numbers) | set(clip.score_text(seen.vector, "x")) == set(CLIP_MEASURES)
    embedded = np.stack([features_by_hand(clip._vision, frame) for frame in frames])
    expected = (embedded @ features_by_hand(clip._vision, picture)).mean()
    assert seen.numbers["clip_image_alignment"] == pytest.approx(expected, abs=1e-6)
    for sentence in SENTENCES:
        model = clip._vision.model
        with torch.no_grad():
            words = model.get_text_features(
                input_ids=clip._tokenizer(sentence, return_tensors="pt")["input_ids"]
            ).pooler_output[0].numpy()
        expected = (embedded @ words).mean() / np.linalg.norm(words)
        found = clip.score_text(seen.vector, sentence)["clip_text_alignment"]
        assert found == pytest.approx(expected, abs=1e-6)


def test_another_prompt_changes_the_text_alignment_alone(
    clip_folder: Path, frames: Pixels
) -> None:
    clip = ClipAlignment(str(clip_folder))
    (seen,) = clip.embed(frames, frames[0], [range(5)])
    first, second = (clip.score_text(seen.vector, sentence) for sentence in SENTENCES[:2])
    assert first != second
    assert set(first) == {"clip_text_alignment"}


def test_a_prompt_longer_than_the_tower_is_cut(clip_folder: Path, frames: Pixels) -> None:
    clip = ClipAlignment(str(clip_folder))
    (seen,) = clip.embed(frames, frames[0], [range(5)])
    assert np.isfinite(clip.score_text(seen.vector, "balloon " * 100)["clip_text_alignment"])
    assert clip.text_limit is not None
    end = clip.text_limit.unread("balloon " * 100)
    assert 0 < end.count("balloon") < 100
    read = "balloon " * (100 - end.count("balloon"))
    rises, dips = (clip.score_text(seen.vector, read + word * 9) for word in ("rises ", "dips "))
    assert rises == dips


def test_dino_consistencies_are_those_of_the_class_tokens(
    dino_folder: Path, frames: Pixels
) -> None:
    dino = DinoConsistency(str(dino_folder))
    picture = textured(9, 24, 24)
    (seen,) = dino.embed(frames, picture, [range(5)])
    assert set(seen.numbers) == set(DINO_MEASURES)
    a, *rest = (features_by_hand(dino._vision, frame) for frame in frames)
    before = [a, *rest[:-1]]
    expected = np.mean([(max(b @ a, 0) + max(b @ p, 0)) / 2
                        for b, p in zip(rest, before, strict=True)])
    assert seen.numbers["dino_subject_consistency"] == pytest.approx(expected, abs=1e-6)
    likest = max(frame @ features_by_hand(dino._vision, picture) for frame in (a, *rest))
    expected = (likest + np.mean([max(b @ p, 0) for b, p in zip(rest, before, strict=True)])) / 2
    assert seen.numbers["dino_image_consistency"] == pytest.approx(expected, abs=1e-6)


def test_a_still_clip_has_exactly_one_and_one_look_is_enough(
    clip_folder: Path, dino_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    forward = Vision._forward
    monkeypatch.setattr(
        Vision, "_forward",
        lambda self, pictures: (looked.append(len(pictures)), forward(self, pictures))[1],
    )
    picture = textured(3, 24, 24)
    clip = still(picture, 20)
    (by_clip,) = ClipAlignment(str(clip_folder)).embed(clip, picture, [range(20)])
    (by_dino,) = DinoConsistency(str(dino_folder)).embed(clip, picture, [range(20)])
    assert looked == [1, 1]
    assert set((by_clip.numbers | by_dino.numbers).values()) == {1.0}


def test_shuffling_changes_what_depends_on_the_order_and_looks_once(
    dino_folder: Path, clip_folder: Path, frames: Pixels
) -> None:
    order = (0, 3, 1, 4, 2)
    dino, clip = DinoConsistency(str(dino_folder)), ClipAlignment(str(clip_folder))
    played, shuffled = dino.embed(frames, frames[0], [range(5), order])
    (directly,) = dino.embed(frames[list(order)], frames[0], [range(5)])
    assert shuffled.numbers == pytest.approx(directly.numbers, abs=1e-6)
    assert shuffled.numbers != pytest.approx(played.numbers, abs=1e-4)
    played, shuffled = clip.embed(frames, frames[0], [range(5), order])
    assert shuffled.numbers == pytest.approx(played.numbers, abs=1e-9)


def test_the_same_clip_gives_the_same_numbers_to_the_last_bit(
    clip_folder: Path, frames: Pixels
) -> None:
    one, other = (ClipAlignment(str(clip_folder)) for _ in range(2))
    assert one.embed(frames, frames[0], [range(5)]) == other.embed(frames, frames[0], [range(5)])
    assert one.fingerprint == other.fingerprint


@steady
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_consistency_is_between_nothing_and_one(seed: int, count: int) -> None:
    drawn = np.random.default_rng(seed).normal(size=(count + 1, 3)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    found = consistency(drawn[:-1], drawn[-1])
    assert all(0 <= number <= 1 for number in found.values())


def test_other_weights_have_another_fingerprint(clip_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = CLIPModel.from_pretrained(clip_folder, trust_remote_code=False)
    torch.nn.init.normal_(model.visual_projection.weight)
    other = tmp_path / "other"
    model.save_pretrained(other)
    for path in clip_folder.iterdir():
        if not (other / path.name).exists():
            (other / path.name).write_bytes(path.read_bytes())
    assert ClipAlignment(str(other)).fingerprint != ClipAlignment(str(clip_folder)).fingerprint


def test_another_kind_of_model_is_refused(clip_folder: Path, dino_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"should hold one of vit, dinov2.* it is a clip"):
        DinoConsistency(str(clip_folder))
    with pytest.raises(ValueError, match="should hold one of clip as safetensors"):
        ClipAlignment(str(dino_folder))


def test_pickled_weights_and_weights_in_part_are_refused(
    clip_folder: Path, tmp_path: Path
) -> None:
    for name in ("pickled", "part"):
        (tmp_path / name).mkdir()
        for path in clip_folder.iterdir():
            if path.suffix != ".safetensors":
                (tmp_path / name / path.name).write_bytes(path.read_bytes())
    model = CLIPModel.from_pretrained(clip_folder, trust_remote_code=False)
    torch.save(model.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ValueError, match="should hold one of clip as safetensors"):
        ClipAlignment(str(tmp_path / "pickled"))
    state = {name: value for name, value in model.state_dict().items() if "text" not in name}
    model.save_pretrained(tmp_path / "part", state_dict=state)
    with pytest.raises(ValueError, match="it lacks text_model"):
        ClipAlignment(str(tmp_path / "part"))


@pytest.mark.parametrize("location", ["nobody/no-such-clip", "no/such/folder", "../x", "a b"])
def test_what_is_neither_a_folder_nor_in_the_cache_is_one_clear_line(
    location: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"is no folder here, and|run `hf download") as told:
        ClipAlignment(location)
    assert location in str(told.value)
    assert "\n" not in str(told.value)


def test_a_device_that_is_not_there_is_one_clear_line(clip_folder: Path) -> None:
    with pytest.raises(ValueError, match="nowhere cannot be used here"):
        ClipAlignment(str(clip_folder), "nowhere")


def test_the_command_scores_with_learned_models_and_says_which(
    clip_folder: Path, dino_folder: Path, tmp_path: Path
) -> None:
    model = DrawingModel()
    benchmark = read_benchmark(write_benchmark(tmp_path / "bench"), own_pairs=True)
    results = Results(tmp_path / "made", model.name, {}, benchmark, (0,), model.format)
    assert all(outcome.failure is None for outcome in run(model, results))
    done = CliRunner().invoke(cli, [
        "bench", "score", str(tmp_path / "made"), "-o", str(tmp_path / "out"), "--no-plot",
        "--clip", str(clip_folder), "--dino", str(dino_folder)])
    assert done.exception is None, done.output
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    learned = [*CLIP_MEASURES, *DINO_MEASURES]
    assert list(content["measures"]) == [*MEASURES, *learned]
    assert content["computed"]["clip"].startswith(f"{clip_folder} ")
    rows = {row["name"]: row["measures"] for row in content["rows"]}
    still_wins = [name for name, about in (CLIP_MEASURES | DINO_MEASURES).items()
                  if about.still_wins]
    assert {rows[STILL][name]["mean"] for name in still_wins} == {1.0}
    text, image = "clip_text_alignment", "clip_image_alignment"
    shuffled = content["differences"][SHUFFLED][text]
    assert (shuffled["mean"], shuffled["images"]) == (pytest.approx(0, abs=1e-9), 3)
    both = [name for name in learned if name != text]
    own = [video for video in _lines(tmp_path / "out") if video["row"] == "drawing"]
    other = [video for video in _lines(tmp_path / "out") if video["row"] == ANOTHER]
    assert len(other) == 4
    by_file = {video["video"]: video for video in own}
    for video in other:
        assert all(video[name] == by_file[video["video"]][name] for name in both)
        assert video["prompt"] != by_file[video["video"]]["prompt"]
        assert video[text] != by_file[video["video"]][text]
    assert all(float(video[image]) <= 1 for video in own)


def _lines(folder: Path) -> list[dict[str, str]]:
    with (folder / "scores.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
