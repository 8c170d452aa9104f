"""`train --motif-weight 0,1`: a page that sets the runs side by side, with intervals."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motifocal.files.atomic import write_text
from motifocal.files.json_text import read_json_object

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

#: What is measured of a run, one value a clip: where it was written, and what the page calls it.
CLIP_LOSSES = "held_out_clips.json"
TITLES = {
    "moving": "held-out loss where the clips move",
    "static": "held-out loss where they stand still",
    "motion": "motion of the sampled videos, % of the shorter side per second",
}
_PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Runs side by side</title>
<style>body {{ font-family: sans-serif; margin: 2em }}
td, th {{ padding: 4px 12px; text-align: left }}
video {{ max-width: 24em; display: block }}</style>
<h1>&lambda; = {weights}</h1>
<p>The same data, draws, pictures, captions and seeds. Differences are paired by clip, last minus
first, with 95 % bootstrap intervals over clips.</p>
<table>
<tr><th></th>{heads}<th>difference</th><th>clips</th></tr>
{rows}
</table>
<table>
<tr><th>caption</th>{heads}</tr>
{videos}
</table>
"""


def write_ab_page(output: Path, runs: Mapping[float, Path], captions: Sequence[str]) -> Path:
    """Write ab.html into `output` for finished runs by their lambda; returns the page.

    `captions` are those of the sampled videos.
    """
    measured = {weight: _measured(run) for weight, run in runs.items()}
    order = list(TITLES)
    names = sorted({name for values in measured.values() for name in values},
                   key=lambda name: (order.index(name.partition(" ")[0]), name))  # fmt: skip
    rows = [_row(_title(name), [values[name] for values in measured.values()]) for name in names
            if all(values.get(name) for values in measured.values())]  # fmt: skip
    videos = [_newest_videos(run) for run in runs.values()]
    shown = []
    for caption, *files in zip(captions, *videos, strict=False):
        cells = "".join(f'<td><video src="{file.relative_to(output).as_posix()}" controls loop '
                        "muted></video></td>" for file in files)  # fmt: skip
        shown.append(f"<tr><td>{html.escape(caption)}</td>{cells}</tr>")
    heads = "".join(f"<th>&lambda; = {weight:g}</th>" for weight in runs)
    text = _PAGE.format(weights=", ".join(f"{weight:g}" for weight in runs), heads=heads,
                        rows="\n".join(rows), videos="\n".join(shown))  # fmt: skip
    write_text(output / "ab.html", text)
    by_name = {f"{weight:g}": values for weight, values in measured.items()}
    write_text(output / "ab.json", json.dumps(by_name, indent=1) + "\n")
    return output / "ab.html"


def _measured(run: Path) -> dict[str, list[float | None]]:
    """Return the values of a run, one a clip: losses, and how much its newest videos move.

    None where a clip has no such loss: nothing moves in it, or all does. The losses of two experts,
    each with a folder of its own in `run`, are named as in "moving transformer_2".
    """
    values: dict[str, list[float | None]] = {}
    for path in (run / CLIP_LOSSES, *sorted(run.glob(f"*/{CLIP_LOSSES}"))):
        if path.exists():
            part = "" if path.parent == run else f" {path.parent.name}"
            values |= {f"{region}{part}": of_clips
                       for region, of_clips in read_json_object(path).items()}  # fmt: skip
    return {**values, "motion": [_motion_of(video) for video in _newest_videos(run)]}


def _title(name: str) -> str:
    """Return what the page calls the values of `_measured` under a name."""
    kind, _, part = name.partition(" ")
    return f"{TITLES[kind]}, {part}" if part else TITLES[kind]


def _motion_of(video: Path) -> float:
    from motifocal.bench.score.motion import motion
    from motifocal.media.video import read_video
    from motifocal.motion.flow import estimate_flow

    clip = read_video(video)
    return motion(clip.frames, estimate_flow(clip.frames), clip.fps)["motion_amount"]


def _newest_videos(run: Path) -> list[Path]:
    """Return the videos of the last step that was sampled at."""
    steps = sorted((run / "samples").glob("step-*"))
    return sorted(steps[-1].glob("*.mp4"), key=lambda path: int(path.stem)) if steps else []


def _row(title: str, values: Sequence[Sequence[float | None]]) -> str:
    """Return a line of the table: each run's mean, and the difference of the last and the first."""
    import numpy as np

    from motifocal.metrics import over_images

    arms: npt.NDArray[np.float64] = np.array(values, dtype=np.float64)
    arms = arms[:, np.isfinite(arms).all(0)]
    if not arms.shape[1]:
        return f"<tr><td>{title}</td></tr>"
    clips = [str(index) for index in range(arms.shape[1])]
    difference = over_images(arms[-1] - arms[0], clips)
    means = "".join(f"<td>{mean:.4g}</td>" for mean in arms.mean(1))
    return (f"<tr><td>{title}</td>{means}<td>{difference.mean:+.3g} ({difference.low:+.3g} to "
            f"{difference.high:+.3g})</td><td>{len(clips)}</td></tr>")
