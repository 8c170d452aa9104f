"""Lay out a folder of results so that the unchanged VBench-I2V runs on it.

    videos/<image id>_<slug>-<seed>.mp4   each video
    pictures/<image id>_<slug>.png        the picture as the model saw it, once for every sentence
    run_vbench.sh                         runs VBench-I2V on them, dimension by dimension
    vbench.json                           what this is of, what is missing, the frame rates

What VBench does, as read in Vchitect/VBench (evaluate_i2v.py, vbench/__init__.py, vbench/utils.py,
vbench/dynamic_degree.py, vbench2_beta_i2v/), which no part of this imports:

- Its own suite needs its own pictures. `--mode custom_input` takes any: of a folder of videos
  every .mp4 and .gif, for each the picture in `--custom_image_folder` (.png, .jpg, .jpeg) whose
  name without suffix is the video's without suffix and without a last `-<digits>`. A video without
  a picture is a KeyError that ends the run; pictures that no video names go unused. Videos and
  pictures lie apart here because older versions took a .png among the videos for one of them.
- `--ratio` only says which of VBench's own cropped pictures are used, so it is left out. A custom
  picture is compared as it is: scaled to a shorter side of 224 (i2v_subject, DINO) or squeezed to
  224 x 224 (i2v_background, DreamSim). It should have its videos' proportions, as these do.
- Of the nine dimensions that it allows for custom input, camera_motion looks for one of seven
  phrases ("camera pans left" ...) in the video's name and fails without; it is left out. Its total
  score counts a dimension that is absent as 0, so only single dimensions can be compared.
- In its own suite i2v_subject sees pictures of a subject and i2v_background those without; here
  every dimension sees every video. Numbers compare with each other, not with its leaderboard.
- dynamic_degree depends on the frame rate that the file declares: it looks at every
  max(1, round(fps / 8))-th frame, and calls a pair of them moving where the fastest 5 % of the flow
  exceed max(1, 8 / fps) * 6 pixels per 256 of the shorter side. The rates are therefore recorded.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from motifocal.bench.pairs import LONGEST_NAME, first_few
from motifocal.bench.results import Results
from motifocal.files.atomic import replacing, write_text
from motifocal.files.json_text import parse_json
from motifocal.media.codec import opened_container

DIMENSIONS = (
    "i2v_subject", "i2v_background", "subject_consistency", "background_consistency",
    "motion_smoothness", "dynamic_degree", "aesthetic_quality", "imaging_quality",
)  # fmt: skip
LEFT_OUT = {"camera_motion": "needs the camera's motion in words in the name of the video"}
VIDEOS, PICTURES = "videos", "pictures"
STATEMENT, SCRIPT = "vbench.json", "run_vbench.sh"


def _symlink(source: Path, target: Path) -> None:
    # Relative, so that results and view can be moved together.
    target.symlink_to(os.path.relpath(source.resolve(), target.parent.resolve()))


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


#: How a file comes into the view.
LINKS: Mapping[str, Callable[[Path, Path], None]] = MappingProxyType(
    {"symlink": _symlink, "hardlink": os.link, "copy": _copy}
)


@dataclass(frozen=True)
class View:
    """A finished view: name of each video -> name of its picture, and the videos not there."""

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
    results: Results, folder: Path, *, link: str = "symlink", allow_missing: bool = False
) -> View:
    """Lay out the view of `results` in `folder`, or bring the one there up to date.

    `link` is one of LINKS. Nothing is changed or removed in `folder` but what an earlier export
    of the same model's results put there. Raises ValueError for videos that are missing unless
    `allow_missing` (at least one has to be there), for a picture that is missing, for names that
    are too long, for a folder that holds files of others, and where `validate_view` does.
    """
    if folder.resolve() == results.folder.resolve():
        raise ValueError(f"{folder} should be another folder than the results'")
    view, sources = _plan_view(results, folder, allow_missing)
    before = _files_before(folder, results)
    statement = _statement(results, view, sources)
    for kind in (VIDEOS, PICTURES):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    strangers = [name for name in sources if name not in before and os.path.lexists(folder / name)]
    if strangers:
        raise ValueError(f"{folder} holds {first_few(strangers)}, which is not of this view")
    # Written first: an export that is stopped here knows its files next time.
    listed = {**statement, "files": sorted({*before, *sources})}
    write_text(folder / STATEMENT, json.dumps(listed, indent=1, ensure_ascii=False) + "\n")
    for name in before - set(sources):
        (folder / name).unlink(missing_ok=True)
    for name, source in sources.items():
        _place_file(source, folder / name, link)
    write_text(folder / SCRIPT, _script())
    (folder / SCRIPT).chmod(0o755)
    final = {**statement, "files": sorted(sources)}
    write_text(folder / STATEMENT, json.dumps(final, indent=1, ensure_ascii=False) + "\n")
    validate_view(folder)
    return view


def naming_rule(name: str) -> str:
    """Return the name of a video's picture, both without suffix: a last `-<digits>` is taken off.

    Our reading of VBench: "a-3_swims-0.mp4" -> "a-3_swims".
    """
    return re.sub(r"-\d+\Z", "", Path(name).stem)


def validate_view(folder: Path) -> dict[str, str]:
    """Check that VBench will find one picture for every video; map videos' names to pictures'.

    Raises ValueError that names what is wrong: a video without a picture or a picture without a
    video, two pictures of one name, names that differ in case only or have more than 255 bytes, a
    link to nothing, a picture that is not RGB, and files that the view does not list.
    """
    listed = set(_read_statement(folder)["files"])
    names_by_kind = {kind: _names(folder / kind) for kind in (VIDEOS, PICTURES)}
    there = {f"{kind}/{name}" for kind, names in names_by_kind.items() for name in names}
    wrong = [f"{name} is not of this view" for name in sorted(there - listed)]
    wrong += [f"{name} is missing or a link to nothing" for name in sorted(listed)
              if not (folder / name).is_file()]
    wrong += [f"{name} has more than {LONGEST_NAME} bytes" for name in sorted(there)
              if len(Path(name).name.encode()) > LONGEST_NAME]
    pictures: dict[str, str] = {}
    for name in names_by_kind[PICTURES]:
        other = pictures.setdefault(os.path.splitext(name)[0], name)
        if other != name:
            wrong.append(f"{other} and {name} are pictures of the same videos")
    for kind in (VIDEOS, PICTURES):
        seen: dict[str, str] = {}
        for name in names_by_kind[kind]:
            other = seen.setdefault(name.casefold(), name)
            if other != name:
                wrong.append(f"{other} and {name} differ in case only")
    of = {name: pictures.get(naming_rule(name), "") for name in names_by_kind[VIDEOS]}
    wrong += [f"{name} has no picture {naming_rule(name)}.png" for name, its in of.items()
              if not its]
    wrong += [f"{name} has no video" for name in sorted({*pictures.values()} - {*of.values()})]
    wrong += [f"{name} should be RGB" for name in names_by_kind[PICTURES]
              if (folder / PICTURES / name).is_file() and not _is_rgb(folder / PICTURES / name)]
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
            sources[f"{PICTURES}/{videos[name]}"] = results.picture(video.pair)
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
            name: {"picture": picture, "image_id": made[name].pair.image_id,
                   "prompt": made[name].pair.prompt, "seed": made[name].seed}
            for name, picture in view.videos.items()
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
        if kind not in (VIDEOS, PICTURES) or Path(file).name != file or file in ("", ".."):
            raise ValueError(f"{path} should list files of the view, got {name!r}")
    return statement


def _place_file(source: Path, target: Path, link: str) -> None:
    try:
        with replacing(target) as temporary:
            LINKS[link](source, temporary)
    except OSError as error:
        raise ValueError(f"{target} cannot be made as a {link}: {error.strerror}") from error


def _names(folder: Path) -> list[str]:
    """List what VBench reads in a folder, and what might be meant for it; skip hidden files."""
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def _is_rgb(path: Path) -> bool:
    with Image.open(path) as picture:
        return picture.mode == "RGB"


def _script() -> str:
    return f"""#!/bin/sh
# Runs the unchanged VBench-I2V on this folder:  sh {SCRIPT} PATH_OF_A_CLONE_OF_VBENCH
# It needs a CUDA device. PYTHON may name the interpreter of VBench's environment.
set -eu
vbench=${{1:?usage: sh {SCRIPT} PATH_OF_A_CLONE_OF_VBENCH}}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cd -- "$vbench"
for dimension in {" ".join(DIMENSIONS)}; do
    "${{PYTHON:-python}}" evaluate_i2v.py --mode custom_input --dimension "$dimension" \\
        --videos_path "$here/{VIDEOS}" --custom_image_folder "$here/{PICTURES}" \\
        --output_path "$here/scores/$dimension"
done
"""
