"""Lay out a folder of results so that the unchanged VBench-I2V runs on it.

    videos/<image id>_<slug>-<seed>.mp4   each video
    pictures/<image id>_<slug>.png        the image as the model saw it, once for every prompt
    run_vbench.sh                         runs VBench-I2V on them, dimension by dimension
    vbench.json                           what this is of, what is missing, the frame rates

docs/bench.md says what VBench reads and how it matches images to videos.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from motifocal.bench.pairs import LONGEST_NAME, first_few
from motifocal.bench.results import Results
from motifocal.files.atomic import replacing, write_text
from motifocal.files.json_text import format_json, parse_json
from motifocal.media.codec import opened_container

DIMENSIONS = (
    "i2v_subject", "i2v_background", "subject_consistency", "background_consistency",
    "motion_smoothness", "dynamic_degree", "aesthetic_quality", "imaging_quality",
)  # fmt: skip
LEFT_OUT = {"camera_motion": "needs the camera's motion in words in the name of the video"}
VIDEOS, IMAGES = "videos", "pictures"
STATEMENT, SCRIPT = "vbench.json", "run_vbench.sh"


@dataclass(frozen=True)
class View:
    """A finished view: name of each video -> name of its image, and the videos not there."""

    folder: Path
    videos: Mapping[str, str]
    missing: tuple[str, ...]

    @property
    def state(self) -> str:
        """Complete, or how much is missing."""
        if not self.missing:
            return "complete"
        total = len(self.videos) + len(self.missing)
        return f"INCOMPLETE: {len(self.missing)} of {total} videos are missing"


def export_vbench(
    results: Results, folder: Path, *, link: Literal["symlink", "copy"] = "symlink",
    allow_missing: bool = False,
) -> View:
    """Lay out the view of `results` in `folder`, or bring the one there up to date.

    Nothing is changed or removed in `folder` but what an earlier export of the same model's results
    put there. Raises ValueError for videos that are missing unless `allow_missing` (at least one
    has to be there), for an image that is missing, for names that are too long, for a folder that
    holds files of others, and where `validate_view` does.
    """
    if folder.resolve() == results.folder.resolve():
        raise ValueError(f"{folder} should be another folder than the results'")
    view, sources = _plan_view(results, folder, allow_missing)
    before = _files_before(folder, results)
    statement = _statement(results, view, sources)
    for kind in (VIDEOS, IMAGES):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    strangers = [name for name in sources if name not in before and os.path.lexists(folder / name)]
    if strangers:
        raise ValueError(f"{folder} holds {first_few(strangers)}, which is not of this view")
    # Written first: an export that is stopped here knows its files next time.
    write_text(folder / STATEMENT,
               format_json({**statement, "files": sorted({*before, *sources})}))
    for name in before - set(sources):
        (folder / name).unlink(missing_ok=True)
    for name, source in sources.items():
        _place_file(source, folder / name, link)
    script = Path(__file__).with_name(SCRIPT).read_text(encoding="utf-8")
    write_text(folder / SCRIPT, script.replace("DIMENSIONS", " ".join(DIMENSIONS)))
    (folder / SCRIPT).chmod(0o755)
    write_text(folder / STATEMENT, format_json({**statement, "files": sorted(sources)}))
    validate_view(folder)
    return view


def naming_rule(name: str) -> str:
    """Return the name of a video's image, both without suffix: a last `-<digits>` is taken off.

    Our reading of VBench: "a-3_swims-0.mp4" -> "a-3_swims".
    """
    return re.sub(r"-\d+\Z", "", Path(name).stem)


def validate_view(folder: Path) -> dict[str, str]:
    """Check that VBench will find one image for every video; map videos' names to images'.

    Raises ValueError that names what is wrong: a video without an image or an image without a
    video, two images of one name, names that differ in case only or have more than 255 bytes, a
    link to nothing, an image that is not RGB, and files that the view does not list.
    """
    listed = set(_read_statement(folder)["files"])
    names_by_kind = {
        kind: sorted(path.name for path in (folder / kind).iterdir() if path.name[0] != ".")
        for kind in (VIDEOS, IMAGES)
    }
    there = {f"{kind}/{name}" for kind, names in names_by_kind.items() for name in names}
    wrong = [f"{name} is not of this view" for name in sorted(there - listed)]
    wrong += [f"{name} is missing or a link to nothing" for name in sorted(listed)
              if not (folder / name).is_file()]
    wrong += [f"{name} has more than {LONGEST_NAME} bytes" for name in sorted(there)
              if len(Path(name).name.encode()) > LONGEST_NAME]
    images: dict[str, str] = {}
    for name in names_by_kind[IMAGES]:
        other = images.setdefault(os.path.splitext(name)[0], name)
        if other != name:
            wrong.append(f"{other} and {name} are images of the same videos")
    for kind in (VIDEOS, IMAGES):
        seen: dict[str, str] = {}
        for name in names_by_kind[kind]:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                wrong.append(f"{other} and {name} differ in case only")
    of = {name: images.get(naming_rule(name), "") for name in names_by_kind[VIDEOS]}
    wrong += [f"{name} has no image {naming_rule(name)}.png" for name, its in of.items()
              if not its]
    wrong += [f"{name} has no video" for name in sorted({*images.values()} - {*of.values()})]
    wrong += [f"{name} should be RGB" for name in names_by_kind[IMAGES]
              if (folder / IMAGES / name).is_file() and not _is_rgb(folder / IMAGES / name)]
    if wrong:
        raise ValueError(f"{folder}: {first_few(wrong)}")
    return of


def _plan_view(
    results: Results, folder: Path, allow_missing: bool
) -> tuple[View, dict[str, Path]]:
    """Return the view to write, and where each of its files comes from."""
    named = {f"{video.pair.stem}-{video.seed}.mp4": video for video in results.expected()}
    long = [name for name in named if len(name.encode()) > LONGEST_NAME]
    if long:
        raise ValueError(f"a name should have at most {LONGEST_NAME} bytes, got {first_few(long)}")
    missing = {video.path for video in results.missing()}
    absent = [name for name, video in named.items() if video.path in missing]
    videos, sources = {}, {}
    for name, video in named.items():
        if video.path not in missing:
            videos[name] = f"{video.pair.stem}.png"
            sources[f"{VIDEOS}/{name}"] = video.path
            sources[f"{IMAGES}/{videos[name]}"] = results.image(video.pair)
    if absent and not (allow_missing and videos):
        raise ValueError(f"{results.folder}: {len(absent)} of {len(absent) + len(videos)} videos "
                         f"are missing: {first_few([named[name].path.name for name in absent])}")
    lost = [str(path) for path in sources.values() if not path.is_file()]
    if lost:
        raise ValueError(f"{results.folder} should hold {first_few(sorted(set(lost)))}")
    return View(folder, videos, tuple(absent)), sources


def _statement(results: Results, view: View, sources: Mapping[str, Path]) -> dict[str, Any]:
    """Return what vbench.json says, but for the files."""
    rates = Counter(_rate(sources[f"{VIDEOS}/{name}"]) for name in view.videos)
    made = {f"{video.pair.stem}-{video.seed}.mp4": video for video in results.expected()}
    return {
        "model": results.model,
        "benchmark": results.benchmark.title,
        "mark": results.benchmark.mark,
        "state": view.state,
        "missing": list(view.missing),
        "dimensions": list(DIMENSIONS),
        "left_out": LEFT_OUT,
        "frame_rates": [
            {"frames_per_second": rate, "videos": count,
             "dynamic_degree": {"every_nth_frame": max(1, round(rate / 8)),
                                "threshold_times": max(1.0, 8 / rate)}}
            for rate, count in sorted(rates.items())
        ],
        "videos": {
            name: {"picture": image, "image_id": made[name].pair.image_id,
                   "prompt": made[name].pair.prompt, "seed": made[name].seed}
            for name, image in view.videos.items()
        },
    }  # fmt: skip


def _rate(path: Path) -> float:
    """Return frames per second that a file declares."""
    with opened_container(path) as source:
        if not source.rate:
            raise ValueError(f"{path} should declare a frame rate")
        return float(source.rate)


def _files_before(folder: Path, results: Results) -> set[str]:
    """Return the files of an earlier export into the folder. Raise ValueError if it was another
    model's."""
    if not (folder / STATEMENT).exists():
        return set()
    statement = _read_statement(folder)
    for key, ours in (("model", results.model), ("benchmark", results.benchmark.title)):
        if statement[key] != ours:
            raise ValueError(f"{folder / STATEMENT} says {key} {statement[key]!r} (not {ours!r}); "
                             "use another folder")
    return set(statement["files"])


def _read_statement(folder: Path) -> dict[str, Any]:
    path = folder / STATEMENT
    try:
        statement = dict(parse_json(path.read_text(encoding="utf-8")))
        names = [str(name) for name in statement["files"]]
        statement["model"], statement["benchmark"]
    except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} should be as motifocal bench vbench writes it") from error
    for name in names:
        kind, _, file = name.partition("/")
        if kind not in (VIDEOS, IMAGES) or Path(file).name != file or file in ("", ".."):
            raise ValueError(f"{path} should list files of the view, got {name!r}")
    return statement


def _place_file(source: Path, target: Path, link: str) -> None:
    try:
        with replacing(target) as temporary:
            if link == "copy":
                shutil.copyfile(source, temporary)
            else:  # relative, so that results and view can be moved together
                temporary.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))
    except OSError as error:
        raise ValueError(f"{target} cannot be made as a {link}: {error.strerror}") from error


def _is_rgb(path: Path) -> bool:
    with Image.open(path) as image:
        return image.mode == "RGB"
