"""Export synthetic scenes as folders that other tools read: captioned videos, or a benchmark.

Letters: F frames, H W pixels. A data set is a Hugging Face videofolder (`metadata.jsonl` with
`file_name` and `text`), a benchmark has TI2V-Bench's layout (`images/` and `pairs.csv`). Every
file is a function of the settings alone and appears whole or not at all, so that running an
export again writes just what is missing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast

import numpy as np

from motifocal.files.atomic import remove_temporaries, replacing, replacing_folder, write_text
from motifocal.files.csv_text import csv_text
from motifocal.files.settings import lock_settings
from motifocal.media.codec import FINE_CRF
from motifocal.media.picture import write_image
from motifocal.media.video import write_video
from motifocal.scenes.evaluation.evaluate import EvalPair, eval_pairs, truth_of
from motifocal.scenes.render import CAMERA_WORDS, FPS, FRAMES, Camera, SceneClip, render
from motifocal.scenes.stage import SCENARIOS, Split, make_stage
from motifocal.scenes.variant import STANDARD, SceneVariant
from motifocal.scenes.world import Action, Stage

CameraMix = Literal["static", "moving", "mixed"]

MANIFEST = "export.json"
MOVING_CAMERAS = tuple(camera for camera in CAMERA_WORDS if camera != "static")


@dataclass(frozen=True)
class DatasetSettings:
    """What decides a data set: `clips` of them, each (frames, size, size), drawn from `seed`.

    `truth` adds an .npz per clip with mask, flow and flow_valid; `lossless` writes each clip as a
    folder of PNG frames in place of an .mp4.
    """

    clips: int
    split: Split
    size: int
    frames: int
    seed: int
    camera: CameraMix
    truth: bool
    lossless: bool
    variant: SceneVariant = STANDARD


@dataclass(frozen=True)
class BenchmarkSettings:
    """What decides a benchmark: its first `pairs` pairs at `size`, with the true videos or not."""

    pairs: int
    size: int
    truth: bool
    variant: SceneVariant = STANDARD


@dataclass(frozen=True)
class Recipe:
    """One clip of a data set before it is drawn."""

    stage: Stage
    stage_seed: int
    action: Action
    camera: Camera
    text: str


def recipe(
    index: int, split: Split, seed: int, camera: CameraMix = "static",
    variant: SceneVariant = STANDARD,
) -> Recipe:
    """Return what clip `index` shows: scenarios in turn, a stage of its own, one of its prompts.

    Half of the captions are the benchmark's wording, the others a paraphrase. "mixed" moves the
    camera in half of the clips; the caption then says how. Of a mixed variant the clip is the same
    as that of this index with its background in all clips.
    """
    names = sorted(SCENARIOS)
    rng = np.random.default_rng([seed, index])
    stage_seed = int(rng.integers(2**31))
    stage = make_stage(names[index % len(names)], split, stage_seed,
                       variant.of_clip(index, len(names)))
    action = stage.actions[rng.integers(len(stage.actions))]
    words = (action.sentence, str(rng.choice(action.paraphrases or (action.sentence,))))
    text = words[int(rng.integers(2))]
    # Drawn last, so that the same index shows the same stage and prompt whatever the camera does.
    moves = camera == "moving" or (camera == "mixed" and rng.random() < 0.5)
    chosen = cast("Camera", str(rng.choice(MOVING_CAMERAS))) if moves else "static"
    return Recipe(stage, stage_seed, action, chosen, text + CAMERA_WORDS[chosen])


def export_dataset(folder: Path, settings: DatasetSettings) -> Iterator[int]:
    """Write the clips that are missing, then `metadata.jsonl`; yields how many clips are there.

    Raises ValueError for no clips and for a folder that holds an export of other settings.
    """
    if settings.clips < 1:
        raise ValueError(f"clips should be at least 1, got {settings.clips}")
    lock_settings(folder / MANIFEST, {"kind": "dataset", **asdict(settings)})
    for part in ("videos", *(("truth",) if settings.truth else ())):
        (folder / part).mkdir(exist_ok=True)
        remove_temporaries(folder / part)
    lines = []
    for index in range(settings.clips):
        clip = recipe(index, settings.split, settings.seed, settings.camera, settings.variant)
        lines.append(json.dumps(_described(index, clip, settings)) + "\n")
        _write_clip(folder, index, clip, settings)
        yield index + 1
    write_text(folder / "metadata.jsonl", "".join(lines))


def _described(index: int, clip: Recipe, settings: DatasetSettings) -> dict[str, object]:
    row: dict[str, object] = {
        "file_name": _video(index, settings),
        "text": clip.text,
        "sentence": clip.action.sentence,
        "facts": list(clip.action.facts),
        "scenario": clip.stage.scenario,
        "colour": clip.stage.colour,
        "background": clip.stage.background,
        "camera": clip.camera,
        "stage_seed": clip.stage_seed,
        "fps": FPS,
    }
    if settings.variant.background == "mixed":
        row["residue"] = clip.stage.variant.background
    return row | ({"truth": _truth_file(index)} if settings.truth else {})


def _video(index: int, settings: DatasetSettings) -> str:
    return f"videos/{index:06d}" + ("" if settings.lossless else ".mp4")


def _truth_file(index: int) -> str:
    return f"truth/{index:06d}.npz"


def _write_clip(folder: Path, index: int, made: Recipe, settings: DatasetSettings) -> None:
    video, truth = folder / _video(index, settings), folder / _truth_file(index)
    if video.exists() and (truth.exists() or not settings.truth):
        return
    clip = render(made.stage, made.action, size=settings.size, frames=settings.frames,
                  camera=made.camera, with_flow=settings.truth)
    if settings.truth:
        _write_truth(truth, clip)
    if settings.lossless:
        _write_pictures(video, clip)
    else:
        write_video(video, clip.frames, clip.fps, crf=FINE_CRF)


def _write_truth(path: Path, clip: SceneClip) -> None:
    if clip.flow is None or clip.flow_valid is None:
        raise ValueError("clip should hold its flow, got none")
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, mask=clip.mask, flow=clip.flow, flow_valid=clip.flow_valid,
                            residue=clip.residue)


def _write_pictures(folder: Path, clip: SceneClip) -> None:
    """A folder of PNG frames, which appears whole."""
    with replacing_folder(folder) as temporary:
        for number, frame in enumerate(clip.frames):
            write_image(temporary / f"{number:03d}.png", frame)


def export_benchmark(folder: Path, settings: BenchmarkSettings) -> Iterator[int]:
    """Write images, true videos and `pairs.csv`; yields how many pairs are done.

    A tool that is to be scored writes `<folder>/videos/<its name>/<file>` for every row, or any
    other folder with these file names. Raises ValueError as `export_dataset` does.
    """
    lock_settings(folder / MANIFEST, {"kind": "benchmark", **asdict(settings)})
    pairs = eval_pairs(settings.pairs, settings.size, settings.variant)
    for part in ("images", *(("videos/truth",) if settings.truth else ())):
        (folder / part).mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder / part)
    done = 0
    for image_id in dict.fromkeys(pair.image_id for pair in pairs):
        inside = [pair for pair in pairs if pair.image_id == image_id]
        _write_picture_and_truth(folder, inside, settings)
        done += len(inside)
        yield done
    write_text(folder / "pairs.csv", pairs_csv(pairs))


def _write_picture_and_truth(
    folder: Path, pairs: list[EvalPair], settings: BenchmarkSettings
) -> None:
    image = folder / "images" / f"{pairs[0].image_id}.png"
    if not image.exists():
        write_image(image, pairs[0].image())
    videos = {folder / "videos" / "truth" / pair.file(): pair for pair in pairs}
    if settings.truth and not all(path.exists() for path in videos):
        truth = truth_of(pairs[0].stage(), size=settings.size, frames=FRAMES)
        for path, pair in videos.items():
            write_video(path, truth.clips[pair.action], FPS, crf=FINE_CRF)


def pairs_csv(pairs: list[EvalPair]) -> str:
    """Return TI2V-Bench's table: scenario, image id, prompt, and the name of the video to make."""
    return csv_text(("scenario", "image_id", "prompt", "file"),
                    ((pair.scenario, pair.image_id, pair.prompt, pair.file()) for pair in pairs))
