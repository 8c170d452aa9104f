"""`train --motif-weight 0,1`: a page that compares the runs side by side, with intervals."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from motifocal.cli.finetune.ab_scenes import CHANGE, FOLLOWS, STANDS_STILL, scene_scores
from motifocal.cli.finetune.ab_videos import (
    newest_videos,
    prompt_of,
    results_of,
    scores_of,
    study_of,
)
from motifocal.files.atomic import write_text
from motifocal.files.json_text import read_json_object

if TYPE_CHECKING:
    from motifocal.bench.results import Results
    from motifocal.bench.score.tables import Summary
    from motifocal.training.finetune.cache import ClipCache

#: What is measured of a run, one value a clip: where it was written, and what the page calls it.
CLIP_LOSSES = "held_out_clips.json"
TITLES = {
    "moving": "held-out loss where the clips move",
    "static": "held-out loss where they stand still",
    "motion": "motion of the sampled videos, % of the shorter side per second",
    FOLLOWS: "videos nearest to the true clip of their prompt (1: all of them)",
    STANDS_STILL: "videos nearest to the still image",
    CHANGE: "change where something may move, over the true clip's",
}
MOTION = "motion_amount"
Values = dict[str, list[float | None]]
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Runs side by side</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1em; max-width: 72em;
  color: #1a1a1a; background: #fff }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
td, th {{ padding: 4px 12px 4px 0; text-align: left; vertical-align: top }}
th {{ border-bottom: 1px solid #999 }}
tr + tr td {{ border-top: 1px solid #ddd }}
td:first-child {{ min-width: 9em }}
td + td, th + th {{ white-space: nowrap }}
code {{ background: #eee; padding: 2px 4px; overflow-wrap: anywhere }}
figure {{ margin: 0 0 1.5em }}
.videos {{ display: grid; grid-template-columns: repeat({columns}, minmax(0, 16em)); gap: 8px }}
.videos img, .videos video {{ width: 100%; display: block }}
.videos span {{ font-size: 14px }}
</style>
<h1>&lambda; = {weights}</h1>
<p>The same data, noise, timesteps, images, captions and seeds. Numbers are means with 95 %
bootstrap intervals over clips; differences are paired by clip, &lambda; = {last} minus
&lambda; = {first}. An interval of a difference that holds 0 shows no difference.</p>
<div class="scroll"><table>
<tr><th></th>{heads}<th>difference</th><th>clips</th></tr>
{rows}
</table></div>
{sections}
<h2>Videos</h2>
{videos}
</html>
"""


def write_ab_page(output: Path, runs: Mapping[float, Path], clips: ClipCache | None) -> Path:
    """Write ab.html into `output` for finished runs by their lambda; returns the page.

    `clips` are those whose images and captions the videos were sampled with; without them the
    page has the held-out losses alone. Runs are in the order of their lambda, as the differences
    are of the largest and the smallest.
    """
    runs = dict(sorted(runs.items()))
    measured: dict[float, Values] = {weight: losses_of(run) for weight, run in runs.items()}
    groups = [clip.sha256 for clip in clips.clips] if clips else []
    sections: list[str] = []
    results = results_of(output, runs, clips) if clips else []
    if clips and results:
        summary = scores_of(results)
        videos = {f"{weight:g}": newest_videos(run) for weight, run in runs.items()}
        made, controls = scene_scores(clips, videos)
        for weight, result in zip(runs, results, strict=True):
            measured[weight]["motion"] = _motion_of(summary, result)
            measured[weight] |= made.get(f"{weight:g}", {})
        if controls:
            sections.append(_controls(controls, groups))
        sections += [_scores(summary), _study(results), *_cut_captions(clips, results)]
    text = _PAGE.format(
        weights=", ".join(f"{weight:g}" for weight in runs), first=f"{min(runs):g}",
        last=f"{max(runs):g}", columns=len(runs) + 1,
        heads="".join(f"<th>&lambda; = {weight:g}</th>" for weight in runs),
        rows="\n".join(_rows(measured, groups)), sections="\n".join(sections),
        videos="\n".join(_videos(output, runs, clips)) if clips else "",
    )  # fmt: skip
    write_text(output / "ab.html", text)
    by_name = {f"{weight:g}": values for weight, values in measured.items()}
    write_text(output / "ab.json", json.dumps(by_name, indent=1) + "\n")
    return output / "ab.html"


