"""Open and write the folder of one model's videos, with a record of how each was made.

    run.json            the model, its settings, the benchmark and the seeds: decided at the start
    pairs.csv           the pairs that are expected, in order
    pictures/           each image as the model saw it, cropped to its videos' size
    videos/             <image id>_<slug>_<seed>.mp4
    manifest*.jsonl     a line for every video made or failed; a shard has a file of its own
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from motifocal.bench.pair_tables import read_rows
from motifocal.bench.pairs import SCENES, Benchmark, Pair, check_id
from motifocal.files.atomic import write_text
from motifocal.files.csv_text import csv_text
from motifocal.files.json_lines import read_lines
from motifocal.files.json_text import parse_json, read_json_object
from motifocal.files.settings import lock_settings
from motifocal.generate.model import Format

RUN, PAIRS, MANIFEST = "run.json", "pairs.csv", "manifest"
# In results of earlier versions: titles of benchmarks, and names of a model's settings.
EARLIER_TITLES = {"the drawn world": SCENES}
EARLIER_SETTINGS = {"reads_sentence": "reads_prompt"}


@dataclass(frozen=True)
class ExpectedVideo:
    """One video that is expected in a folder of results."""

    pair: Pair
    seed: int
    path: Path


@dataclass(frozen=True)
class Results:
    """One model's videos for a benchmark; `settings` are the model's own, as JSON values."""

    folder: Path
    model: str
    settings: Mapping[str, Any]
    benchmark: Benchmark
    seeds: tuple[int, ...]
    format: Format | None

    def expected(self) -> list[ExpectedVideo]:
        """Return all expected videos, pair by pair and seed by seed."""
        return [ExpectedVideo(pair, seed, self.folder / "videos" / pair.file(seed))
                for pair in self.benchmark.pairs for seed in self.seeds]

    def wanted(self) -> list[ExpectedVideo]:
        """Return `expected()`: the name before, for one more release."""
        warnings.warn("Results.wanted is Results.expected now", DeprecationWarning, stacklevel=2)
        return self.expected()

    def missing(self) -> list[ExpectedVideo]:
        """Return the expected videos that are not there."""
        return [video for video in self.expected() if not video.path.exists()]

    def image(self, pair: Pair) -> Path:
        """Return the image of a pair as the model saw it, (H, W) of its videos."""
        return self.folder / "pictures" / f"{pair.image_id}.png"


def open_results(folder: Path) -> Results:
    """Read what a folder of results says of itself. Raise ValueError where it is none, or where a
    field of its run.json is of another type: seeds, say, become names of files."""
    path = folder / RUN
    if not path.exists():
        raise ValueError(f"{folder} should hold {RUN}, as motifocal bench run and ingest write it")
    run = _upgraded(read_json_object(path))
    for name, (expected, fits) in _FIELDS.items():
        if name not in run or not fits(run[name]):
            got = f"{run[name]!r:.60}" if name in run else "none"
            raise ValueError(f"{path}: {name} should be {expected}, got {got}")
    benchmark = Benchmark(run["benchmark"], _read_pairs(folder), run["pairs_total"], run["subset"])
    if benchmark.digest() != run["pairs_sha256"]:
        raise ValueError(f"{folder / PAIRS} should hold the pairs that {RUN} was written for")
    form = None if run["format"] is None else Format(**run["format"])
    return Results(folder, run["model"], run["settings"], benchmark, tuple(run["seeds"]), form)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_format(value: object) -> bool:
    if not isinstance(value, dict):
        return value is None
    numbers = value.keys() == {"frames", "height", "width", "fps"} and all(
        _is_count(value[name]) for name in ("frames", "height", "width"))
    return numbers and (_is_count(value["fps"]) or isinstance(value["fps"], float))


#: Fields of run.json: what each should be, in words, and whether a value is that.
_FIELDS: dict[str, tuple[str, Callable[[object], bool]]] = {
    "model": ("text", _is_text),
    "benchmark": ("text", _is_text),
    "pairs_total": ("a whole number from 0", _is_count),
    "subset": ("text", _is_text),
    "pairs_sha256": ("text", _is_text),
    "seeds": ("a list of whole numbers from 0", _are_counts),
    "format": ("frames, height, width and fps, or null", _is_format),
    "settings": ("an object", _is_object),
}


def claim_results(results: Results) -> None:
    """Make the folder, or take up one of the same model, settings, pairs and seeds.

    Raises ValueError where the folder was begun with others, saying which.
    """
    benchmark = results.benchmark
    run = {
        "model": results.model,
        "benchmark": benchmark.title,
        "pairs_total": benchmark.total,
        "subset": benchmark.subset,
        "pairs_sha256": benchmark.digest(),
        "seeds": list(results.seeds),
        "format": asdict(results.format) if results.format else None,
        "settings": dict(results.settings),
    }
    _check_same_pairs(results)
    # Through JSON, so that tuples and lists compare equal.
    lock_settings(results.folder / RUN, parse_json(json.dumps(run)),
                  upgrade=lambda stored: _with_negative(_upgraded(stored), results.settings))
    write_text(results.folder / PAIRS, csv_text(
        ["scenario", "image_id", "prompt"],
        ([pair.scenario, pair.image_id, pair.prompt] for pair in benchmark.pairs)))
    for name in ("videos", "pictures"):
        (results.folder / name).mkdir(exist_ok=True)


def _upgraded(run: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the names that the benchmark, its part and they have now."""
    title, subset, settings = run.get("benchmark"), run.get("subset"), run.get("settings")
    now = dict(run)
    if isinstance(title, str) and title in EARLIER_TITLES:
        now["benchmark"] = EARLIER_TITLES[title]
    if isinstance(subset, str):
        now["subset"] = subset.replace("those with a picture", "those with an image")
    if isinstance(settings, dict):
        now["settings"] = {EARLIER_SETTINGS.get(name, name): value
                           for name, value in settings.items()}
    return now


