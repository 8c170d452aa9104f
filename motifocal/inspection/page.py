"""Write the report on a folder of clips as one self-contained HTML page.

The page holds its data, style and script, works from a disk, and asks for nothing but the
thumbnails beside it. Names, captions and reasons come from users: they only ever are text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from motifocal.files.atomic import write_text

NAME = "inspect.html"
FILES = Path(__file__).with_name("page")
SCRIPTS = ("report.js", "view.js", "histogram.js", "grid.js", "details.js", "inspect.js")
LEVELS = ("error", "warning", "note")
GOOD = "good"  # the level, and in the page's address the mark, of a clip without faults
MOST_NAMED = 4  # faults in the headline


def _printable(value: object) -> object:
    """Escape lone surrogates, which names of files that are no UTF-8 hold and no page can."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "backslashreplace").decode()


Text = Annotated[str, BeforeValidator(_printable)]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Pixels = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """A part of a report; what a later version adds to it is left out of the page."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Fault(Part):
    """What a clip may have, for the page: a short name and what it means in one sentence."""

    level: Literal["error", "warning", "note"]
    title: Text
    help: Text


class Found(Part):
    """A fault of one clip, with the reason in words."""

    code: Text
    words: Text


class Clip(Part):
    """One clip: what it measures (None where that is not known) and what is wrong with it."""

    name: Annotated[str, Field(min_length=1), BeforeValidator(_printable)]
    faults: list[Found]
    level: Literal["error", "warning", "note", "good"]
    width: Pixels | None
    height: Pixels | None
    fps: Annotated[float, Field(gt=0)] | None
    variable_rate: bool
    frames: Count | None
    seconds: Amount | None
    bytes: Count
    caption: Text | None
    moving_fraction: Share | None
    motion: Amount | None
    camera: Amount | None
    cuts: list[Count]
    duplicate_of: Text | None
    samples: list[Text]
    thumb: Annotated[str, Field(pattern=r"^thumbs/[A-Za-z0-9_-]+\.webp\z")] | None
    thumb_width: Annotated[int, Field(ge=1, le=160)]
    thumb_height: Pixels


class Summary(Part):
    """The folder in numbers; `seconds` of video, `moving_fraction` the mean over clips."""

    clips: Count
    good: Count
    seconds: Amount
    moving_fraction: Share | None
    by_fault: dict[Text, Count]
    trained_samples: Count
    trained_frames: Count


class Report(Part):
    """All that the page shows."""

    version: Literal[1]
    title: Text
    made: Text
    settings: dict[Text, Any]
    faults: dict[Text, Fault]
    summary: Summary
    advice: list[Text] = []
    clips: list[Clip]


def write_page(report: Mapping[str, Any], folder: Path) -> Path:
    """Write `inspect.html` into `folder`, whole or not at all; returns its path.

    Thumbnails are files of `folder` that the report names ("thumbs/<key>.webp"): 2 rows (four
    frames, the same with their heatmap) of cells of thumb_width x thumb_height pixels.

    Raises ValueError, naming the place, for a report that is not as it should be.
    """
    checked = read_report(report)
    path = folder / NAME
    write_text(path, document(checked))
    return path


def read_report(values: Mapping[str, Any]) -> Report:
    """Check a report. Raises ValueError: what was expected where, and what there is."""
    try:
        report = Report.model_validate(values)
    except ValidationError as error:
        raise ValueError(f"report: {_first_fault(error)}") from error
    if GOOD in report.faults:
        raise ValueError(f"report: a fault should not have the code {GOOD!r}")
    named = [(f"clips.{i}.faults", fault.code)
             for i, clip in enumerate(report.clips) for fault in clip.faults]
    for place, code in [*named, *(("summary.by_fault", code) for code in report.summary.by_fault)]:
        if code not in report.faults:
            raise ValueError(f"report: {place} should be of {sorted(report.faults)}, got {code!r}")
    twice = [name for name, times in Counter(clip.name for clip in report.clips).items()
             if times > 1]
    if twice:
        raise ValueError(f"report: clips should differ in name, got {twice[0]!r} twice")
    if report.summary.clips != len(report.clips):
        raise ValueError(f"report: summary.clips should be {len(report.clips)}, "
                         f"got {report.summary.clips}")
    return report


def _first_fault(error: ValidationError) -> str:
    """Format the first of pydantic's findings."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "the whole"
    if first["type"] == "missing":
        return f"{place} is missing"
    message = first["msg"].removeprefix("Input ").removeprefix("String ")
    return f"{place} {message}, got {str(first['input'])[:80]!r}"


def document(report: Report) -> str:
    """Make the page as text; the same report gives the same bytes."""
    style = _file("style.css")
    script = "\n".join(_file(name) for name in SCRIPTS)
    icon = f"data:image/svg+xml,{quote(_file('icon.svg').strip())}"
    # file: because browsers differ in whether 'self' means anything on a disk.
    policy = (f"default-src 'none'; script-src {_digest(script)}; style-src {_digest(style)}; "
              "img-src 'self' file: data:; base-uri 'none'; form-action 'none'")
    return Template(_file("inspect.html")).substitute(
        policy=policy, style=style, script=script, icon=icon, report=_data(report),
        title=html.escape(report.title), made=html.escape(report.made),
        headline=html.escape(headline(report)), counts=html.escape(counts(report.summary)),
        advice="".join(f'<p class="advice">{html.escape(line)}</p>' for line in report.advice))


def _file(name: str) -> str:
    return (FILES / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """Hash an inline script or style as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _data(report: Report) -> str:
    """Encode JSON that is safe inside a script element: ASCII, and no "<" that could end it."""
    values = report.model_dump(exclude={"version": True, "title": True, "advice": True})
    try:
        text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:  # all but the settings was checked before
        raise ValueError("report: settings should be JSON with finite numbers, "
                         f"got others ({error})") from error
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def headline(report: Report) -> str:
    """Say how many clips are fine, and what the others have most, the worst first."""
    summary = report.summary
    if not summary.clips:
        return "There are no clips."
    fine = (f"All {summary.clips:,} clips are fine" if summary.good == summary.clips
            else f"{summary.good:,} of {summary.clips:,} clips are fine")
    counted = [(code, count) for code, count in summary.by_fault.items() if count]
    order = list(report.faults)  # where as bad and as many
    counted.sort(key=lambda entry: (LEVELS.index(report.faults[entry[0]].level), -entry[1],
                               order.index(entry[0])))
    names = [f"{count:,} “{report.faults[code].title.lower()}”"
             for code, count in counted[:MOST_NAMED]]
    if not names:
        return f"{fine}."
    if len(counted) > MOST_NAMED:
        names.append("more")
    listed = f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
    first, rest = listed.split(" ", 1)
    return f"{fine}; {first} {'is' if first == '1' else 'are'} marked {rest}."


def counts(summary: Summary) -> str:
    """Sum up the folder in one line of numbers."""
    words = [_many(summary.clips, "clip"), f"{_duration(summary.seconds)} of video"]
    if summary.moving_fraction is not None:
        words.append(f"mean moving fraction {summary.moving_fraction:.0%}".replace("%", " %"))
    words.append(f"{_many(summary.trained_samples, 'sample')} of "
                 f"{_many(summary.trained_frames, 'frame')} to train on")
    return " · ".join(words)


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _duration(seconds: float) -> str:
    """Format in the unit that needs the fewest digits: "12.5 s", "3.1 min", "2.4 h"."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.1f} s"
