"""Write the model card of a folder, README.md, with metadata for the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

TAGS = ["image-to-video", "text-image-to-video", "motion-focal-loss", "motifocal"]
#: What the hub writes for weights whose licence nobody has named.
UNKNOWN_LICENSE = "unknown"

_CARD = """---
{metadata}
---

# {name}

Animates an image as a prompt says: {frames} frames of {width} x {height} pixels at {fps:g} frames
a second. A `TI2VPipeline` of Motifocal, an open implementation of MotiF (arXiv 2412.16153).
{training}
## Use

```python
from diffusers.utils import export_to_video

from motifocal import TI2VPipeline

pipeline = TI2VPipeline.from_pretrained("{name}")  # this folder, or its id on the hub
frames = pipeline("image.png", "the blue balloon dips down").frames[0]
export_to_video(frames, "video.mp4", fps={fps:g})
```

`DiffusionPipeline.from_pretrained` loads it too once `TI2VPipeline` is imported, and
`trust_remote_code` stays False: the folder holds safetensors and JSON, no code.
`export_to_video` encodes with imageio-ffmpeg where it is installed and with OpenCV otherwise. On
the command line:

```sh
motifocal animate image.png "the blue balloon dips down" --model {name} -o video.mp4
```

## Scores

{scores}

## Limits

- Trained for {width} x {height} pixels and {frames} frames; other sizes and lengths are untested.
- Of a prompt the text encoder reads {tokens} tokens and ignores the rest.
- Images and prompts unlike the clips it was trained on are outside of its domain, and their
  biases are its own.
- There is no filter of content, neither of what goes in nor of what comes out.
"""


@dataclass(frozen=True)
class FollowsText:
    """How many of a set of videos follow their text: shares in [0, 1], a 95 % interval of `mean`.

    `chance` is what a candidate taken at random would reach. There is no interval, `low` and `high`
    are None, where all pairs are of one image.
    """

    subset: str
    pairs: int
    mean: float
    low: float | None
    high: float | None
    chance: float


def model_card(
    name: str, defaults: Mapping[str, Any], tokens: int, *, license_id: str = UNKNOWN_LICENSE,
    training: str = "", scores: Sequence[FollowsText] = (),
) -> str:  # fmt: skip
    """Return the text of README.md.

    `defaults` has the `sample_*` of the pipeline and `tokens` what its text encoder reads;
    `license_id` is one of the hub's; `training` a paragraph that says how the weights were made.
    """
    metadata = ModelCardData(
        license=license_id, library_name="diffusers", pipeline_tag="image-to-video", tags=TAGS,
        language="en", model_name=name, eval_results=[_result(row) for row in scores] or None,
    )  # fmt: skip
    return _CARD.format(
        metadata=metadata.to_yaml().strip(), name=name, frames=defaults["sample_frames"],
        width=defaults["sample_width"], height=defaults["sample_height"],
        fps=defaults["sample_fps"], training=f"\n{training}\n" if training else "",
        scores=_table(scores), tokens=tokens,
    )  # fmt: skip


def _result(row: FollowsText) -> EvalResult:
    """A score as the hub's metadata has it, in percent."""
    interval = _interval(row)
    return EvalResult(
        task_type="image-to-video", dataset_type="synthetic-scenes",
        dataset_name="Motifocal synthetic scenes", dataset_config=row.subset,
        metric_type="follows-text", metric_name="videos that follow their text, in percent",
        metric_value=_percent(row.mean),
        metric_args={**({"interval_95": interval} if interval else {}), "pairs": row.pairs},
    )  # fmt: skip


def _table(scores: Sequence[FollowsText]) -> str:
    """The scores as Markdown; a sentence where there are none."""
    if not scores:
        return "None were measured."
    lines = [
        "Videos that follow their text, on pairs of synthetic scenes (`motifocal scenes eval`),",
        "with 95 % bootstrap intervals over images:",
        "",
        "| pairs | number | follow their text | 95 % | chance |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for row in scores:
        interval = "{:g} – {:g} %".format(*bounds) if (bounds := _interval(row)) else ""
        lines.append(f"| {row.subset} | {row.pairs} | {_percent(row.mean):g} % | {interval} | "
                     f"{_percent(row.chance):g} % |")
    return "\n".join(lines)


def _interval(row: FollowsText) -> list[float]:
    """The bounds in percent; empty where there is no interval."""
    return [_percent(bound) for bound in (row.low, row.high) if bound is not None]


def _percent(share: float) -> float:
    return round(100 * share, 1)
