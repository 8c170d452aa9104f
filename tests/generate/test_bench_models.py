"""Names become models: bundled, Motifocal folders, hub ids; and Motifocal's own adapter."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_diffusers import save_tiny
from tiny_model import SENTENCES, tiny_folder

from motifocal.generate.model import Job, Sampling
from motifocal.generate.motifocal_model import MotifocalModel
from motifocal.generate.open import fingerprint, is_motifocal, open_model
from motifocal.media.codec import FINE_CRF
from motifocal.media.video import read_image, read_video, resize_crop, write_image, write_video
from motifocal.models.pipeline import TI2VPipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    write_image(tmp_path / "duck.png", pixels)
    return tmp_path / "duck.png"


def jobs_of(picture: Path, seeds: tuple[int, ...] = (3, 4), suffix: str = "") -> list[Job]:
    return [Job(picture, sentence, seed, picture.parent / f"{index}_{seed}{suffix}.mp4")
            for index, sentence in enumerate(SENTENCES[:2]) for seed in seeds]


def opened(folder: Path, **sampling: Any) -> MotifocalModel:
    model = open_model(str(folder), Sampling(**{"steps": 2, **sampling}))
    assert isinstance(model, MotifocalModel)
    return model


def test_a_motifocal_folder_makes_what_its_format_promises(folder: Path, picture: Path) -> None:
    model = opened(folder)
    assert model.name == "tiny"
    jobs = jobs_of(picture)
    assert model.animate(jobs) == [None] * 4
    for job in jobs:
        clip = read_video(job.output)
        assert clip.frames.shape == (4, 32, 32, 3)
        assert clip.fps == 8
    assert str(model.format) == "4 frames of 32x32 at 8/s"


def test_the_same_jobs_give_the_same_bytes_and_another_seed_another_video(
    folder: Path, picture: Path
) -> None:
    first, again = jobs_of(picture), jobs_of(picture, suffix="_again")
    model = opened(folder)
    model.animate(jobs_of(picture, (9,)))
    model.animate(first)
    opened(folder).animate(again)
    videos = [job.output.read_bytes() for job in first]
    assert videos == [job.output.read_bytes() for job in again]
    assert len(set(videos)) == 4


def test_the_files_hold_the_frames_that_are_sampled(
    folder: Path, picture: Path, tmp_path: Path
) -> None:
    model = opened(folder, steps=3, guidance=4.0)
    job = jobs_of(picture, (7,))[0]
    (frames,) = model.sample([job])
    assert not isinstance(frames, str)
    pipeline = TI2VPipeline.from_pretrained(folder)
    made = pipeline(
        resize_crop(read_image(picture), 32, 32), job.prompt, output_type="uint8",
        num_inference_steps=3, guidance_scale=4.0, generator=torch.Generator().manual_seed(7),
    ).frames[0]
    assert np.array_equal(frames, made)
    model.animate([job])
    write_video(tmp_path / "sampled.mp4", frames, 8.0, FINE_CRF)
    assert job.output.read_bytes() == (tmp_path / "sampled.mp4").read_bytes()


def test_jobs_of_one_image_are_sampled_as_the_pipeline_samples_prompts_of_an_image(
    folder: Path, picture: Path
) -> None:
    jobs = jobs_of(picture, (3, 4))
    frames = list(opened(folder).sample(jobs, one_image=True))
    made = TI2VPipeline.from_pretrained(folder)(
        resize_crop(read_image(picture), 32, 32), [job.prompt for job in jobs], output_type="uint8",
        num_inference_steps=2,
        generator=[torch.Generator().manual_seed(job.seed) for job in jobs],
    ).frames
    assert all(np.array_equal(a, b) for a, b in zip(frames, made, strict=True))


def test_what_is_asked_for_reaches_the_pipeline(folder: Path, picture: Path) -> None:
    model = opened(folder, frames=3, size=(16, 24), fps=10.0, guidance=2.0,
                   negative_prompt=SENTENCES[1], extra={"guidance_rescale": 0.5})
    job = jobs_of(picture, (0,))[0]
    assert model.animate([job]) == [None]
    clip = read_video(job.output)
    assert (clip.frames.shape, clip.fps) == ((3, 16, 24, 3), 10)
    plain = opened(folder, frames=3, size=(16, 24), fps=10.0, guidance=2.0)
    assert not np.array_equal(*(next(m.sample([job])) for m in (model, plain)))
    rates = [opened(folder, fps=fps, size=(16, 16)) for fps in (8.0, 24.0)]
    assert not np.array_equal(*(next(m.sample([job])) for m in rates))


@pytest.mark.parametrize(("how", "words"), [
    ({"size": (30, 32)}, "multiples of 8, got 30x32"),
    ({"fps": -1.0}, "fps should be positive"),
    ({"extra": {"tempo": 1}}, "decode_chunk_size, eta, guidance_rescale"),
    ({"extra": {"num_frames": 1}}, "got num_frames"),
    ({"extra": {"eta": float("nan")}}, "JSON values"),
    ({"guidance": 1.0, "negative_prompt": "blurred"}, "guidance should not be 1"),
    ({"offload": "model"}, "offload should be none on the CPU"),
    ({"dtype": "int4"}, "dtype should be one of"),
    ({"device": "cuda:9"}, "device should be one of this machine's"),
])  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_made(
    how: dict[str, Any], words: str, folder: Path
) -> None:
    with pytest.raises(ValueError, match=words):
        opened(folder, **how)


def test_one_bad_picture_spoils_its_own_video_only(folder: Path, picture: Path) -> None:
    jobs = jobs_of(picture)
    broken = picture.with_name("broken.png")
    broken.write_text("no picture")
    jobs[1] = Job(broken, "it moves", 0, jobs[1].output)
    reasons = opened(folder).animate(jobs)
    assert [reason is None for reason in reasons] == [True, False, True, True]
    assert "not an image" in str(reasons[1])
    alone = jobs_of(picture, suffix="_alone")
    opened(folder).animate([alone[0], alone[2], alone[3]])
    assert jobs[3].output.read_bytes() == alone[3].output.read_bytes()


def test_a_batch_that_fails_is_sampled_one_by_one(
    folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sizes, call = opened(folder), list[int](), TI2VPipeline.__call__

    def fail(self: TI2VPipeline, images: Any, prompts: list[str], **options: Any) -> Any:
        sizes.append(len(prompts))
        if len(prompts) > 1 or prompts == ["it waits"]:
            raise torch.OutOfMemoryError("out of memory.\n Tried 9 GiB")
        return call(self, images, prompts, **options)

    jobs = jobs_of(picture)
    jobs[2] = replace(jobs[2], prompt="it waits")
    alone = replace(jobs[3], output=picture.with_name("alone.mp4"))
    assert model.animate([alone]) == [None]
    monkeypatch.setattr(TI2VPipeline, "__call__", fail)
    assert model.animate(jobs) == [None, None, "out of memory. Tried 9 GiB", None]
    assert sizes == [4, 1, 1, 1, 1]
    assert jobs[3].output.read_bytes() == alone.output.read_bytes()
    monkeypatch.setattr(TI2VPipeline, "__call__", lambda *_, **__: None)
    with pytest.raises(AttributeError):  # a defect, not a failure
        model.animate(jobs_of(picture))


def test_a_video_of_nan_is_a_failure(folder: Path, picture: Path) -> None:
    model = opened(folder)
    with torch.no_grad():
        next(model.pipeline.unet.parameters()).fill_(float("nan"))
    job = jobs_of(picture)[0]
    (reason,) = model.animate([job])
    assert "got NaN" in str(reason)
    assert not job.output.exists()


def test_the_settings_are_json_and_change_with_every_choice(folder: Path) -> None:
    plain = opened(folder, steps=None).settings
    assert json.loads(json.dumps(dict(plain))) == dict(plain)
    assert plain["model"] == str(folder)
    assert (plain["steps"], plain["guidance"], plain["frames"]) == (3, 6.5, 4)
    assert not {"device", "offload"} & set(plain)
    choices: list[dict[str, Any]] = [
        {"steps": 2}, {"guidance": 2.0}, {"frames": 3}, {"size": (16, 16)}, {"fps": 9.0},
        {"negative_prompt": "blurred"}, {"dtype": "bfloat16"}, {"extra": {"eta": 0.5}},
    ]
    for choice in choices:
        assert opened(folder, **{"steps": None, **choice}).settings != plain


def test_the_bundled_model_opens_by_its_name() -> None:
    model = open_model("bundled", Sampling())
    assert (model.name, model.settings["model"]) == ("bundled", "bundled")
    assert model.settings["class"] == "TI2VPipeline"


def test_a_model_with_one_weight_changed_has_another_fingerprint(
    folder: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    before = fingerprint(folder)
    assert fingerprint(copy) == before
    (copy / "notes.md").write_text("mine")
    (copy / ".cache").mkdir()
    (copy / ".cache" / "fetched.json").write_text("{}")
    assert fingerprint(copy) == before
    weights = copy / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] += 1
    save_file(tensors, weights, metadata={"format": "pt"})
    changed = fingerprint(copy)
    assert changed != before
    scheduler = copy / "scheduler" / "scheduler_config.json"
    scheduler.write_text(scheduler.read_text().replace("0.012", "0.011"))
    assert fingerprint(copy) not in (before, changed)
    assert opened(copy).settings["weights"] == f"sha256 {fingerprint(copy)}"


def test_a_folder_is_told_by_what_it_says_of_itself(folder: Path, tmp_path: Path) -> None:
    assert is_motifocal(folder)
    assert not is_motifocal(save_tiny("ltx", tmp_path / "ltx"))
    for text, words in (("{", "should be JSON"), ("[]", "should hold an object, got list")):
        (tmp_path / "model_index.json").write_text(text)
        with pytest.raises(ValueError, match=words):
            open_model(str(tmp_path), Sampling())
    (tmp_path / "model_index.json").unlink()
    with pytest.raises(ValueError, match=r"got no model_index\.json"):
        open_model(str(tmp_path), Sampling())


@pytest.mark.parametrize("name", ["no-such-folder", "/no/such/folder", "../up/there", "a b/c"])
def test_what_is_neither_folder_nor_hub_id_asks_no_hub(name: str) -> None:
    with pytest.raises(ValueError, match="should be a model folder or a hub id like owner/name"):
        open_model(name, Sampling())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache, empty, with the hub switched off."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def cached(cache: Path, name: str, commit: str = "0123abcd" * 5) -> Path:
    """Where the cache keeps a model that was fetched."""
    model = cache / f"models--{name.replace('/', '--')}"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(commit)
    return model / "snapshots" / commit


def test_a_hub_id_that_is_not_cached_is_one_clear_line_when_offline(cache: Path) -> None:
    with pytest.raises(ValueError, match=r"^nobody/none is no folder here and not in the cache"
                       r".*: run `hf download nobody/none` while online, or give a fo") as error:
        open_model("nobody/none", Sampling())
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_cached_hub_model_is_told_by_its_commit(cache: Path, picture: Path) -> None:
    save_tiny("ltx", cached(cache, "somebody/Tiny-LTX"))
    sampling = Sampling(steps=1, size=(32, 32), frames=9)
    model = open_model("somebody/Tiny-LTX", sampling)
    assert (model.name, model.settings["model"]) == ("Tiny-LTX", "somebody/Tiny-LTX")
    assert model.settings["weights"] == f"commit {'0123abcd' * 5}"
    assert model.animate(jobs_of(picture, (0,))) == [None, None]


def test_a_motifocal_model_may_come_from_the_hub_too(cache: Path, picture: Path) -> None:
    tiny_folder(cached(cache, "somebody/tiny"))
    model = open_model("somebody/tiny", Sampling(steps=1))
    assert isinstance(model, MotifocalModel)
    assert model.settings["weights"].startswith("commit 0123abcd")


def test_a_hub_model_of_a_class_that_animates_nothing_is_refused_before_it_is_fetched(
    cache: Path,
) -> None:
    folder = cached(cache, "somebody/pictures")
    folder.mkdir(parents=True)
    (folder / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ValueError, match="somebody/pictures should hold a pipeline of one of"):
        open_model("somebody/pictures", Sampling())


def test_a_hub_model_that_was_fetched_in_part_is_one_line(cache: Path) -> None:
    folder = save_tiny("ltx", cached(cache, "somebody/half"))
    shutil.rmtree(folder / "transformer")
    with pytest.raises(ValueError, match="somebody/half should hold the part transformer"):
        open_model("somebody/half", Sampling())