def losses_of(run: Path) -> Values:
    """Return the held-out losses of a run, one a clip.

    None where a clip has no such loss: nothing moves in it, or all does. The losses of two experts,
    each with a folder of its own in `run`, are named as in "moving transformer_2".
    """
    values: Values = {}
    for path in (run / CLIP_LOSSES, *sorted(run.glob(f"*/{CLIP_LOSSES}"))):
        if path.exists():
            part = "" if path.parent == run else f" {path.parent.name}"
            values |= {f"{region}{part}": of_clips
                       for region, of_clips in read_json_object(path).items()}  # fmt: skip
    return values


def _motion_of(summary: Summary, results: Results) -> list[float | None]:
    """Return how much each video moves; None where it could not be measured."""
    (row,) = (row for row in summary.scores.models if row.name == results.model)
    amounts = {video.path.name: video.numbers[MOTION] for video in row.videos}
    return [amounts.get(pair.file(0)) for pair in results.benchmark.pairs]


def _rows(measured: Mapping[float, Values], groups: Sequence[str]) -> Iterable[str]:
    """Yield the lines of the first table: what all runs have values of."""
    order = list(TITLES)
    names = sorted({name for values in measured.values() for name in values},
                   key=lambda name: (order.index(name.partition(" ")[0]), name))  # fmt: skip
    for name in names:
        if all(values.get(name) for values in measured.values()):
            kind, _, part = name.partition(" ")
            title = f"{TITLES[kind]}, {part}" if part else TITLES[kind]
            yield _row(title, [values[name] for values in measured.values()], groups)


def _row(title: str, values: Sequence[Sequence[float | None]], groups: Sequence[str]) -> str:
    """Return a line: each run's mean, and the difference of the last and the first.

    `groups` names the clip that each value is of: windows of one are no independent samples.
    """
    import numpy as np

    arms = np.array(values, dtype=np.float64)
    kept = [bool(finite.all()) for finite in np.isfinite(arms).T]
    if not any(kept):
        return f"<tr><td>{title}</td></tr>"
    names = _names(groups, arms.shape[1])
    of_kept = [name for name, keep in zip(names, kept, strict=True) if keep]
    arms = arms[:, kept]
    means = "".join(f"<td>{_interval(arm, of_kept)}</td>" for arm in arms)
    return (f"<tr><td>{title}</td>{means}<td>{_interval(arms[-1] - arms[0], of_kept, '+')}</td>"
            f"<td>{len(set(of_kept))}</td></tr>")


def _names(groups: Sequence[str], count: int) -> list[str]:
    return [*groups[:count]] if len(groups) >= count else [str(index) for index in range(count)]


def _interval(values: object, groups: Sequence[str], sign: str = "") -> str:
    """Return "mean (low to high)"; the mean alone of a single clip."""
    import numpy as np

    from motifocal.metrics import over_images

    made = over_images(np.asarray(values, dtype=np.float64), list(groups))
    if math.isnan(made.low):
        return f"{made.mean:{sign}.3g}"
    return f"{made.mean:{sign}.3g} ({made.low:{sign}.3g} to {made.high:{sign}.3g})"


