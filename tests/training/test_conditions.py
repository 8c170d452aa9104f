"""What a network is told of image and motion, from clips to a video, in every combination."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from network_options import LATENT_TOKENS, PRIORS
from tiny_model import UNET, tiny_pipeline
from tiny_processes import end, kill_second_process, torchrun
from tiny_released import released_tensors, small, tokenizer_folder
from torch import Tensor
from train_command import invoke

from motifocal.media.video import read_video, write_image
from motifocal.models.pipeline import TI2VPipeline
from motifocal.models.released.checkpoint import import_checkpoint
from motifocal.models.released.dynamicrafter import DYNAMICRAFTER_BASE, VIDEOCRAFTER1_I2V_BASE
from motifocal.training.checkpoint import latest_step, load_checkpoint
from motifocal.training.log import read_log

NETWORK = {**tiny.UNET, "attention": [True], "block_out_channels": [8]}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with an image encoder."""
    folder = tiny.tiny_base(tmp_path_factory.mktemp("base"))
    tiny.tiny_image_encoder().save_pretrained(folder / "image_encoder")
    return folder


@pytest.fixture(scope="module")
def shards(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips with tokens of that encoder and motion scores."""
    folder = tmp_path_factory.mktemp("shards")
    done = invoke("prepare", "scenes", "-o", folder, "--model", base, "--size", 16, "--frames", 3,
                  "--clips", 6, "--workers", 0, "--image-tokens", "--prior", "score,mask")
    assert done.exit_code == 0, done.output
    return folder


def train_words(shards: Path, run: Path, base: Path, *more: Any, **changed: Any) -> list[Any]:
    settings = {"steps": 2, "save_every": 1, "warmup": 1, "unet": NETWORK, **changed}
    network = settings.pop("unet")
    return ["train", shards, "-o", run, "--model", base, "--preset", "scenes", "--device", "cpu",
            "--samples", 0, *tiny.assignments(**settings), "--set", f"unet={json.dumps(network)}",
            *more]


def tensors_of(run: Path) -> dict[str, Tensor]:
    """The weights and their average of the newest checkpoint."""
    state = load_checkpoint(run / "checkpoints")
    assert state is not None
    averages = dict(enumerate(state["average"]["shadow_params"]))
    return state["unet"] | {f"average {key}": value for key, value in averages.items()}


IMAGE = ("concat", "cross-attention", "both", "latents")
LOSSES = ({"motif_weight": 1}, {"motif_weight": 0}, {"motif_variant": "inverse"})
PRIOR = ((), ("--prior", "score"), ("--prior", "mask"), ("--prior", "score,mask"))


@pytest.mark.parametrize(
    ("image", "loss", "prior"),
    [(image, LOSSES[(k + j) % 3], prior)
     for (k, image), (j, prior) in product(enumerate(IMAGE), enumerate(PRIOR))]
    + [("both", loss, PRIOR[3]) for loss in LOSSES],
)  # fmt: skip
def test_every_combination_goes_from_clips_to_a_video(
    image: str, loss: dict[str, Any], prior: tuple[str, ...], base: Path, shards: Path,
    tmp_path: Path,
) -> None:
    run, model, video = (tmp_path / name for name in ("run", "model", "video.mp4"))
    words = ["--image-condition", "both" if image == "latents" else image, *prior]
    network = NETWORK | ({"image_token_source": "latents"} if image == "latents" else {})
    done = invoke(*train_words(shards, run, base, *words, unet=network, **loss))
    assert done.exit_code == 0, done.output
    assert all(np.isfinite(line["loss"]) for line in read_log(run / "log.jsonl"))
    done = invoke("bundle", run, base, "-o", model, "--steps", 2, "--guidance", 2)
    assert done.exit_code == 0, done.output
    config = json.loads((model / "unet/config.json").read_text())
    assert config["image_condition"] == {"cross-attention": "attention", "concat": "concat"}.get(
        image, "both")
    picture, mask = np.full((16, 16, 3), 90, np.uint8), np.zeros((16, 16, 3), np.uint8)
    write_image(tmp_path / "picture.png", picture)
    write_image(tmp_path / "mask.png", mask)
    told = []
    if "score" in "".join(prior):
        told += ["--motion", 0.7]
    if "mask" in "".join(prior):
        told += ["--motion-mask", tmp_path / "mask.png"]
    done = invoke("animate", tmp_path / "picture.png", "it rises", "--model", model, "-o", video,
                  "--scale", 1, "--device", "cpu", *told)
    assert done.exit_code == 0, done.output
    assert read_video(video).frames.shape == (3, 16, 16, 3)


@pytest.mark.parametrize("image", ["cross-attention", "both"])
def test_a_run_that_was_stopped_goes_on_to_the_same_bits(
    image: str, base: Path, shards: Path, tmp_path: Path
) -> None:
    words = ["--image-condition", image, "--prior", "score,mask"]
    for stop in (4, 2):
        done = invoke(*train_words(shards, tmp_path / str(stop), base, *words, steps=stop))
        assert done.exit_code == 0, done.output
    assert latest_step(tmp_path / "2" / "checkpoints") == 2
    assert invoke(*train_words(shards, tmp_path / "2", base, *words, steps=4)).exit_code == 0
    assert tiny.equal(tensors_of(tmp_path / "2"), tensors_of(tmp_path / "4"))


@pytest.mark.slow
def test_two_processes_compute_what_one_does(base: Path, shards: Path, tmp_path: Path) -> None:
    words = ["--image-condition", "both", "--prior", "score,mask"]
    one, two = ([str(word) for word in train_words(shards, tmp_path / name, base, *words,
                                                   micro_batch=2)] for name in ("one", "two"))
    assert invoke(*one).exit_code == 0
    started = torchrun(two)
    try:
        _, err = started.communicate(timeout=300)
    finally:
        end(started)
    assert started.returncode == 0, err
    assert tiny.equal(tensors_of(tmp_path / "one"), tensors_of(tmp_path / "two"))


@pytest.mark.slow
def test_one_process_finishes_what_a_kill_ended_on_two(
    base: Path, shards: Path, tmp_path: Path
) -> None:
    words = ["--image-condition", "both", "--prior", "score,mask"]
    whole, killed = ([str(word) for word in train_words(shards, tmp_path / name, base, *words,
                                                        micro_batch=2, steps=30)]
                     for name in ("whole", "killed"))
    kill_second_process(torchrun(killed), tmp_path / "killed" / "checkpoints")
    assert 2 <= latest_step(tmp_path / "killed" / "checkpoints") < 30
    for arguments in (killed, whole):
        done = invoke(*arguments)
        assert done.exit_code == 0, done.output
    assert tiny.equal(tensors_of(tmp_path / "killed"), tensors_of(tmp_path / "whole"))


def test_a_run_file_repeats_a_training_with_tokens_and_priors(
    base: Path, shards: Path, tmp_path: Path
) -> None:
    words = ["--image-condition", "both", "--prior", "mask"]
    assert invoke(*train_words(shards, tmp_path / "a", base, *words)).exit_code == 0
    done = invoke("train", "--config", tmp_path / "a/run.toml", "-o", tmp_path / "b")
    assert done.exit_code == 0, done.output
    assert tiny.equal(tensors_of(tmp_path / "a"), tensors_of(tmp_path / "b"))


def test_guidance_drops_tokens_of_latents_and_keeps_the_priors() -> None:
    pipeline = tiny_pipeline(replace(UNET, image_condition="both", **LATENT_TOKENS, **PRIORS))
    seen: list[dict[str, Any]] = []
    pipeline.unet.register_forward_pre_hook(lambda module, args, named: seen.append(named),
                                            with_kwargs=True)
    mask = np.zeros((32, 32, 3), np.uint8)
    mask[:, 16:] = 255
    pipeline(np.full((32, 32, 3), 60, np.uint8), "it rises", num_inference_steps=1, motion=0.7,
             motion_mask=mask, output_type="latent")
    (named,) = seen
    assert not named["image_tokens"][0].any()
    assert named["image_tokens"][1].any()
    assert torch.equal(named["image_latent"][0], named["image_latent"][1])
    assert named["motion_score"].tolist() == pytest.approx([0.7, 0.7])
    assert named["motion_mask"][:, 0, 0].tolist() == [[0] * 4 + [1] * 4] * 2


def test_in_half_precision_the_score_that_is_embedded_is_the_one_given() -> None:
    pipeline = tiny_pipeline(replace(UNET, motion_score=True)).to(torch.bfloat16)
    times: list[Tensor] = []
    pipeline.unet.time_proj.register_forward_pre_hook(lambda module, args: times.append(args[0]))
    pipeline(torch.zeros(3, 32, 32), "it rises", num_inference_steps=1, motion=0.83,
             output_type="latent")
    assert times[-1].tolist() == pytest.approx([830, 830])  # in bfloat16 it would be 828


@pytest.mark.parametrize(("given", "words"), [
    ({"motion": 0.5}, "motion should not be given: the model was trained without it"),
    ({"motion_mask": torch.ones(3, 32, 32)}, "motion_mask should not be given"),
])  # fmt: skip
def test_a_prior_that_the_model_does_not_know_is_refused(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tiny_pipeline()(torch.zeros(3, 32, 32), "it rises", **given)
    told = tiny_pipeline(replace(UNET, **PRIORS))
    with pytest.raises(ValueError, match=r"motion should be in \[0, 1\], got 2"):
        told(torch.zeros(3, 32, 32), "it rises", motion=2)


@pytest.mark.parametrize(("released", "rescales"), [(DYNAMICRAFTER_BASE, True),
                                                   (VIDEOCRAFTER1_I2V_BASE, False)])  # fmt: skip
def test_an_imported_model_is_trained_further_with_its_resampler_and_sampler(
    released: Any, rescales: bool, tmp_path: Path
) -> None:
    base, shards, run = (tmp_path / name for name in ("base", "shards", "run"))
    torch.save({"state_dict": released_tensors(small(released))[1]}, tmp_path / "model.ckpt")
    import_checkpoint(tmp_path / "model.ckpt", base, small(released),
                      tokenizer_folder(tmp_path / "tokenizer"))
    done = invoke("prepare", "scenes", "-o", shards, "--model", base, "--size", 64, "--frames", 2,
                  "--clips", 2, "--workers", 0, "--image-tokens")
    assert done.exit_code == 0, done.output
    settings = {"steps": 1, "warmup": 1, "cooldown": 0, "global_batch": 2, "micro_batch": 2,
                "optimizer": "adamw", "precision": "no", "use_scale": "true",
                "prediction_type": released.prediction_type,
                "zero_terminal_snr": json.dumps(released.zero_terminal_snr)}
    changed = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = invoke("train", shards, "-o", run, "--model", base, "--preset", "scenes", "--device",
                  "cpu", "--samples", 0, "--prior", "mask", *changed)
    assert done.exit_code == 0, done.output
    assert invoke("bundle", run, base, "-o", tmp_path / "model").exit_code == 0
    model = TI2VPipeline.from_pretrained(tmp_path / "model")
    assert model.unet.unet_config == replace(small(released).unet, motion_mask=True)
    assert model.scheduler.config["dynamic_rescale"] is rescales
    model.set_progress_bar_config(disable=True)
    made = model(np.zeros((64, 64, 3), np.uint8), "a cat", num_inference_steps=2,
                 output_type="latent", motion_mask=np.full((64, 64, 3), 255, np.uint8)).frames
    assert made.shape == (1, 4, 2, 8, 8)
    assert made.isfinite().all()


@pytest.mark.parametrize(
    ("more", "changed"),
    [(("--set", "unet.image_attention=appended", "--set", "unet.motion_score=false"), {}),
     ((), {"unet": {**NETWORK, "image_attention": "appended", "motion_score": False}})],
)  # fmt: skip
def test_set_overrides_what_the_image_condition_and_the_priors_choose(
    more: tuple[str, ...], changed: dict[str, Any], base: Path, shards: Path, tmp_path: Path
) -> None:
    words = ["--image-condition", "both", "--prior", "score,mask", "--dry-run"]
    done = invoke(*train_words(shards, tmp_path, base, *more, *words, **changed))
    assert done.exit_code == 0, done.output
    unet = json.loads((tmp_path / "training.json").read_text())["unet"]
    told = ("image_condition", "image_token_dim", "image_attention", "motion_score", "motion_mask")
    assert [unet[name] for name in told] == ["both", 6, "appended", False, True]


# What makes no sense.


REFUSED: dict[str, tuple[tuple[Any, ...], dict[str, Any], str]] = {
    "no image": ((), {"unet": {**NETWORK, "image_condition": "none"}}, "to be trained, got 'none'"),
    "tokens of another width": (
        (), {"unet": {**NETWORK, "image_condition": "both", "image_token_dim": 9}},
        "image_encoder/ whose tokens are 9 wide, got 6"),
    "tokens of latents without tokens": (
        (), {"unet": {**NETWORK, "image_token_source": "latents"}}, "image_token_dim should be 32"),
    "a resampler without its sizes": (
        ("--image-condition", "both"), {"unet": {**NETWORK, "image_projection": "resampler"}},
        "resampler should be sizes"),
    "a prior that is none": (("--prior", "speed"), {}, "should be score or mask or both"),
    "a prior twice": (("--prior", "mask,mask"), {}, "should be score or mask or both"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_combination_that_makes_no_sense_is_refused_in_a_line(
    name: str, base: Path, shards: Path, tmp_path: Path
) -> None:
    more, changed, words = REFUSED[name]
    done = invoke(*train_words(shards, tmp_path / "run", base, *more, **changed))
    assert done.exit_code in (1, 2)
    said = str(done.exception) if isinstance(done.exception, ValueError) else done.output
    assert words in said
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_clips_without_tokens_or_scores_are_refused(base: Path, tmp_path: Path) -> None:
    tiny.tiny_shards(tmp_path / "plain", clips=4)
    for words, told in ((("--image-condition", "both"), "--image-tokens"),
                        (("--prior", "score"), "--prior score")):
        done = invoke(*train_words(tmp_path / "plain", tmp_path / "run", base, *words))
        assert isinstance(done.exception, ValueError)
        assert f"run motifocal prepare with {told}" in str(done.exception)
    done = invoke(*train_words(tmp_path / "plain", tmp_path / "run", base, "--prior", "mask"))
    assert done.exit_code == 0, done.output  # heatmaps suffice


def test_tokens_of_another_encoder_are_refused(base: Path, shards: Path, tmp_path: Path) -> None:
    other = tiny.tiny_base(tmp_path / "base")
    encoder = tiny.tiny_image_encoder()
    with torch.no_grad():
        encoder.vision_model.embeddings.class_embedding += 1
    encoder.save_pretrained(other / "image_encoder")
    done = invoke(*train_words(shards, tmp_path / "run", other, "--image-condition", "both"))
    assert "should come from the image encoder in image_encoder/" in str(done.exception)
