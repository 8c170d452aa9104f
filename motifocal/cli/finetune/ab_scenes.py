"""Compare sampled videos with the exact truth, where the clips are synthetic scenes.

F frames, H W pixels. `prepare` keeps what the scenes were exported with beside the cache; a clip's
number then says what is in it, and what every other prompt would have made of its image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from motifocal.files.json_text import read_json_object

if TYPE_CHECKING:
    from motifocal.scenes.evaluation.evaluate import Region, Truth
    from motifocal.training.finetune.cache import CachedClip, ClipCache

SCENES = "scenes.json"
FOLLOWS, STANDS_STILL, CHANGE = "follows", "stands_still", "change"
ANOTHER, STILL = "another prompt", "still image"
Values = dict[str, list[float | None]]


def exported_scenes(clips: Path) -> dict[str, Any] | None:
    """Return what a folder of clips was exported with by `motifocal scenes export`, else None."""
    from motifocal.scenes.export import MANIFEST

    path = clips / MANIFEST
    if not path.is_file():
        return None
    settings = read_json_object(path)
    return settings if settings.get("kind") == "dataset" else None


def scene_scores(
    clips: ClipCache, videos: Mapping[str, Sequence[Path]]
) -> tuple[dict[str, Values], dict[str, Values]]:
    """Judge videos by name, one a clip; and the controls by name.

    Empty where the clips are no scenes, or not whole squares at rest: then nothing exact is known.
    The control "another prompt" asks of each run's videos whether they follow a prompt that
    was not given; that of the still image repeats it.
    """
    from motifocal.media.video import read_video
    from motifocal.scenes.evaluation.evaluate import fit, judge

    path = clips.folder / SCENES
    settings = read_json_object(path) if path.is_file() else {}
    if not is_whole(clips, settings):
        return {}, {}
    made: dict[str, Values] = {name: {FOLLOWS: [], STANDS_STILL: [], CHANGE: []} for name in videos}
    controls: dict[str, Values] = {
        STILL: {FOLLOWS: [], STANDS_STILL: [], CHANGE: []},
        **{another_of(name): {FOLLOWS: []} for name in videos},
    }
    size, count = int(clips.settings["height"]), int(clips.settings["frames"])
    for index in range(min(map(len, videos.values()))):
        truth, asked = truth_of_clip(clips.clips[index], settings, size, count)
        others = len(truth.clips) - 1
        for name, of_run in videos.items():
            score = judge(fit(read_video(of_run[index]).frames, count, size), truth, asked)
            _add(made[name], score)
            another = (1 - score.follows - score.stands_still) / others if others else None
            controls[another_of(name)][FOLLOWS].append(another)
        _add(controls[STILL], judge(truth.stands_still(), truth, asked))
    return made, controls


def another_of(name: str) -> str:
    """Name the control that asks a run's videos for other prompts."""
    return f"{ANOTHER}, &lambda; = {name}"


def _add(values: Values, score: Any) -> None:
    values[FOLLOWS].append(score.follows)
    values[STANDS_STILL].append(score.stands_still)
    values[CHANGE].append(score.motion)


def is_whole(clips: ClipCache, settings: Mapping[str, Any]) -> bool:
    """Tell whether a cache holds scenes from their first frame on, square, under a camera at rest.
    """
    s = clips.settings
    stretch = f"0-{int(s['frames']) - 1}"
    return (settings.get("camera") == "static" and s["height"] == s["width"]
            and all(clip.frames == stretch and _number(clip) is not None for clip in clips.clips))


def truth_of_clip(
    clip: CachedClip, settings: Mapping[str, Any], size: int, frames: int
) -> tuple[Truth, int]:
    """Draw all that can happen to a clip's image, and say which of it the prompt asks for."""
    import cv2
    import numpy as np

    from motifocal.scenes.evaluation.evaluate import Truth, truth_of
    from motifocal.scenes.export import recipe
    from motifocal.scenes.variant import SceneVariant

    made = recipe(_number(clip) or 0, settings["split"], settings["seed"],
                  variant=SceneVariant(**settings["variant"]))  # fmt: skip
    truth = truth_of(made.stage, size=settings["size"], frames=settings["frames"])
    if settings["size"] != size:
        from motifocal.media.video import resize_crop

        def scaled(mask: Region) -> Region:
            small = cv2.resize(mask.astype(np.uint8), (size, size),
                               interpolation=cv2.INTER_NEAREST)  # fmt: skip
            return small.astype(bool)

        truth = Truth(resize_crop(truth.still[None], size, size)[0],
                      tuple(resize_crop(c, size, size) for c in truth.clips),
                      scaled(truth.region),
                      tuple(np.stack([scaled(m) for m in masks]) for masks in truth.masks))
    truth = replace(truth, clips=tuple(c[:frames] for c in truth.clips),
                    masks=tuple(m[:frames] for m in truth.masks))
    return truth, made.stage.actions.index(made.action)


def _number(clip: CachedClip) -> int | None:
    match = re.search(r"(\d{6})(\.mp4)?$", clip.name)
    return int(match[1]) if match else None
