"""Write the result of fine-tuning: the LoRA's files, or a whole transformer, and a model card.

    lora/pytorch_lora_weights.safetensors    for diffusers; comfyui.safetensors beside it
    lora/transformer_2/...                   the second expert's, of models with two
    lora/README.md                           the model card
    full/transformer/                        where every weight was trained
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import diffusers
from torch import Tensor

from motifocal import __version__
from motifocal.files.atomic import replacing_folder, write_text
from motifocal.files.json_text import parse_json, read_json_object
from motifocal.files.tensor_file import open_safetensors
from motifocal.training.families.base import Family
from motifocal.training.finetune.adapter import (
    LORA,
    METADATA,
    ORIGINAL,
    lora_config,
    lora_keys,
    write_lora,
)
from motifocal.training.finetune.parts import hollow
from motifocal.training.finetune.run import FinetuneRun
from motifocal.training.finetune.settings import FinetuneSettings
from motifocal.training.finetune.sharding import gathered

_CARD = """---
{metadata}
---

# {title}

A LoRA for {model}, image to video, fine-tuned with the motion focal loss of MotiF
(arXiv 2412.16153) by Motifocal {version}.

| | |
|---|---|
{rows}

## Use

```python
from diffusers import {pipeline}

pipe = {pipeline}.from_pretrained("{model}")
{load}
```

```sh
motifocal animate image.png "what happens" --model {model} --lora lora/
```
{comfy}"""


def write_result(run: FinetuneRun, folder: Path) -> Path:
    """Write the trained weights of a run, averaged where an average is kept, into `folder`.

    Returns where they lie. All processes take part; the first one writes.
    """
    s, whole = run.settings, run.settings.lora_rank is None
    main, facts = run.accelerator.is_main_process, facts_of(run)
    place = folder / ("full" if whole else "lora")
    weights = gathered(averaged_weights(run), keep=main)
    if not main:
        return place
    if whole:
        _write_whole(run, weights, place, facts)
        return place
    config = lora_config(s.lora_rank or 0, s.alpha, s.lora_targets or run.family.lora_targets)
    write_lora(lora_folder(place, run.family, run.part), lora_keys(weights), config,
               run.family.original_names, facts)
    write_text(place / "README.md", _card(run, place, facts))
    return place


def lora_folder(lora: Path, family: Family, part: str) -> Path:
    """Return where the LoRA of a transformer lies: that of the first in `lora` itself."""
    return lora if part == family.trained[0] else lora / part


def is_written(folder: Path, settings: FinetuneSettings, family: Family, part: str) -> bool:
    """Tell whether `folder` holds the result of all steps of a transformer.

    A kill between the last checkpoint and `write_result` leaves none, or that of fewer steps.
    """
    if settings.lora_rank is None:
        path = folder / "full" / f"{part}.json"
        return path.is_file() and read_json_object(path).get("steps") == settings.steps
    path = lora_folder(folder / "lora", family, part) / LORA
    if not path.is_file():
        return False
    with open_safetensors(path) as file:
        facts = parse_json((file.metadata() or {}).get(METADATA, "{}"))
    return bool(facts.get("steps") == settings.steps)


def averaged_weights(run: FinetuneRun) -> dict[str, Tensor]:
    """Return what is trained, or its average where one is kept, by name."""
    weights = {name: p.detach() for name, p in run.weights.items()}
    if run.average is None:
        return weights
    return dict(zip(weights, run.average.shadow_params, strict=True))


def facts_of(run: FinetuneRun) -> dict[str, Any]:
    """Return what decided the weights, for metadata and the card."""
    s, c, shift = run.settings, run.cache.settings, run.family.sampling_shift
    return {
        "base_model": s.model, "family": run.family.name, "part": run.part, "steps": run.step,
        "motif_weight": s.motif_weight, "motif_variant": s.motif_variant,
        "lora_rank": s.lora_rank, "lora_alpha": s.alpha, "learning_rate": s.learning_rate,
        "global_batch": s.global_batch, "seed": s.seed,
        **({} if shift is None else {"flow_shift": shift}),
        "clips": len(run.cache), "frames": c["frames"], "height": c["height"],
        "width": c["width"], "fps": c["fps"], "heatmap": c["heatmap"],
        "data_sha256": run.cache.digest, "motifocal": __version__,
    }  # fmt: skip


def _write_whole(
    run: FinetuneRun, weights: dict[str, Tensor], folder: Path, facts: dict[str, Any]
) -> None:
    """Save the whole transformer in diffusers' format, from a network without memory of its own."""
    trained = run.accelerator.unwrap_model(run.network)
    buffers = {name: value for name, value in trained.state_dict().items() if name not in weights}
    network = hollow(run.family, run.part)
    network.load_state_dict({**buffers, **weights}, assign=True)
    with replacing_folder(folder / run.part) as temporary:
        network.save_pretrained(temporary)
    write_text(folder / f"{run.part}.json", json.dumps(facts, indent=1) + "\n")


def _card(run: FinetuneRun, lora: Path, facts: dict[str, Any]) -> str:
    """Return the text of README.md, with metadata for the Hugging Face hub."""
    model = facts["base_model"]
    metadata = ["library_name: diffusers", "pipeline_tag: image-to-video", f"base_model: {model}",
                "tags: [lora, image-to-video, motion-focal-loss, motifocal]"]  # fmt: skip
    rows = [f"| {key} | {json.dumps(value) if isinstance(value, dict) else value} |"
            for key, value in facts.items() if key != "part"]  # fmt: skip
    comfy = f"\n`{ORIGINAL}` has the original names, for ComfyUI.\n" \
        if run.family.original_names is not None else ""  # fmt: skip
    return _CARD.format(metadata="\n".join(metadata), title=f"LoRA for {model}", model=model,
                        version=__version__, rows="\n".join(rows),
                        load="\n".join(loading_lines(run.family, lora)),
                        pipeline=run.family.pipeline, comfy=comfy)  # fmt: skip


def loading_lines(family: Family, lora: Path) -> list[str]:
    """Return the lines of Python that load what `lora` holds into `pipe`; it is "lora/" there."""
    if not hasattr(getattr(diffusers, family.pipeline), "load_lora_weights"):
        return [f'pipe.transformer.load_lora_adapter("lora/", weight_name="{LORA}")']
    lines = []
    for part in family.trained:
        if not (lora_folder(lora, family, part) / LORA).is_file():
            continue
        if part == family.trained[0]:
            lines.append('pipe.load_lora_weights("lora/")')
        else:
            lines.append(f'pipe.load_lora_weights("lora/{part}", load_into_{part}=True)')
    return lines
