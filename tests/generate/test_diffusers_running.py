"""What goes wrong in a diffusers pipeline is named; its precision, device and offloading."""

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
from opened_pipelines import OpenKind, noise
from tiny_diffusers import save_tiny
from tiny_encoders import SENTENCES

from motifocal.generate.diffusers_model import as_frames
from motifocal.generate.families.family import Family
from motifocal.generate.model import Format, Job, Sampling
from motifocal.generate.open import open_model

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


def test_one_bad_picture_spoils_one_video(opened: OpenKind, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    names = ("picture.png", "text.png", "missing.png", "picture.png")
    jobs = [Job(tmp_path / name, SENTENCES[0], 0, tmp_path / f"{index}.mp4")
            for index, name in enumerate(names)]
    reasons = opened("ltx").animate(jobs)
    assert [reason is None for reason in reasons] == [True, False, False, True]
    assert "not an image" in str(reasons[1])
    assert "no such file" in str(reasons[2])
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["0.mp4", "3.mp4"]


def test_what_goes_wrong_inside_a_call_is_the_reason_of_its_job_in_one_line(
    opened: OpenKind, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    fresh: OpenKind, picture: Path, tmp_path: Path
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
    opened: OpenKind, saved: Callable[[str], Path]
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


def test_wan_keeps_its_autoencoder_in_float32(opened: OpenKind) -> None:
    model = opened("wan21", dtype="bfloat16")
    parts = {name: {parameter.dtype for parameter in getattr(model._pipeline, name).parameters()}
             for name in ("vae", "image_encoder", "transformer", "text_encoder")}
    assert parts["vae"] == parts["image_encoder"] == {torch.float32}
    assert torch.bfloat16 in parts["transformer"] & parts["text_encoder"]
    assert model.sample_video(noise(0), SENTENCES[0], 0).shape == (5, 32, 48, 3)


@pytest.mark.parametrize("kind", ["cogvideox", "ltx-condition", "hunyuan", "svd", "i2vgen-xl"])
def test_other_families_sample_in_bfloat16(kind: str, opened: OpenKind) -> None:
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
    how: dict[str, str], words: str, opened: OpenKind
) -> None:
    with pytest.raises(ValueError, match=words):
        opened("ltx", **how)


def test_a_missing_package_is_named_before_anything_is_loaded(
    fresh: OpenKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    fresh: OpenKind, monkeypatch: pytest.MonkeyPatch
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