def _controls(controls: Mapping[str, Values], groups: Sequence[str]) -> str:
    """Return what the exact measures of scenes give for videos that should not be chosen."""
    rows = []
    for control, values in controls.items():
        for measure, of_clips in values.items():
            kept = [(value, name) for value, name in zip(of_clips, _names(groups, len(of_clips)),
                                                         strict=True) if value is not None]
            if kept:
                made = _interval([value for value, _ in kept], [name for _, name in kept])
                rows.append(f"<tr><td>{control}</td><td>{TITLES[measure]}</td><td>{made}</td></tr>")
    return ("<h2>Controls of the scenes</h2>\n<p>The clips are synthetic scenes, so what every "
            "prompt makes of an image is known. <i>Another prompt</i>: how often a video "
            "follows one that it was not given, on average over the others of its image.</p>\n"
            '<div class="scroll"><table>\n<tr><th>control</th><th></th><th>mean</th></tr>\n'
            + "\n".join(rows) + "\n</table></div>")


def _scores(summary: Summary) -> str:
    """Return the scores of `bench score`, a line for each measure: runs, then control rows."""
    from motifocal.bench.score.run import CONTROL
    from motifocal.bench.score.tables import difference_cells, headings, row_cells

    scores = summary.scores
    columns = [row_cells(summary, row) for row in scores.rows]
    last = scores.models[-1]
    columns.insert(len(scores.models), [f"{last.name} − {scores.rows[0].name}",
                                        *difference_cells(summary, last)[1:]])
    lines = [*zip(headings(summary), *columns, strict=True)]
    head, *body = (["", *map(html.escape, line[1:])] if index == 0 else [*map(html.escape, line)]
                   for index, line in enumerate(lines))
    table = [f"<tr>{''.join(f'<th>{cell}</th>' for cell in head)}</tr>",
             *(f"<tr>{''.join(f'<td>{cell}</td>' for cell in line)}</tr>" for line in body)]
    notes = [*scores.marks, *scores.failures,
             *(f"{row.name}: {row.note}" for row in scores.rows if row.kind == CONTROL)]
    return ("<h2>Scores, and control rows</h2>\n<p>A measure that a control wins does not see what "
            "the control lacks; &dagger; marks those that a still image wins by definition.</p>\n"
            '<div class="scroll"><table>\n' + "\n".join(table) + "\n</table></div>\n<p>"
            + "<br>".join(map(html.escape, notes)) + "</p>")


def _study(results: Sequence[Results]) -> str:
    """Return how people can vote on these videos."""
    path, words = study_of(results)
    text = f" {html.escape(words)}" if words else ""
    if path is None:
        return f"<h2>Votes of people</h2>\n<p>No study could be made:{text}</p>"
    return (f"<h2>Votes of people</h2>\n<p>A study of these videos, {results[-1].model} beside the "
            f"others, is ready: <code>motifocal study serve {html.escape(str(path))}</code>, then "
            f"<code>motifocal study report {html.escape(str(path))}</code>.{text}</p>")


def _cut_captions(clips: ClipCache, results: Sequence[Results]) -> Iterable[str]:
    """Yield how many captions the scores and the study have a part of, if there are any."""
    captions = [clip.caption for clip in clips.clips[:len(results[0].benchmark.pairs)]]
    cut = sum(prompt_of(caption) != " ".join(caption.split()) for caption in captions)
    if cut:
        yield (f"<p>Captions that are too long for a video's name: {cut} of {len(captions)}. "
               "Scores and study have their beginning and a hash of the whole in their place.</p>")


def _videos(output: Path, runs: Mapping[float, Path], clips: ClipCache) -> Iterable[str]:
    """Yield a figure for each clip: its image and every run's video."""
    from motifocal.training.finetune.cache import picture_path

    for clip, *videos in zip(clips.clips, *map(newest_videos, runs.values()), strict=False):
        image = os.path.relpath(picture_path(clips.folder, clip.clip), output)
        cells = [f'<span><img src="{html.escape(Path(image).as_posix())}" alt="">image</span>']
        cells += [f'<span><video src="{video.relative_to(output).as_posix()}" controls loop muted '
                  f"playsinline></video>&lambda; = {weight:g}</span>"
                  for weight, video in zip(runs, videos, strict=True)]  # fmt: skip
        yield (f"<figure><figcaption>{html.escape(clip.caption)}</figcaption>\n"
               f'<div class="videos">{"".join(cells)}</div></figure>')
