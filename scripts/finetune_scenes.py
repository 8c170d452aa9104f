"""Fine-tune a tiny Wan that moves with lambda = 0 and 1, on synthetic scenes, and write the page.

    python scripts/finetune_scenes.py -o out/finetune-scenes

From nothing but this project: scenes are drawn; an autoencoder of Wan's class is trained on them;
every weight of a small Wan 2.2 TI2V is trained on its latents until videos move; LoRAs of that base
are trained on other scenes with `--motif-weight 0,1`; `ab.html` sets them side by side on scenes
that neither saw. All but the autoencoder goes through `motifocal prepare` and `motifocal train`.
Each stage goes on where it was stopped; `stages.jsonl` has the time of each start. A folder is of
one `--autoencoder` and one `--base`, which `lengths.json` keeps; `--lora` and `--videos` may grow.

Letters: B batch, F frames, H W pixels.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor

from motifocal.files.settings import lock_settings
from motifocal.media.video import read_video, to_tensor
from motifocal.training.checkpoint import load_checkpoint, mixed_seed, save_checkpoint

SIZE, FRAMES, FPS = 128, 9, 8
CHANNELS, TEXT_WIDTH = 48, 32  # of the latents, as in TI2V-5B; of the text encoder
# What the autoencoder is trained on: clips, frames and pixels a side of a step; small parts first,
# then such as have places without a border, and later latents.
PARTS, FIRST_PARTS = ((4, 5, 32), (1, 9, 64)), 0.6
SCENES = {  # clips, split, seed
    "pretrain": (320, "train", 0), "finetune": (64, "train", 1), "held-out": (24, "eval", 2),
}  # fmt: skip


@dataclass(frozen=True)
class Lengths:
    """Optimiser steps of the autoencoder, of the base and of each LoRA; the videos sampled."""

    autoencoder: int = 1500
    base: int = 1500
    lora: int = 200
    videos: int = 24


def main(arguments: Sequence[str] | None = None) -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("-o", "--output", type=Path, default=Path("out/finetune-scenes"))
    for name, value in vars(Lengths()).items():
        options.add_argument(f"--{name}", type=int, default=value, help=f"default: {value}")
    given = vars(options.parse_args(arguments))
    folder = given.pop("output")
    folder.mkdir(parents=True, exist_ok=True)
    lengths = Lengths(**given)
    try:
        keep_lengths(folder, lengths)
    except ValueError as error:
        options.error(str(error))
    for name, stage in stages(folder, lengths).items():
        began = time.monotonic()
        stage()
        with (folder / "stages.jsonl").open("a") as file:
            file.write(json.dumps({"stage": name, "seconds": time.monotonic() - began}) + "\n")


def keep_lengths(folder: Path, lengths: Lengths) -> None:
    """Write what the base is trained for; ValueError where the folder's is trained for another.

    A schedule is made for its length, and the LoRAs are of the base that is there.
    """
    of_base = {"autoencoder": lengths.autoencoder, "base": lengths.base}
    lock_settings(folder / "lengths.json", of_base)


def stages(folder: Path, lengths: Lengths) -> dict[str, Callable[[], Any]]:
    """Return what is done, in order; each does nothing where it was done before."""
    still, moving = folder / "untrained", folder / "base"
    return {
        "scenes": lambda: export_scenes(folder),
        "pipeline": lambda: build_pipeline(folder, still, lengths.autoencoder),
        "caches": lambda: [prepare(folder, name, still) for name in SCENES],
        "base": lambda: train_base(folder, still, moving, lengths),
        "ab": lambda: train_loras(folder, moving, lengths),
    }


def motifocal(*arguments: object) -> None:
    """Run a command; its messages go where this script's go."""
    subprocess.run([sys.executable, "-m", "motifocal", *map(str, arguments)], check=True)


def export_scenes(folder: Path) -> None:
    """Draw captioned clips: to train the base, to fine-tune, and those held out."""
    for name, (clips, split, seed) in SCENES.items():
        motifocal("scenes", "export", "-o", folder / "scenes" / name, "--clips", clips, "--size",
                  SIZE, "--frames", FRAMES, "--split", split, "--seed", seed)  # fmt: skip


