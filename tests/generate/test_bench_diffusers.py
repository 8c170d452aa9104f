"""Every family of diffusers pipelines behind one door: tiny random ones, opened as a user would."""

from __future__ import annotations

import importlib.util
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from tiny_diffusers import KINDS, SENTENCES, TINY, save_tiny, tiny_pipeline, wan22_5b
from tiny_more_diffusers import MORE_KINDS

from motifocal.generate.diffusers_model import DiffusersModel, as_frames
from motifocal.generate.families.family import Family
from motifocal.generate.families.registry import FAMILIES, family_of
from motifocal.generate.model import Format, Job, Sampling
from motifocal.generate.open import open_model
from motifocal.media.picture import Pixels
from motifocal.media.video import read_video, write_image

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]

Open = Callable[..., DiffusersModel]


def noise(seed: int, height: int = 40, width: int = 56) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a kind, saved when it is first asked for."""
    top = tmp_path_factory.mktemp("pipelines")

    def folder(kind: str) -> Path:
        return top / kind if (top / kind).exists() else save_tiny(kind, top / kind)

    return folder


@pytest.fixture(scope="session")
def fresh(saved: Callable[[str], Path]) -> Open:
    """A kind through `open_model`, small and quick unless told otherwise."""

    def open_kind(kind: str, **sampling: Any) -> DiffusersModel:
        size, frames = TINY[kind]
        # HunyuanVideo reads a thousand tokens, however small it is.
        steps = 1 if kind.startswith("hunyuan") else 2
        quick = {"steps": steps, "size": size, "frames": frames}
        model = open_model(str(saved(kind)), Sampling(**{**quick, **sampling}))
        assert isinstance(model, DiffusersModel)
        return model

    return open_kind


@pytest.fixture(scope="session")
def opened(fresh: Open) -> Open:
    """The same, opened once for all tests: not to be changed."""
    held: dict[str, DiffusersModel] = {}

    def open_kind(kind: str, **sampling: Any) -> DiffusersModel:
        key = f"{kind} {sorted(sampling.items())}"
        if key not in held:
            held[key] = fresh(kind, **sampling)
        return held[key]

    return open_kind


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    write_image(tmp_path / "picture.png", noise(0))
    return tmp_path / "picture.png"


def found(path: Path) -> Format:
    clip = read_video(path)
    count, height, width, _ = clip.frames.shape
    return Format(count, height, width, clip.fps)


@pytest.mark.parametrize("kind", KINDS)
def test_a_video_is_what_the_format_promised_and_depends_on_its_own_job_alone(
    kind: str, fresh: Open, opened: Open, picture: Path, tmp_path: Path
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
    assert found(tmp_path / "a.mp4") == first.format
    bytes_of = {path.stem: path.read_bytes() for path in tmp_path.glob("*.mp4")}
    assert bytes_of["a"] == bytes_of["a again"]
    assert bytes_of["b"] == bytes_of["b again"]
    assert bytes_of["a"] != bytes_of["b"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_picture_the_sentence_and_the_guidance_reach_the_network(
    kind: str, opened: Open
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


@pytest.fixture(scope="session")
def families() -> dict[str, tuple[str, Family]]:
    """Kind -> the name of its class, and its family."""
    pipelines = {kind: tiny_pipeline(kind) for kind in KINDS}
    return {kind: (type(pipeline).__name__, family_of(pipeline))
            for kind, pipeline in pipelines.items()}


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
def test_a_length_is_made_exactly_or_refused_with_the_nearest_two(kind: str, opened: Open) -> None:
    able, unable, (below, above) = LENGTHS[kind]
    for frames in able:
        assert len(opened(kind, frames=frames).sample_video(noise(0), SENTENCES[0], 0)) == frames
    with pytest.raises(ValueError, match=rf"nearest are {below} and {above}, got {unable}$"):
        opened(kind, frames=unable)


def test_a_family_without_a_rule_takes_any_length_that_is_a_video(opened: Open) -> None:
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
def test_a_size_is_made_exactly_or_refused_with_the_nearest(kind: str, opened: Open) -> None:
    able, unable, nearest = SIZES[kind]
    assert opened(kind, size=able).sample_video(noise(0), SENTENCES[0], 0).shape[1:3] == able
    words = rf"nearest is {nearest[0]}x{nearest[1]}, got {unable[0]}x{unable[1]}$"
    with pytest.raises(ValueError, match=words):
        opened(kind, size=unable)


def rename_class(folder: Path, name: object, **others: Any) -> Path:
    path = folder / "model_index.json"
    index = json.loads(path.read_text())
    path.write_text(json.dumps({**index, "_class_name": name, **others}))
    return folder


def test_what_is_published_under_a_text_to_video_class_is_opened_as_its_sibling(
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    wan22_5b("WanPipeline").save_pretrained(tmp_path / "wan")
    model = open_model(str(tmp_path / "wan"), Sampling(steps=2, size=(32, 32), frames=5))
    assert model.settings["class"] == "WanImageToVideoPipeline"
    assert isinstance(model, DiffusersModel)
    assert model.sample_video(noise(0), SENTENCES[0], 0).shape == (5, 32, 32, 3)
    save_tiny("ltx", tmp_path / "ltx")
    rename_class(tmp_path / "ltx", "LTXPipeline")
    model = open_model(str(tmp_path / "ltx"), Sampling(steps=2, size=(32, 32), frames=9))
    assert model.settings["class"] == "LTXImageToVideoPipeline"
    save_tiny("ltx2", tmp_path / "ltx2")
    rename_class(tmp_path / "ltx2", "LTX2Pipeline")
    model = open_model(str(tmp_path / "ltx2"), Sampling(steps=2, size=(64, 64), frames=9))
    assert model.settings["class"] == "LTX2ImageToVideoPipeline"


def test_a_class_that_animates_no_picture_is_refused_with_those_that_do(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    for name in ("StableDiffusionPipeline", ["pipeline", "Mine"], None):
        folder = tmp_path / "odd"
        folder.mkdir(exist_ok=True)
        (folder / "model_index.json").write_text(json.dumps({"_class_name": name}))
        with pytest.raises(ValueError, match="LTXImageToVideoPipeline") as error:
            open_model(str(folder), Sampling())
        assert str(error.value).endswith(f"got {name!r}")
    rename_class(folder, "WanPipeline", expand_timesteps=False)
    with pytest.raises(ValueError, match="takes no picture"):
        open_model(str(folder), Sampling())


def test_a_folder_cannot_make_this_import_other_code(
    saved: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    index = json.loads((saved("ltx") / "model_index.json").read_text())
    (tmp_path / "model_index.json").write_text(json.dumps({**index, "vae": ["evil", "Vae"]}))
    with pytest.raises(ValueError, match=r"vae should be of diffusers or transformers, got evil"):
        open_model(str(tmp_path), Sampling())


def test_an_extra_argument_goes_into_the_call(opened: Open) -> None:
    plain = opened("svd").sample_video(noise(0), "", 0)
    moved = opened("svd", extra={"motion_bucket_id": 250})
    assert not np.array_equal(plain, moved.sample_video(noise(0), "", 0))
    assert moved.settings["extra"] == {"motion_bucket_id": 250}


@pytest.mark.parametrize("name", ["tempo", "image", "generator", "fps", "latents", "prompt_embeds"])
def test_an_extra_argument_that_cannot_be_given_is_refused_with_those_that_can(
    name: str, opened: Open
) -> None:
    with pytest.raises(ValueError, match=f"got {name}$") as error:
        opened("svd", extra={name: 1})
    known = str(error.value).split("among ")[1].split(" for ")[0].split(", ")
    assert {"motion_bucket_id", "noise_aug_strength", "decode_chunk_size"} <= set(known)
    assert not {"image", "self", "fps", "max_guidance_scale", "latents"} & set(known)


def test_an_extra_argument_should_be_a_json_value(opened: Open) -> None:
    for value in (math.nan, torch.zeros(1)):
        with pytest.raises(ValueError, match="extra should hold JSON values"):
            opened("svd", extra={"motion_bucket_id": value})


def test_tiling_is_switched_on_by_request_only_and_slicing_changes_nothing(fresh: Open) -> None:
    plain, tiled = fresh("wan21"), fresh("wan21", extra={"vae_tiling": True})
    assert not plain._pipeline.vae.use_tiling
    assert tiled._pipeline.vae.use_tiling
    assert tiled.settings["extra"] == {"vae_tiling": True}
    assert plain._pipeline.vae.use_slicing
    sliced = plain.sample_video(noise(0), SENTENCES[0], 0)
    plain._pipeline.vae.disable_slicing()
    assert np.array_equal(sliced, plain.sample_video(noise(0), SENTENCES[0], 0))


@pytest.mark.parametrize(
    "kind", ["wan21", "cogvideox", "ltx", "hunyuan", "hunyuan-33ch", "hunyuan15", "i2vgen-xl"]
)
def test_a_negative_prompt_counts_or_is_refused(kind: str, opened: Open) -> None:
    extra = {"true_cfg_scale": 30.0} if kind == "hunyuan" else {}
    how: dict[str, Any] = {"guidance": 30.0, "extra": extra}
    plain = opened(kind, **how).sample_video(noise(0), SENTENCES[0], 0)
    negative = opened(kind, **how, negative_prompt="nothing nothing nothing")
    assert not np.array_equal(plain, negative.sample_video(noise(0), SENTENCES[0], 0))
    with pytest.raises(ValueError, match="should be above 1 for a negative_prompt to count"):
        opened(kind, guidance=1.0, negative_prompt="blurred")


def test_a_model_that_reads_no_sentence_says_so_and_takes_no_negative_prompt(
    fresh: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fresh("svd")
    assert capsys.readouterr().err.splitlines()[-1].startswith("note: StableVideoDiffusionPipeline")
    assert model.settings["reads_sentence"] is False
    assert fresh("ltx").settings["reads_sentence"] is True
    assert "note" not in capsys.readouterr().err
    with pytest.raises(ValueError, match="reads no sentence"):
        fresh("svd", negative_prompt="blurred")


@pytest.mark.parametrize(("kind", "told"), [("svd", True), ("ltx", True), ("wan21", False)])
def test_the_network_is_told_the_rate_where_it_listens(
    kind: str, told: bool, opened: Open, picture: Path, tmp_path: Path
) -> None:
    slow, fast = opened(kind), opened(kind, fps=23.976)
    played = slow.sample_video(noise(0), SENTENCES[0], 0)
    assert np.array_equal(played, fast.sample_video(noise(0), SENTENCES[0], 0)) != told
    assert fast.animate([Job(picture, "it moves", 0, tmp_path / "fast.mp4")]) == [None]
    assert found(tmp_path / "fast.mp4") == fast.format


def test_one_bad_picture_spoils_one_video(opened: Open, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    names = ("picture.png", "text.png", "missing.png", "picture.png")
    jobs = [Job(tmp_path / name, SENTENCES[0], 0, tmp_path / f"{index}.mp4")
            for index, name in enumerate(names)]
    reasons = opened("ltx").animate(jobs)
    assert [reason is None for reason in reasons] == [True, False, False, True]
    assert "not a picture" in str(reasons[1])
    assert "no such file" in str(reasons[2])
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["0.mp4", "3.mp4"]


def test_what_goes_wrong_inside_a_call_is_the_reason_of_its_job_in_one_line(
    opened: Open, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened("ltx")
    job = Job(picture, SENTENCES[0], 0, tmp_path / "video.mp4")
    errors: dict[Exception, str | None] = {
        torch.OutOfMemoryError("out of memory.\n  Tried 9 GiB"): "out of memory. Tried 9 GiB",
        ValueError("height is odd"): "height is odd",
        TypeError("a defect"): None,
    }
    for error, reason in errors.items():
        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(diffusers.LTXImageToVideoPipeline, "__call__", fail)
            if reason is None:
                with pytest.raises(TypeError, match="a defect"):
                    model.animate([job])
            else:
                assert model.animate([job]) == [reason]
    assert not job.output.exists()
    assert model.animate([job]) == [None]


def test_a_video_of_nan_or_of_another_format_is_a_failure(
    fresh: Open, picture: Path, tmp_path: Path
) -> None:
    model = fresh("ltx")
    job = Job(picture, SENTENCES[0], 0, tmp_path / "video.mp4")
    model._call["num_frames"] = 17
    assert model.animate([job]) == ["the video should be 9 frames, got 17"]
    model._call |= {"num_frames": 9, "width": 32}
    assert model.animate([job]) == ["the video should be 32x64, got 32x32"]
    model._call["width"] = 64
    with torch.no_grad():
        next(model._pipeline.transformer.parameters()).fill_(math.nan)
    (reason,) = model.animate([job])
    assert reason is not None
    assert "got NaN" in reason
    assert not job.output.exists()


def test_frames_are_rounded_and_not_cut() -> None:
    made = np.linspace(0, 1, 511, dtype=np.float32).repeat(3).reshape(1, 1, 511, 3)
    frames = as_frames(made, Format(1, 1, 511, 8.0))
    assert np.array_equal(frames[0, 0, ::2, 0], np.arange(256))
    with pytest.raises(ValueError, match=r"\(F, H, W, 3\), got \(1, 1, 511\)"):
        as_frames(made[..., 0], Format(1, 1, 511, 8.0))


def test_the_settings_hold_all_that_decides_a_video_and_not_where_it_is_computed(
    opened: Open, saved: Callable[[str], Path]
) -> None:
    plain = opened("cogvideox").settings
    assert json.loads(json.dumps(dict(plain))) == dict(plain)
    assert plain["model"] == str(saved("cogvideox"))
    assert plain["call"] == {"use_dynamic_cfg": True}
    others: list[dict[str, Any]] = [
        {"steps": 3}, {"guidance": 2.0}, {"frames": 17}, {"fps": 9.0}, {"dtype": "bfloat16"},
        {"negative_prompt": "blurred"}, {"extra": {"use_dynamic_cfg": False}},
    ]
    for other in others:
        assert opened("cogvideox", **other).settings != plain
    assert not {"device", "offload"} & set(plain)
    assert opened("wan21", size=(16, 16)).settings["size"] == [16, 16]


def test_wan_keeps_its_autoencoder_in_float32(opened: Open) -> None:
    model = opened("wan21", dtype="bfloat16")
    parts = {name: {parameter.dtype for parameter in getattr(model._pipeline, name).parameters()}
             for name in ("vae", "image_encoder", "transformer", "text_encoder")}
    assert parts["vae"] == parts["image_encoder"] == {torch.float32}
    assert torch.bfloat16 in parts["transformer"] & parts["text_encoder"]
    assert model.sample_video(noise(0), SENTENCES[0], 0).shape == (5, 32, 48, 3)


@pytest.mark.parametrize("kind", ["cogvideox", "ltx-condition", "hunyuan", "svd", "i2vgen-xl"])
def test_other_families_sample_in_bfloat16(kind: str, opened: Open) -> None:
    made = opened(kind, dtype="bfloat16").sample_video(noise(0), SENTENCES[0], 0)
    assert made.std() > 1


def test_noise_is_drawn_on_the_cpu_but_where_the_decoder_draws_on_the_device(
    families: dict[str, tuple[str, Family]],
) -> None:
    on_device = {kind for kind, (_, family) in families.items() if family.noise_on_device}
    assert on_device == {"ltx-condition"}


OFFLOADS = {"model": "enable_model_cpu_offload", "sequential": "enable_sequential_cpu_offload"}


@pytest.mark.parametrize("offload", OFFLOADS)
def test_offloading_is_left_to_diffusers(
    offload: str, saved: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(diffusers.DiffusionPipeline, OFFLOADS[offload],
                        lambda self, device: done.append(device))
    open_model(str(saved("ltx")), Sampling(device="cuda:1", offload=offload))
    assert done == ["cuda:1"]


@pytest.mark.parametrize(("how", "words"), [
    ({"device": "tpu"}, "device should be one of this machine's, got tpu"),
    ({"device": "cuda:99"}, "device should be one of this machine's, got cuda:99"),
    ({"device": "cpu:x"}, "device should be one of this machine's, got cpu:x"),
    ({"offload": "model"}, "offload should be none on the CPU, got model"),
    ({"offload": "disk"}, "offload should be one of none, model, sequential, got disk"),
    ({"dtype": "int8"}, "dtype should be one of float32, bfloat16, float16, got int8"),
])  # fmt: skip
def test_a_machine_or_number_that_is_not_there_is_refused(
    how: dict[str, str], words: str, opened: Open
) -> None:
    with pytest.raises(ValueError, match=words):
        opened("ltx", **how)


def test_a_missing_package_is_named_before_anything_is_loaded(
    fresh: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = importlib.util.find_spec

    def find_spec(name: str) -> object:
        if name == "google.protobuf":
            raise ModuleNotFoundError(name)
        return None if name in ("ftfy", "sentencepiece") else there(name)

    folder = save_tiny("ltx", tmp_path / "ltx")
    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(ValueError, match="find the packages ftfy; install the extra models"):
        fresh("wan21")
    fresh("ltx")  # its vocabulary is read without them, a published one is not
    (folder / "tokenizer" / "spiece.model").write_bytes(b"")
    (folder / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="find the packages sentencepiece, protobuf"):
        open_model(str(folder), Sampling())


def test_a_package_that_loading_asks_for_is_one_line(
    fresh: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ImportError("T5Tokenizer requires\n\n  the sentencepiece library")

    monkeypatch.setattr(diffusers.LTXImageToVideoPipeline, "from_pretrained", fail)
    with pytest.raises(ValueError, match=r"requires the sentencepiece library$"):
        fresh("ltx")


def test_damaged_weights_are_one_line_and_pickles_are_not_read(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    save_tiny("ltx", tmp_path / "ltx")
    weights = tmp_path / "ltx" / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match="cannot be loaded"):
        open_model(str(tmp_path / "ltx"), Sampling())
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(ValueError, match="safetensors"):
        open_model(str(tmp_path / "ltx"), Sampling())
