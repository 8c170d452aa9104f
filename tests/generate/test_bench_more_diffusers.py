"""The families of diffusers pipelines that test_diffusers_families.py leaves, by the same door."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.ltx2.utils import DISTILLED_SIGMA_VALUES
from opened_pipelines import OpenKind, noise
from tiny_cosmos import PassingGuardrail
from tiny_encoders import SENTENCES
from tiny_more_diffusers import MORE_KINDS, MORE_QUICK, MORE_TINY, sana_video, save_more

from motifocal.generate.diffusers_model import DiffusersModel
from motifocal.generate.families.registry import FAMILIES, SIBLINGS, class_of
from motifocal.generate.model import Format, Job, Sampling
from motifocal.generate.open import open_model
from motifocal.media.video import read_video, write_image

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]

COSMOS = {
    "cosmos-predict1": "video2world", "cosmos-predict2": "cosmos2_video2world",
    "cosmos-predict2.5": "cosmos2_5_predict",
}  # fmt: skip


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVIDIA's guardrail and torchvision seem to be installed; the guardrail lets all through."""
    there = importlib.util.find_spec

    def find_spec(name: str) -> object:
        return name if name in ("cosmos_guardrail", "torchvision") else there(name)

    monkeypatch.setattr("motifocal.generate.diffusers_load.importlib.util.find_spec", find_spec)
    for module in ("cosmos_video2world", "cosmos2_video2world", "cosmos2_5_predict"):
        monkeypatch.setattr(f"diffusers.pipelines.cosmos.pipeline_{module}.CosmosSafetyChecker",
                            PassingGuardrail)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a kind, saved when it is first asked for."""
    top = tmp_path_factory.mktemp("more-pipelines")

    def folder(kind: str) -> Path:
        return top / kind if (top / kind).exists() else save_more(kind, top / kind)

    return folder


@pytest.fixture
def fresh(saved: Callable[[str], Path], guarded: None) -> OpenKind:
    """A kind through `open_model`, small and quick unless told otherwise."""

    def open_kind(kind: str, **sampling: Any) -> DiffusersModel:
        size, frames = MORE_TINY[kind]
        steps = 1 if kind.startswith("helios-") else 2  # at each stage
        quick = {"steps": steps, "size": size, "frames": frames,
                 "extra": MORE_QUICK.get(kind, {})}
        model = open_model(str(saved(kind)), Sampling(**{**quick, **sampling}))
        assert isinstance(model, DiffusersModel)
        return model

    return open_kind


def test_an_empty_negative_prompt_replaces_the_pipelines_own(fresh: OpenKind) -> None:
    """Cosmos brings one of its own, of several sentences."""
    own, empty = fresh("cosmos-predict2"), fresh("cosmos-predict2", negative_prompt="")
    first, second = (model.sample_video(noise(0), SENTENCES[0], 0) for model in (own, empty))
    assert not np.array_equal(first, second)
    assert (own.settings["negative_prompt"], empty.settings["negative_prompt"]) == (None, "")


@pytest.mark.parametrize("kind", MORE_KINDS)
def test_a_job_decides_its_video_and_all_of_it_reaches_the_network(
    kind: str, fresh: OpenKind, tmp_path: Path
) -> None:
    model = fresh(kind)
    (height, width), frames = MORE_TINY[kind]
    write_image(tmp_path / "image.png", noise(0))
    jobs = [Job(tmp_path / "image.png", SENTENCES[0], seed, tmp_path / f"{name}.mp4")
            for name, seed in (("a", 5), ("b", 6), ("a again", 5))]
    assert model.animate(jobs) == [None] * 3
    clip = read_video(tmp_path / "a.mp4")
    assert model.format == Format(frames, height, width, clip.fps) == Format.of(clip.frames,
                                                                                clip.fps)
    bytes_of = {path.stem: path.read_bytes() for path in tmp_path.glob("*.mp4")}
    assert bytes_of["a"] == bytes_of["a again"] != bytes_of["b"]
    made = model.sample_video(noise(0), SENTENCES[0], 5)
    assert not np.array_equal(made, model.sample_video(noise(1), SENTENCES[0], 5))
    assert not np.array_equal(made, model.sample_video(noise(0), SENTENCES[2], 5))
    guided = fresh(kind, guidance=30.0).sample_video(noise(0), SENTENCES[0], 5)
    assert not np.array_equal(made, guided)


# What is sampled with by default: frames, height, width, fps, steps, guidance.
MADE_FOR = {
    "wan-vace": (81, 480, 832, 16, 50, 5.0),
    "skyreels-v2-df": (97, 544, 960, 24, 50, 5.0),
    "helios": (97, 384, 640, 24, 50, 5.0),
    "helios-pyramid": (97, 384, 640, 24, 20, 5.0),
    "helios-distilled": (97, 384, 640, 24, 2, 1.0),
    "skyreels-v1": (97, 544, 960, 24, 30, 6.0),
    "framepack": (145, 480, 832, 30, 25, 10.0),
    "ltx-long": (161, 512, 704, 25, 8, 1.0),
    "ltx-2.3": (121, 512, 768, 24, 30, 3.0),
    "ltx-2.5": (121, 512, 768, 24, 8, 1.0),
    "kandinsky6": (125, 480, 864, 24, 50, 5.0),
    "motif-video": (121, 736, 1280, 24, 50, 8.0),
    "sana-video": (81, 480, 832, 16, 50, 6.0),
    "cosmos-predict1": (121, 704, 1280, 30, 36, 7.0),
    "cosmos-predict2": (93, 704, 1280, 16, 35, 7.0),
    "cosmos-predict2.5": (93, 704, 1280, 16, 36, 7.0),
    "cosmos3": (189, 720, 1280, 24, 35, 6.0),
}


@pytest.mark.parametrize("kind", MORE_KINDS)
def test_what_is_left_open_is_what_the_authors_sample_with(kind: str) -> None:
    torch.manual_seed(0)
    pipeline = MORE_KINDS[kind]()
    family = FAMILIES[type(pipeline).__name__](pipeline)
    made_for = (family.frames, *family.size, family.fps, family.steps, family.guidance)
    assert made_for == MADE_FOR[kind]
    family.check_frames(family.frames)
    family.check_size(family.size)


# kind: lengths that are made, with extra arguments; a length that is not and its two neighbours.
LENGTHS: dict[str, tuple[dict[int, dict[str, Any]], int, tuple[int, int]]] = {
    "wan-vace": ({1: {}}, 7, (5, 9)),
    "skyreels-v2-df": ({21: {"base_num_frames": 13, "overlap_history": 5}}, 8, (5, 9)),
    "helios": ({65: {}}, 66, (65, 97)),
    "framepack": ({73: {}}, 72, (37, 73)),
    "ltx-long": ({105: {}}, 104, (97, 105)),  # two windows
    "kandinsky6": ({1: {}}, 6, (5, 9)),
    "sana-video": ({9: {}}, 8, (5, 9)),
    "cosmos-predict1": ({17: {}}, 13, (9, 17)),
    "cosmos-predict2": ({9: {}}, 8, (5, 9)),
    "cosmos3": ({9: {}}, 8, (5, 9)),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_a_length_is_made_exactly_or_refused_with_the_nearest_two(
    kind: str, fresh: OpenKind
) -> None:
    able, unable, (below, above) = LENGTHS[kind]
    for frames, extra in able.items():
        model = fresh(kind, frames=frames, extra=extra)
        assert len(model.sample_video(noise(0), SENTENCES[0], 0)) == frames
    with pytest.raises(ValueError, match=rf"nearest are {below} and {above}, got {unable}$"):
        fresh(kind, frames=unable)


@pytest.mark.parametrize(("kind", "least"), [
    ("helios", 33), ("framepack", 37), ("motif-video", 2), ("cosmos3", 2),
])  # fmt: skip
def test_a_video_shorter_than_a_section_is_refused(kind: str, least: int, fresh: OpenKind) -> None:
    with pytest.raises(ValueError, match=f"frames should be at least {least}, got 1$"):
        fresh(kind, frames=1)


# kind: a size that is not made, and the nearest to it.
SIZES = {
    "wan-vace": ((40, 32), (32, 32)), "skyreels-v2-df": ((16, 50), (16, 48)),
    "helios": ((24, 32), (32, 32)), "helios-pyramid": ((48, 32), (64, 32)),
    "framepack": ((20, 32), (16, 32)), "ltx-long": ((48, 64), (64, 64)),
    "kandinsky6": ((20, 32), (16, 32)), "motif-video": ((24, 32), (32, 32)),
    "sana-video": ((48, 64), (64, 64)), "cosmos3": ((40, 48), (32, 48)),
}  # fmt: skip


@pytest.mark.parametrize("kind", SIZES)
def test_a_size_that_is_not_made_is_refused_with_the_nearest(kind: str, fresh: OpenKind) -> None:
    (height, width), nearest = SIZES[kind]
    with pytest.raises(ValueError, match=f"nearest is {nearest[0]}x{nearest[1]}, got "
                                         f"{height}x{width}$"):
        fresh(kind, size=(height, width))


def test_ltx_20_and_23_are_called_each_in_its_own_way(fresh: OpenKind) -> None:
    from tiny_ltx2 import tiny_ltx2

    family = FAMILIES["LTX2ImageToVideoPipeline"]
    assert family(tiny_ltx2()).call == {"spatio_temporal_guidance_blocks": [29],
                                        "use_cross_timestep": False}
    assert fresh("ltx-2.3").settings["call"] == {"spatio_temporal_guidance_blocks": [28],
                                                 "use_cross_timestep": True}


def test_ltx_25_is_sampled_at_the_noise_levels_of_its_distillation(fresh: OpenKind) -> None:
    def levels(model: DiffusersModel) -> list[float]:
        model.sample_video(noise(0), SENTENCES[0], 5)
        return [round(level, 6) for level in model._pipeline.scheduler.sigmas.tolist()]

    model = fresh("ltx-2.5", steps=8)
    assert model.settings["sigmas"] == DISTILLED_SIGMA_VALUES
    assert levels(model) == [*DISTILLED_SIGMA_VALUES, 0]
    fewer = fresh("ltx-2.5", steps=2)  # by the scheduler
    assert "sigmas" not in fewer.settings
    assert levels(fewer) == [1, 0.5, 0]
    extra = {**MORE_QUICK["ltx-2.5"], "sigmas": [1, 0.25]}
    given = fresh("ltx-2.5", steps=8, extra=extra)
    assert levels(given) == [1, 0.25, 0]
    assert "sigmas" not in given.settings  # but in the extra arguments there


def test_what_decides_the_length_is_no_extra_argument(fresh: OpenKind) -> None:
    for kind, name in (("framepack", "latent_window_size"),
                       ("helios", "num_latent_frames_per_chunk"),
                       ("helios-pyramid", "pyramid_num_inference_steps_list"),
                       ("ltx-long", "seed"), ("sana-video", "frames")):
        with pytest.raises(ValueError, match=f"got {name}$"):
            fresh(kind, extra={name: 1})


@pytest.mark.parametrize("kind", COSMOS)
def test_cosmos_is_refused_without_its_guardrail(
    kind: str, saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="should find cosmos_guardrail and torchvision, without"):
        open_model(str(saved(kind)), Sampling())


def test_cosmos_3_is_refused_without_its_guardrail_unless_its_folder_switches_it_off(
    saved: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_more("cosmos3", tmp_path / "cosmos3")
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace('"enable_safety_checker": false',
                                               '"enable_safety_checker": true'))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="Cosmos3OmniPipeline should find cosmos_guardrail, with"):
        open_model(str(folder), Sampling())


def test_the_guardrail_of_cosmos_3_is_not_switched_off_by_an_extra_argument(
    fresh: OpenKind
) -> None:
    with pytest.raises(ValueError, match=r"got enable_safety_check$"):
        fresh("cosmos3", extra={"enable_safety_check": False})


def test_a_kandinsky_6_for_text_alone_is_refused() -> None:
    pipeline = MORE_KINDS["kandinsky6"]()
    pipeline.transformer.register_to_config(visual_cond=False)
    with pytest.raises(ValueError, match="should take an image"):
        FAMILIES["Kandinsky6TI2VAPipeline"](pipeline)


def test_weights_under_a_text_to_video_class_are_opened_as_its_sibling(
    fresh: OpenKind, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    sana_video("SanaVideoPipeline").save_pretrained(tmp_path / "sana")
    model = open_model(str(tmp_path / "sana"), Sampling(steps=2, size=(32, 64), frames=5))
    assert model.settings["class"] == "SanaImageToVideoPipeline"
    assert isinstance(model, DiffusersModel)
    same = fresh("sana-video", size=(32, 64), extra={})
    assert np.array_equal(model.sample_video(noise(0), SENTENCES[0], 0),
                          same.sample_video(noise(0), SENTENCES[0], 0))
    assert {class_of({"_class_name": name}, "folder") for name in SIBLINGS} <= set(FAMILIES)