def prepare(folder: Path, name: str, model: Path) -> None:
    """Encode one of `SCENES`."""
    motifocal("prepare", folder / "scenes" / name, "-o", folder / "caches" / name, "--model", model,
              "--frames", FRAMES, "--size", f"{SIZE}x{SIZE}", "--fps", FPS, "--precision",
              "float32", "--device", "cpu", "--floor", 0.05)  # fmt: skip


def train_base(folder: Path, still: Path, moving: Path, lengths: Lengths) -> None:
    """Train every weight of the transformer; `moving` is the pipeline that comes out."""
    run = folder / "base-run"
    settings = {"steps": lengths.base, "learning_rate": 3e-3, "warmup": 50, "global_batch": 4,
                "micro_batch": 4, "cooldown": lengths.base // 2, "save_every": 50,
                "optimizer": "muon", "validate_every": max(1, lengths.base // 3)}  # fmt: skip
    train(folder, "pretrain", run, still, settings, "--full", "--motif-weight", 0, "--samples", 6)
    if not (moving / "model_index.json").exists():
        for part in still.iterdir():
            if part.is_dir() and part.name != "transformer":
                shutil.copytree(part, moving / part.name, dirs_exist_ok=True)
        shutil.copytree(run / "full" / "transformer", moving / "transformer", dirs_exist_ok=True)
        shutil.copy(still / "model_index.json", moving)


def train_loras(folder: Path, base: Path, lengths: Lengths) -> None:
    """Train a LoRA with each lambda, from the same draws, and write the page."""
    settings = {"steps": lengths.lora, "learning_rate": 1e-3, "warmup": 20, "global_batch": 4,
                "micro_batch": 4, "save_every": 50, "validate_every": lengths.lora}  # fmt: skip
    train(folder, "finetune", folder / "ab", base, settings, "--lora", 16, "--motif-weight", "0,1",
          "--samples", lengths.videos)  # fmt: skip


def train(
    folder: Path, name: str, run: Path, model: Path, settings: dict[str, Any], *more: object
) -> None:
    """Run `motifocal train` on the cache of one of `SCENES`."""
    settings = {"precision": "float32", "gradient_checkpointing": False, "sample_steps": 12,
                "sample_guidance": 1, **settings}  # fmt: skip
    motifocal("train", folder / "caches" / name, "-o", run, "--model", model, "--held-out",
              folder / "caches" / "held-out", "--device", "cpu", "--log-with", "none", *more,
              *(part for key, value in settings.items()
                for part in ("--set", f"{key}={json.dumps(value)}")))  # fmt: skip


def build_pipeline(folder: Path, place: Path, steps: int) -> None:
    """Write a Wan 2.2 TI2V whose autoencoder is trained and whose transformer is not."""
    if (place / "model_index.json").exists():
        return
    scenes = folder / "scenes" / "pretrain"
    lines = (scenes / "metadata.jsonl").read_text().splitlines()
    captions = [json.loads(line)["text"] for line in lines]
    clips = torch.stack([to_tensor(read_video(scenes / json.loads(line)["file_name"]).frames)
                         for line in lines])  # fmt: skip
    vae = trained_autoencoder(clips, folder / "autoencoder", steps)
    torch.manual_seed(0)
    tokenizer = word_tokenizer(captions)
    pipeline = diffusers.WanImageToVideoPipeline(
        tokenizer=tokenizer, text_encoder=small_t5(len(tokenizer)), vae=vae,
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
        transformer=diffusers.WanTransformer3DModel(
            num_attention_heads=6, attention_head_dim=32, in_channels=CHANNELS,
            out_channels=CHANNELS, text_dim=TEXT_WIDTH, freq_dim=64, ffn_dim=768, num_layers=4,
            rope_max_seq_len=64),
        expand_timesteps=True,
    )  # fmt: skip
    pipeline.save_pretrained(place)


def word_tokenizer(captions: Sequence[str]) -> Any:
    """Every word of the captions is a token of its own."""
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(captions, trainers.WordLevelTrainer(
        special_tokens=["<pad>", "</s>", "<unk>"], show_progress=False))  # fmt: skip
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)])  # fmt: skip
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        model_max_length=512, padding_side="right")  # fmt: skip