def _with_negative(run: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored run with null where an earlier version said "" for a negative prompt that it
    left to the pipeline, as `settings` do."""
    stored = run.get("settings")
    if (not isinstance(stored, dict) or stored.get("negative_prompt") != ""
            or "empty_negative_prompt" in stored
            or settings.get("negative_prompt", "") is not None):
        return run
    return {**run, "settings": {**stored, "negative_prompt": None}}


def _check_same_pairs(results: Results) -> None:
    """Raise ValueError, in words, where the folder is of other pairs."""
    if not (results.folder / RUN).exists() or not (results.folder / PAIRS).exists():
        return
    before = {pair.stem for pair in _read_pairs(results.folder)}
    now = {pair.stem for pair in results.benchmark.pairs}
    if before == now:
        return
    words = [f"{len(stems)} {kind} ({min(stems)}{', ...' if len(stems) > 1 else ''})"
             for kind, stems in (("new", now - before), ("no longer there", before - now)) if stems]
    raise ValueError(f"{results.folder} was begun with {len(before)} pairs, these are {len(now)}: "
                     f"{', '.join(words)}; choose the same pairs or another folder")


def manifest_lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield all lines of all shards' manifests, without lines that a crash has torn."""
    for path in sorted(folder.glob(f"{MANIFEST}*.jsonl")):
        yield from read_lines(path)


def _read_pairs(folder: Path) -> tuple[Pair, ...]:
    rows = read_rows(folder / PAIRS)
    for row in rows:
        if not {"image_id", "prompt"} <= row.keys():
            raise ValueError(f"{folder / PAIRS} should have the columns image_id and prompt, got "
                             f"{', '.join(row) or 'none'}")
        check_id(row["image_id"], str(folder / PAIRS))
    return tuple(Pair(row.get("scenario", ""), row["image_id"], row["prompt"]) for row in rows)
