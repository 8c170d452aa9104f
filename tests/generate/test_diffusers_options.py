"""Which class a pipeline is opened as, and what arguments and options do to its videos."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from opened_pipelines import OpenKind, format_of, noise
from tiny_diffusers import save_tiny
from tiny_encoders import SENTENCES
from tiny_more_diffusers import save_more
from tiny_wan import wan22_5b, with_shift

from motifocal.generate.diffusers_model import DiffusersModel
from motifocal.generate.model import Job, Sampling
from motifocal.generate.open import open_model

# diffusers' schedulers hand tensors to numpy 2 in the manner of numpy 1.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning"),
]


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
    with pytest.raises(ValueError, match="takes no image"):
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


def test_an_extra_argument_goes_into_the_call(opened: OpenKind) -> None:
    plain = opened("svd").sample_video(noise(0), "", 0)
    moved = opened("svd", extra={"motion_bucket_id": 250})
    assert not np.array_equal(plain, moved.sample_video(noise(0), "", 0))
    assert moved.settings["extra"] == {"motion_bucket_id": 250}


@pytest.mark.parametrize("name", ["tempo", "image", "generator", "fps", "latents", "prompt_embeds"])
def test_an_extra_argument_that_cannot_be_given_is_refused_with_those_that_can(
    name: str, opened: OpenKind
) -> None:
    with pytest.raises(ValueError, match=f"got {name}$") as error:
        opened("svd", extra={name: 1})
    known = str(error.value).split("among ")[1].split(" for ")[0].split(", ")
    assert {"motion_bucket_id", "noise_aug_strength", "decode_chunk_size"} <= set(known)
    assert not {"image", "self", "fps", "max_guidance_scale", "latents"} & set(known)


def test_an_extra_argument_should_be_a_json_value(opened: OpenKind) -> None:
    for value in (math.nan, torch.zeros(1)):
        with pytest.raises(ValueError, match="extra should hold JSON values"):
            opened("svd", extra={"motion_bucket_id": value})


def test_tiling_is_switched_on_by_request_only_and_slicing_changes_nothing(fresh: OpenKind) -> None:
    plain, tiled = fresh("wan21"), fresh("wan21", extra={"vae_tiling": True})
    assert not plain._pipeline.vae.use_tiling
    assert tiled._pipeline.vae.use_tiling
    assert tiled.settings["extra"] == {"vae_tiling": True}
    assert plain._pipeline.vae.use_slicing
    sliced = plain.sample_video(noise(0), SENTENCES[0], 0)
    plain._pipeline.vae.disable_slicing()
    assert np.array_equal(sliced, plain.sample_video(noise(0), SENTENCES[0], 0))


@pytest.mark.parametrize("kind", ["skyreels", "skyreels-v2-df"])
def test_skyreels_is_sampled_with_its_shift_where_the_folder_leaves_it_out(
    kind: str, tmp_path: Path
) -> None:
    """diffusers' examples of both pipelines: flow_shift = 5.0 for image to video."""
    save = save_tiny if kind == "skyreels" else save_more
    folder, videos = save(kind, tmp_path / "model"), {}
    for shift in (1.0, 3.0, 5.0):
        model = open_model(str(with_shift(folder, shift)), Sampling(steps=2, size=(16, 32),
                                                                    frames=5))  # fmt: skip
        assert isinstance(model, DiffusersModel)
        assert model.settings.get("flow_shift") == (5.0 if shift == 1.0 else None)
        videos[shift] = model.sample_video(noise(0), SENTENCES[0], 0)
    assert np.array_equal(videos[1.0], videos[5.0])
    assert not np.array_equal(videos[3.0], videos[5.0])


@pytest.mark.parametrize(
    "kind", ["wan21", "cogvideox", "ltx", "hunyuan", "hunyuan-33ch", "hunyuan15", "i2vgen-xl"]
)
def test_a_negative_prompt_counts_or_is_refused(kind: str, opened: OpenKind) -> None:
    extra = {"true_cfg_scale": 30.0} if kind == "hunyuan" else {}
    how: dict[str, Any] = {"guidance": 30.0, "extra": extra}
    plain = opened(kind, **how).sample_video(noise(0), SENTENCES[0], 0)
    negative = opened(kind, **how, negative_prompt="nothing nothing nothing")
    assert not np.array_equal(plain, negative.sample_video(noise(0), SENTENCES[0], 0))
    with pytest.raises(ValueError, match="should be above 1 for a negative_prompt to count"):
        opened(kind, guidance=1.0, negative_prompt="blurred")


@pytest.mark.parametrize(("kind", "none"), [("ltx", None), ("svd", None), ("hunyuan", "")])
def test_the_settings_say_whether_the_negative_prompt_is_the_pipelines_own(
    kind: str, none: str | None, opened: OpenKind
) -> None:
    assert opened(kind).settings["negative_prompt"] == none
    empty = opened(kind, negative_prompt="").settings
    assert empty["negative_prompt"] == (None if kind == "svd" else "")
    assert ("empty_negative_prompt" in empty) == (kind == "ltx")


def test_a_model_that_reads_no_prompt_says_so_and_takes_no_negative_prompt(
    fresh: OpenKind, capsys: pytest.CaptureFixture[str]
) -> None:
    model = fresh("svd")
    assert capsys.readouterr().err.splitlines()[-1].startswith("note: StableVideoDiffusionPipeline")
    assert model.settings["reads_prompt"] is False
    assert fresh("ltx").settings["reads_prompt"] is True
    assert "note" not in capsys.readouterr().err
    with pytest.raises(ValueError, match="reads no prompt"):
        fresh("svd", negative_prompt="blurred")


@pytest.mark.parametrize(("kind", "told"), [("svd", True), ("ltx", True), ("wan21", False)])
def test_the_network_is_told_the_rate_where_it_listens(
    kind: str, told: bool, opened: OpenKind, picture: Path, tmp_path: Path
) -> None:
    slow, fast = opened(kind), opened(kind, fps=23.976)
    played = slow.sample_video(noise(0), SENTENCES[0], 0)
    assert np.array_equal(played, fast.sample_video(noise(0), SENTENCES[0], 0)) != told
    assert fast.animate([Job(picture, "it moves", 0, tmp_path / "fast.mp4")]) == [None]
    assert format_of(tmp_path / "fast.mp4") == fast.format