def small_t5(vocabulary: int) -> Any:
    """Random weights tell captions apart: what they mean is left to the transformer."""
    return transformers.UMT5EncoderModel(transformers.UMT5Config(
        vocab_size=vocabulary, d_model=TEXT_WIDTH, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
        pad_token_id=0, eos_token_id=1, decoder_start_token_id=0))  # fmt: skip


def new_autoencoder(**config: Any) -> Any:
    """Return a small autoencoder of Wan 2.2's kind whose residual branches begin at zero.

    Its patches have 4 pixels a side in place of 2, so that two stages are enough for 16.
    """
    vae = diffusers.AutoencoderKLWan(
        base_dim=48, decoder_base_dim=48, z_dim=CHANNELS, dim_mult=[1, 1, 1], num_res_blocks=0,
        temperal_downsample=[True, True], is_residual=True, in_channels=48, out_channels=48,
        patch_size=4, scale_factor_spatial=16,
        **{"latents_mean": [0.0] * CHANNELS, "latents_std": [1.0] * CHANNELS, **config},
    )  # fmt: skip
    for name, weight in vae.named_parameters():
        if ".conv2." in name or ".proj." in name:
            torch.nn.init.zeros_(weight)
    return vae


def trained_autoencoder(clips: Tensor, folder: Path, steps: int) -> Any:
    """Train an autoencoder on clips (B, 3, F, H, W) in [-1, 1], and normalise its latents."""
    torch.manual_seed(0)
    vae = new_autoencoder()
    optimizer = torch.optim.AdamW(vae.parameters(), lr=3e-3, betas=(0.9, 0.99))
    state = load_checkpoint(folder)
    done = state["step"] if state else 0
    if state:
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
    errors: list[float] = []
    for step in range(done, steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 50, 0.05 + 1.5 * (1 - step / steps))
        loss = autoencoder_loss(vae, clips, step, PARTS[step >= FIRST_PARTS * steps])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        errors.append(loss.item())
        if (step + 1) % 100 == 0 or step + 1 == steps:
            print(f"autoencoder: step {step + 1} of {steps}, PSNR "
                  f"{decibels(errors):.2f} dB", flush=True)  # fmt: skip
            errors.clear()
            save_checkpoint(folder, step + 1, {
                "vae": vae.state_dict(), "optimizer": optimizer.state_dict()})
    return normalised(vae, clips[:32])


def autoencoder_loss(vae: Any, clips: Tensor, step: int, part: tuple[int, int, int]) -> Tensor:
    """Return the mean squared error of parts of clips: how many, their frames, their pixels."""
    rng = np.random.default_rng(mixed_seed(1, step))
    count, *lengths = part
    chosen = clips[rng.integers(len(clips), size=count)]
    start, y, x = (rng.integers(chosen.shape[2 + axis] - length + 1)
                   for axis, length in enumerate((*lengths, lengths[-1])))  # fmt: skip
    frames, side = lengths
    video = chosen[:, :, start : start + frames, y : y + side, x : x + side]
    return (vae.decode(vae.encode(video).latent_dist.mode()).sample - video).square().mean()


@torch.no_grad()
def normalised(vae: Any, clips: Tensor) -> Any:
    """Return the autoencoder with mean and deviation of its latents in its configuration."""
    latents = torch.cat([vae.encode(clip[None]).latent_dist.mode() for clip in clips])
    mean, deviation = latents.mean((0, 2, 3, 4)), latents.std((0, 2, 3, 4))
    made = new_autoencoder(latents_mean=mean.tolist(), latents_std=deviation.tolist())
    made.load_state_dict(vae.state_dict())
    errors = [(made.decode(made.encode(clip).latent_dist.mode()).sample - clip).square().mean()
              for clip in clips.split(1)]  # fmt: skip
    print(f"autoencoder: PSNR {decibels(errors):.2f} dB on {len(clips)} whole clips", flush=True)
    return made


def decibels(errors: Sequence[Any]) -> float:
    """Return the PSNR of mean squared errors of videos in [-1, 1]."""
    return float(10 * np.log10(4 / np.mean([float(error) for error in errors])))


if __name__ == "__main__":
    main()
