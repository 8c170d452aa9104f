"""What the examples share: their options, a clip to train on, and a LoRA on a transformer."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers.training_utils import cast_training_params
from peft import LoraConfig, get_peft_model_state_dict

from motifocal.loss.focal import MotionFocalLoss
from motifocal.media.picture import Pixels
from motifocal.media.video import read_video, resize_crop, write_video
from motifocal.scenes.export import recipe
from motifocal.scenes.render import render

FLOAT32_VAE = {"vae": torch.float32, "default": torch.bfloat16}


def arguments(
    about: str,
    size: tuple[int, int],
    tiny_size: tuple[int, int],
    frames: int,
    argv: Sequence[str] | None = None,
    kinds: Sequence[str] = ("model",),
) -> argparse.Namespace:
    """The options of an example; `size` and `frames` become those of the model that is chosen.

    `kinds` are what `--tiny` may be followed by, the first if it is followed by nothing.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--model", help="folder or hub id of a published pipeline")
    model.add_argument("--tiny", nargs="?", choices=kinds, const=kinds[0],
                       help="random weights, made in place")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the LoRA")
    parser.add_argument("--video", type=Path, help="a clip; without it one is drawn")
    parser.add_argument("--prompt", help="what the clip shows; needed with --video")
    parser.add_argument("--motif-weight", type=float, default=1.0, help="lambda; 0: plain loss")
    parser.add_argument("--size", type=height_width, help="HEIGHTxWIDTH")
    parser.add_argument("--frames", type=int, help="how many frames to train on")
    parser.add_argument("--fps", type=float, help="resample the clip to this rate first")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--rate", type=float, default=1e-4, help="learning rate")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.video and not args.prompt:
        parser.error("--video needs --prompt")
    args.size = args.size or (tiny_size if args.tiny else size)
    args.frames = args.frames or (9 if args.tiny else frames)
    args.device = "cuda" if torch.cuda.is_available() else "cpu"
    args.output.mkdir(parents=True, exist_ok=True)
    return args


def height_width(text: str) -> tuple[int, int]:
    height, width = map(int, text.split("x"))
    return height, width


def clip_and_prompt(args: argparse.Namespace) -> tuple[Pixels, str]:
    """Frames (F, H, W, 3) uint8 as the autoencoder gets them, and the sentence they show."""
    height, width = args.size
    if args.video is None:
        made = recipe(1, "train", args.seed)
        drawn = render(made.stage, made.action, size=max(height, width), frames=args.frames)
        args.video, args.prompt = args.output / "clip.mp4", made.text
        write_video(args.video, drawn.frames, drawn.fps, crf=8)
    clip = read_video(args.video, fps=args.fps, num_frames=args.frames)
    args.fps = clip.fps
    return resize_crop(clip.frames, height, width), args.prompt


@contextmanager
def on_device(device: str, part: torch.nn.Module) -> Iterator[None]:
    """A part of the pipeline that is used once lies on the device for so long and no longer."""
    part.to(device)
    yield
    part.to("cpu")
    if device == "cuda":
        torch.cuda.empty_cache()


def add_lora(transformer: Any, rank: int, targets: Sequence[str]) -> list[torch.nn.Parameter]:
    """Freeze the transformer, add a LoRA to its attention; the parameters to train, in float32.

    The backward pass computes activations again, block by block, instead of keeping them: these
    models have too many for one accelerator.
    """
    transformer.requires_grad_(False)
    transformer.enable_gradient_checkpointing()
    transformer.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=list(targets)))
    cast_training_params(transformer, dtype=torch.float32)
    return [parameter for parameter in transformer.parameters() if parameter.requires_grad]


def save_lora(pipe: Any, folder: Path) -> None:
    """Write the LoRA as the pipeline's `load_lora_weights` reads it."""
    layers = get_peft_model_state_dict(pipe.transformer)
    type(pipe).save_lora_weights(folder, transformer_lora_layers=layers)
    print(folder / "pytorch_lora_weights.safetensors")


def show(step: int, loss: MotionFocalLoss) -> None:
    total, plain, motion = (part.mean().item() for part in loss)
    print(f"step {step}: plain {plain:.6f}  motion {motion:.6f}  weighted {total:.6f}")
