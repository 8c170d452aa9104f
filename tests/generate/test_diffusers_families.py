"""Every family of diffusers pipelines behind one door: tiny random ones, opened as a user would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from opened_pipelines import OpenKind, format_of, noise
from tiny_diffusers import KINDS, TINY, save_tiny, tiny_pipeline
from tiny_encoders import SENTENCES
from tiny_more_diffusers import MORE_KINDS

from motifocal.generate.families.family import Family
from motifocal.generate.families.registry import FAMILIES, family_of
from motifocal.generate.model import Job, Sampling
from motifocal.generate.open import open_model

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_is_what_the_format_promised_and_depends_on_its_own_job_alone(
    kind: str, fresh: OpenKind, opened: OpenKind, picture: Path, tmp_path: Path
) -> None:
    def job(name: str, seed: int, sentence: int = 0) -> Job:
        return Job(picture, SENTENCES[sentence], seed, tmp_path / f"{name}.mp4")

    first, second = opened(kind), fresh(kind)
    assert first.format is not None
    (height, width), frames = TINY[kind]
    assert (first.format.frames, first.format.height, first.format.width) == (frames, height, width)
    assert first.animate([job("a", 5), job("b", 6)]) == [None, None]
    torch.rand(7)  # whatever else draws in the process
    assert second.animate([job("b again", 6), job("a again", 5)]) == [None, None]
    assert format_of(tmp_path / "a.mp4") == first.format
    bytes_of = {path.stem: path.read_bytes() for path in tmp_path.glob("*.mp4")}
    assert bytes_of["a"] == bytes_of["a again"]
    assert bytes_of["b"] == bytes_of["b again"]
    assert bytes_of["a"] != bytes_of["b"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_the_sentence_and_the_guidance_reach_the_network(
    kind: str, opened: OpenKind
) -> None:
    model = opened(kind)
    made = model.sample_video(noise(0), SENTENCES[0], 0)
    another = model.sample_video(noise(1), SENTENCES[0], 0)
    assert np.array_equal(made, another) == (kind == "modelscope")
    other = model.sample_video(noise(0), SENTENCES[2], 0)
    assert np.array_equal(made, other) == (kind == "svd")
    guided = opened(kind, guidance=30.0).sample_video(noise(0), SENTENCES[0], 0)
    assert not np.array_equal(made, guided)


# What the authors sample with: frames, height, width, fps, steps, guidance.
MADE_FOR = {
    "wan21": (81, 480, 832, 16, 40, 5.0),
    "wan22-a14b": (81, 720, 1280, 16, 40, 3.5),
    "wan22-5b": (121, 704, 1280, 24, 50, 5.0),
    "skyreels": (97, 544, 960, 24, 50, 5.0),
    "cogvideox": (49, 32, 48, 8, 50, 6.0),  # as large as its learned positions
    "cogvideox15": (81, 768, 1360, 16, 50, 6.0),
    "ltx": (161, 512, 704, 25, 50, 3.0),
    "ltx-condition": (161, 512, 704, 25, 50, 3.0),
    "hunyuan": (129, 720, 1280, 24, 50, 6.0),
    "hunyuan-33ch": (125, 720, 1280, 24, 50, 1.0),
    "hunyuan15": (121, 32, 32, 24, 50, 6.0),  # of the size in its configuration
    "ltx2": (121, 512, 768, 24, 30, 3.0),
    "kandinsky5": (121, 512, 768, 24, 50, 5.0),
    "svd": (14, 576, 1024, 7, 25, 3.0),
    "i2vgen-xl": (16, 704, 1280, 8, 50, 9.0),
    "modelscope": (16, 256, 256, 8, 50, 9.0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_open_is_what_the_authors_sample_with(
    kind: str, families: dict[str, tuple[str, Family]]
) -> None:
    _, family = families[kind]
    made_for = (family.frames, *family.size, family.fps, family.steps, family.guidance)
    assert made_for == MADE_FOR[kind]
    family.check_frames(family.frames)
    if kind != "cogvideox15":  # the tiny one has a tiny table of positions
        family.check_size(family.size)


@pytest.mark.parametrize(("place", "steps", "guidance"), [
    ("LTX-Video-0.9.8-13B-Distilled", 8, 1.0),
    ("models--Lightricks--LTX-Video-0.9.7-distilled/snapshots/abc", 8, 1.0),
    ("not-distilled-at-all/LTX-Video", 50, 3.0),
    ("LTX-2.3-Distilled-Diffusers", 8, 1.0),
    ("LTX-2", 30, 3.0),
    ("Kandinsky-5.0-I2V-Pro-distilled-5s-Diffusers", 16, 1.0),
])  # fmt: skip
def test_distilled_models_are_told_by_their_name_and_sampled_without_guidance(
    tmp_path: Path, place: str, steps: int, guidance: float
) -> None:
    kind = {"LTX-2": "ltx2", "Kandi": "kandinsky5"}.get(place[:5], "ltx")
    model = open_model(str(save_tiny(kind, tmp_path / place)), Sampling())
    assert (model.settings["steps"], model.settings["guidance"]) == (steps, guidance)


def test_every_family_is_tested_here_or_in_test_bench_more_diffusers(
    families: dict[str, tuple[str, Family]],
) -> None:
    more = {type(build()).__name__ for build in MORE_KINDS.values()}
    assert {name for name, _ in families.values()} | more == set(FAMILIES)


def test_hunyuan_15_chooses_the_published_sizes_for_a_wide_picture() -> None:
    pipeline: Any = tiny_pipeline("hunyuan15")
    for target, size in ((640, (480, 848)), (960, (720, 1280))):
        pipeline.target_size = target
        family = family_of(pipeline)
        assert family.size == size
        family.check_size(size)


def test_step_distilled_hunyuan_15_is_sampled_in_few_steps() -> None:
    pipeline: Any = tiny_pipeline("hunyuan15")
    pipeline.transformer.register_to_config(use_meanflow=True)
    assert family_of(pipeline).steps == 12


# kind: lengths that are made, a length that is not and its two neighbours.
LENGTHS: dict[str, tuple[tuple[int, ...], int, tuple[int, int]]] = {
    "wan21": ((1, 9), 8, (5, 9)),
    "wan22-5b": ((1, 9), 6, (5, 9)),
    "skyreels": ((1, 9), 10, (9, 13)),
    "cogvideox": ((1, 17), 13, (9, 17)),
    "cogvideox15": ((1, 17), 5, (1, 9)),
    "ltx": ((1, 17), 16, (9, 17)),
    "ltx-condition": ((17,), 18, (17, 25)),
    "hunyuan": ((1, 9), 4, (1, 5)),
    "hunyuan-33ch": ((1, 9), 7, (5, 9)),
    "hunyuan15": ((1, 9), 12, (9, 13)),
    "ltx2": ((9,), 10, (9, 17)),
    "kandinsky5": ((17,), 18, (17, 21)),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_a_length_is_made_exactly_or_refused_with_the_nearest_two(
    kind: str, opened: OpenKind
) -> None:
    able, unable, (below, above) = LENGTHS[kind]
    for frames in able:
        assert len(opened(kind, frames=frames).sample_video(noise(0), SENTENCES[0], 0)) == frames
    with pytest.raises(ValueError, match=rf"nearest are {below} and {above}, got {unable}$"):
        opened(kind, frames=unable)


def test_a_family_without_a_rule_takes_any_length_that_is_a_video(opened: OpenKind) -> None:
    for kind, frames in (("svd", 2), ("svd", 6), ("i2vgen-xl", 1), ("i2vgen-xl", 4)):
        assert len(opened(kind, frames=frames).sample_video(noise(0), SENTENCES[0], 0)) == frames
    with pytest.raises(ValueError, match="frames should be at least 2, got 1"):
        opened("svd", frames=1)


# kind: a size that is made, one that is not, and the nearest to that.
SIZES: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "wan21": ((48, 16), (40, 16), (32, 16)),
    "wan22-5b": ((32, 96), (48, 96), (64, 96)),
    "skyreels": ((16, 48), (16, 50), (16, 48)),
    "cogvideox": ((32, 48), (48, 32), (32, 48)),
    "cogvideox15": ((16, 48), (48, 80), (32, 48)),
    "ltx": ((64, 32), (64, 48), (64, 64)),
    "hunyuan": ((16, 48), (24, 40), (32, 32)),
    "hunyuan15": ((32, 32), (32, 48), (32, 32)),
    "svd": ((40, 56), (44, 60), (48, 64)),
    "i2vgen-xl": ((24, 40), (4, 40), (8, 40)),
}


@pytest.mark.parametrize("kind", SIZES)
def test_a_size_is_made_exactly_or_refused_with_the_nearest(kind: str, opened: OpenKind) -> None:
    able, unable, nearest = SIZES[kind]
    assert opened(kind, size=able).sample_video(noise(0), SENTENCES[0], 0).shape[1:3] == able
    words = rf"nearest is {nearest[0]}x{nearest[1]}, got {unable[0]}x{unable[1]}$"
    with pytest.raises(ValueError, match=words):
        opened(kind, size=unable)
