"""Make the report that is written, printed and shown as a page, from entries and findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from motifocal.inspection.checks.duplicates import Fingerprint, find_duplicates
from motifocal.inspection.diagnose import MOST_DRIFT, advice_on_frames, diagnose
from motifocal.inspection.entries import Entry, Folder
from motifocal.inspection.faults import FAULTS, GOOD, OLD_CODES, worst
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.inspection.run import InspectedClip
from motifocal.motion.heatmap import mean_moving_fraction

VERSION = 1


def make_report(
    folder: Folder, inspected: Mapping[int, InspectedClip], settings: InspectSettings, *,
    made: date, default_frames: bool = False,
) -> dict[str, Any]:
    """Make the report as plain values; `inspected` are by the place of their entry.

    Keys: version, title, made, settings, faults, summary, advice, clips; `inspection.page` names
    the rest and what each has to be. `default_frames`: whether the frames are the default.
    """
    findings = {place: clip.finding for place, clip in inspected.items() if clip.finding}
    doubles = _duplicates(folder.entries, findings)
    frames = min(count for count, _, _ in settings.request.buckets)
    clips: list[dict[str, Any]] = []
    names = _names(folder.entries)
    for place, entry in enumerate(folder.entries):
        clip, finding = inspected.get(place), findings.get(place)
        faults = diagnose(entry, finding, captioned=folder.captioned, frames=frames,
                          camera=settings.heatmap.camera)  # fmt: skip
        of = None
        if place in doubles:
            code, other = doubles[place]
            of = names[other]
            words = "the same bytes as" if code == "duplicate" else "the same images as"
            faults.append((code, f"{words} {of}"))
        clips.append(_clip(names[place], entry, clip, finding, faults, of))
    advice = advice_on_frames(list(findings.values()), frames, is_default=default_frames)
    return {
        "version": VERSION,
        "title": printable(folder.path.resolve().name or str(folder.path)),
        "made": made.isoformat(),
        "settings": {"folder": printable(str(folder.path)), "format": folder.format,
                     **asdict(settings)},
        "faults": {code: asdict(fault) for code, fault in FAULTS.items()},
        "summary": _summary(clips, list(findings.values())),
        "advice": [advice] if advice else [],
        "clips": clips,
    }  # fmt: skip


def printable(text: str) -> str:
    """Escape halves of characters, which names that are not UTF-8 hold."""
    return text.encode("utf-8", "backslashreplace").decode()


def _duplicates(
    entries: Sequence[Entry], findings: Mapping[int, Finding]
) -> dict[int, tuple[str, int]]:
    """Map places to (code, the place that it duplicates): by its bytes, else by its look."""
    places = [place for place in range(len(entries)) if place in findings]
    looks = [findings[place].look for place in places]
    near = find_duplicates([None if look is None else Fingerprint.from_text(look)
                            for look in looks])  # fmt: skip
    duplicates = {places[i]: ("near-duplicate", places[j]) for i, j in near.items()}
    first: dict[str, int] = {}
    for place in places:
        content = findings[place].content
        if content is not None and first.setdefault(content, place) != place:
            duplicates[place] = ("duplicate", first[content])
    return duplicates


def _names(entries: Sequence[Entry]) -> list[str]:
    """Make the entries' names printable, with a number where that made two the same."""
    names: list[str] = []
    taken: set[str] = set()
    for entry in entries:
        name, count = printable(entry.name), 2
        while name in taken:
            name, count = f"{printable(entry.name)} ({count})", count + 1
        taken.add(name)
        names.append(name)
    return names


def _clip(
    name: str,
    entry: Entry,
    clip: InspectedClip | None,
    finding: Finding | None,
    faults: Sequence[tuple[str, str]],
    duplicate_of: str | None,
) -> dict[str, Any]:
    seen = finding or Finding()

    def own(*names: str) -> dict[str, Any]:
        return {name: getattr(seen, name) for name in names}

    return {
        "name": name,
        "faults": [_fault(code, words) for code, words in faults],
        "level": worst(code for code, _ in faults),
        **own("width", "height", "fps"),
        "variable_rate": seen.drift > MOST_DRIFT,
        **own("frames", "seconds"),
        "bytes": clip.bytes if clip else 0,
        "caption": None if entry.caption is None else printable(entry.caption),
        "moving_fraction": seen.moving_fraction,
        "hot": seen.moving_fraction,  # the earlier name, for one more release
        "repeated": round(seen.by_rate + seen.stored_repeats, 4),
        "freeze": list(seen.freeze) if seen.freeze else None,
        **own("bars", "blur", "fitting", "motion", "camera"),
        "cuts": list(seen.cuts),
        "duplicate_of": duplicate_of,
        "samples": list(seen.samples),
        "thumb": clip.thumb if clip and seen.thumb else None,
        **own("thumb_width", "thumb_height"),
    }


def _fault(code: str, words: str) -> dict[str, str]:
    old = {"old_code": OLD_CODES[code]} if code in OLD_CODES else {}
    return {"code": code, **old, "words": printable(words)}


def _summary(clips: Sequence[Mapping[str, Any]], findings: Sequence[Finding]) -> dict[str, Any]:
    fractions = [finding.moving_fraction for finding in findings]
    mean = mean_moving_fraction([known for known in fractions if known is not None])
    moving = None if mean is None else round(mean, 4)
    counted = Counter(code for clip in clips for code in {f["code"] for f in clip["faults"]})
    return {
        "clips": len(clips),
        "good": sum(clip["level"] == GOOD for clip in clips),
        "seconds": round(sum(finding.seconds or 0.0 for finding in findings), 3),
        "moving_fraction": moving,
        "hot": moving,  # the earlier name, for one more release
        "by_fault": {code: counted[code] for code in FAULTS if counted[code]},
        "trained_samples": sum(finding.sample_count for finding in findings),
        "trained_frames": sum(finding.trained_frames for finding in findings),
    }
