"""A made-up report of `motifocal inspect`, as the page and its tests are given it.

The names and captions are hostile on purpose: all of them come from users' folders.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np

from motifocal.media.video import write_image

FAULTS: dict[str, dict[str, str]] = {
    "unreadable": {"level": "error", "title": "Unreadable",
                   "help": "No frame can be decoded; a trainer stops here or skips the clip."},
    "too-short": {"level": "error", "title": "Too short",
                  "help": "The frame rule makes no sample of the clip."},
    "no-caption": {"level": "error", "title": "No caption",
                   "help": "The table or the text file has nothing for this clip."},
    "static": {"level": "warning", "title": "Nothing moves",
              "help": "A clip without motion teaches the model to repeat the picture."},
    "cut": {"level": "warning", "title": "Cut inside",
            "help": "The scene changes within the frames that are trained on."},
    "near-duplicate": {"level": "warning", "title": "Near duplicate",
                       "help": "Another clip shows the same pictures."},
    "camera-only": {"level": "note", "title": "Only the camera moves",
                    "help": "Nothing in the picture moves by itself."},
    "no-motion-word": {"level": "note", "title": "No motion word",
                       "help": "The caption names nothing that moves."},
}  # fmt: skip

SETTINGS: dict[str, Any] = {
    "folder": "clips <b>&amp;", "frames": 81, "fps": 16.0, "height": 480, "width": 832,
    "rule": "head", "family": "wan", "trainer": None,
    "heatmap": {"unit": "maximum", "slope": 100.0, "threshold": 0.05, "floor": 0.15},
}  # fmt: skip


def clip(name: str, *faults: tuple[str, str], **changed: Any) -> dict[str, Any]:
    """One clip of a report: good where no fault is given, else of its worst fault's level."""
    levels = [FAULTS[code]["level"] for code, _ in faults]
    level = next((one for one in ("error", "warning", "note") if one in levels), "good")
    found = {
        "name": name, "faults": [{"code": code, "words": words} for code, words in faults],
        "level": level, "width": 1280, "height": 720, "fps": 23.976, "variable_rate": False,
        "frames": 240, "seconds": 10.01, "bytes": 1_234_567,
        "caption": "The blue balloon dips down.", "moving_fraction": 0.12,
        "motion": 14.2, "camera": 0.0,
        "cuts": [], "duplicate_of": None, "samples": ["0-80", "81-161"], "thumb": None,
        "thumb_width": 160, "thumb_height": 90,
    }  # fmt: skip
    return {**found, **changed}


def clips() -> list[dict[str, Any]]:
    """One clip of every kind: good, with each fault, with several, and with hostile text."""
    nothing = {"width": None, "height": None, "fps": None, "frames": None, "seconds": None,
               "moving_fraction": None, "motion": None, "camera": None, "samples": []}  # fmt: skip
    script = "<script>alert('x')</script>"
    return [
        clip("good.mp4"),
        clip("deep/er/hot.mp4", moving_fraction=0.93, motion=180.5, camera=3.25, fps=60.0),
        clip("broken.mp4", ("unreadable", "truncated, holds 3 of 81 declared frames"), **nothing),
        clip("short.mp4", ("too-short", "holds 12 frames at 16/s, the rule wants 81"),
             frames=18, seconds=0.75, samples=[]),
        clip("silent.mp4", ("no-caption", "no row names it"), caption=None),
        clip("still.gif", ("static", "nothing moves"), ("no-motion-word", "no word of motion"),
             caption="A red house.", moving_fraction=0.0, motion=0.0),
        clip("cut.mp4", ("cut", "cut at frame 40 (1.67 s)"), cuts=[40], variable_rate=True),
        clip("again.mp4", ("near-duplicate", "shows what good.mp4 shows"), duplicate_of="good.mp4"),
        clip("pan.mp4", ("camera-only", "the camera moves, nothing else"), motion=0.0, camera=9.5),
        clip(f"{script}.mp4", ("no-motion-word", f"no word of motion in {script}"),
             caption=f'{script}"\'><img src=x onerror=alert(1)> & \u202egpj.4pm {{{{7*7}}}}'),
        clip("\u65e5\u672c\u8a9e/\u9ce5 \U0001f426.mp4", caption="\u9ce5\u304c\u98db\u3076\u3002"),
        clip("tall.mp4", width=1080, height=1920, thumb_width=90, thumb_height=160),
    ]  # fmt: skip


def report(folder: Path | None = None, copies: int = 1) -> dict[str, Any]:
    """A whole report; with a `folder` its thumbs are written there, with `copies` it is long."""
    found = []
    for number in range(copies):
        for one in copy.deepcopy(clips()):
            one["name"] = one["name"] if number == 0 else f"copy {number}/{one['name']}"
            found.append(one)
    if folder is not None:
        (folder / "thumbs").mkdir(parents=True, exist_ok=True)
        for index, one in enumerate(found):
            if one["frames"] is not None:
                one["thumb"] = f"thumbs/{index:016x}.webp"
                write_image(folder / one["thumb"], sprite(one, index))
    fractions = [one["moving_fraction"] for one in found if one["moving_fraction"] is not None]
    by_fault: dict[str, int] = {}
    for one in found:
        for fault in one["faults"]:
            by_fault[fault["code"]] = by_fault.get(fault["code"], 0) + 1
    samples = sum(len(one["samples"]) for one in found)
    summary = {"clips": len(found), "good": sum(one["level"] == "good" for one in found),
               "seconds": sum(one["seconds"] or 0.0 for one in found),
               "moving_fraction": sum(fractions) / len(fractions), "by_fault": by_fault,
               "trained_samples": samples, "trained_frames": 81 * samples}  # fmt: skip
    return {"version": 1, "title": "clips <b>&amp;", "made": "2026-11-22", "settings": SETTINGS,
            "faults": FAULTS, "summary": summary, "clips": found}  # fmt: skip


def sprite(one: dict[str, Any], seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """2 rows x 4 columns of cells, each of a colour of its own."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(0, 256, (2, 4, 3), dtype=np.uint8)
    return colours.repeat(one["thumb_height"], axis=0).repeat(one["thumb_width"], axis=1)
