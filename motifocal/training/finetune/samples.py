"""Sample videos during fine-tuning: the same images, captions and seeds each time.

    samples/step-00000250/0.mp4, 1.mp4, ...    and samples/index.html, a row for each time
"""

from __future__ import annotations

import html
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from motifocal.files.atomic import write_text
from motifocal.media.video import read_image, write_video
from motifocal.training.finetune.cache import ClipCache, picture_path
from motifocal.training.finetune.parts import load_pipeline, release
from motifocal.training.finetune.run import FinetuneRun
from motifocal.training.finetune.validate import averaged

_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Samples of a fine-tuning</title>
<style>body {{ font-family: sans-serif; margin: 2em }} td {{ padding: 4px; max-width: 24em }}
video {{ max-width: 24em; display: block }}</style>
<table>
<tr><th>step</th>{captions}</tr>
{rows}
</table>
"""


def can_sample(run: FinetuneRun) -> bool:
    """Tell whether videos can be made without the text encoder and another transformer."""
    return bool(run.family.prompt_arguments) and len(run.family.trained) == 1


def samples_folder(run: FinetuneRun) -> Path:
    """Return where the videos of the run's step lie."""
    return run.folder / "samples" / f"step-{run.step:08d}"


@torch.no_grad()
def sample_videos(run: FinetuneRun, model: Path, clips: ClipCache, count: int) -> list[Path]:
    """Sample videos of the first `count` clips' pictures and captions; the page shows all so far.

    Where weights are sharded, all processes sample, and the first one writes.

    `model` is the folder that the transformer is from. The text features are those of the cache, so
    only the autoencoder, and an image encoder, are loaded beside the transformer.
    """
    network = run.accelerator.unwrap_model(run.network)
    pipe = load_pipeline(model, run.family, run.family.clip_parts, run.settings.precision)
    pipe.register_modules(**{run.part: network})
    parts = [getattr(pipe, name, None) for name in run.family.clip_parts]
    for part in parts:
        if isinstance(part, torch.nn.Module):
            part.to(run.accelerator.device)
    folder, written = samples_folder(run), []
    main = run.accelerator.is_main_process
    network.eval()
    try:
        with averaged(run):
            for index in range(min(count, len(clips))):
                written.append(folder / f"{index}.mp4")
                made = pipe(**_arguments(run, pipe, clips, index)).frames[0]
                if main:
                    folder.mkdir(parents=True, exist_ok=True)
                    frames = (np.asarray(made) * 255).round().clip(0, 255).astype(np.uint8)
                    write_video(written[-1], frames, clips.clips[index].fps)
    finally:
        network.train()
        pipe.register_modules(**{run.part: None})
        del pipe, parts
        release(run.accelerator.device)
    if main:
        _write_page(run.folder / "samples", clips.captions(range(len(written))))
    return written


def _arguments(run: FinetuneRun, pipe: Any, clips: ClipCache, index: int) -> dict[str, Any]:
    """Return what the pipeline is called with for one clip."""
    device, sizes = run.accelerator.device, clips.settings
    batch, _ = clips.batch([index], device)
    empty = clips.empty_text()
    arguments: dict[str, Any] = {
        "image": Image.fromarray(read_image(picture_path(clips.folder, clips.clips[index].clip))),
        "height": sizes["height"], "width": sizes["width"], "num_frames": sizes["frames"],
        "num_inference_steps": run.settings.sample_steps, "output_type": "np",
        "generator": torch.Generator().manual_seed(index),
    }  # fmt: skip
    for name, argument in run.family.prompt_arguments.items():
        arguments[argument] = batch[name]
        arguments[f"negative_{argument}"] = empty[name][None].to(device)
    if run.settings.sample_guidance is not None:
        arguments["guidance_scale"] = run.settings.sample_guidance
    if "frame_rate" in inspect.signature(pipe.__call__).parameters:
        arguments["frame_rate"] = clips.clips[index].fps
    return arguments


def _write_page(folder: Path, captions: list[str]) -> None:
    """Write the page of all steps so far, the newest first."""
    rows = []
    for step in sorted(folder.glob("step-*"), reverse=True):
        cells = "".join(
            f'<td><video src="{step.name}/{video.name}" controls loop muted></video></td>'
            for video in sorted(step.glob("*.mp4"), key=lambda path: int(path.stem))
        )
        rows.append(f"<tr><td>{int(step.name.removeprefix('step-'))}</td>{cells}</tr>")
    heads = "".join(f"<th>{html.escape(caption)}</th>" for caption in captions)
    write_text(folder / "index.html", _PAGE.format(captions=heads, rows="\n".join(rows)))
