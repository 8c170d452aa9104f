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
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from motifocal.bench.pair_tables import read_rows
from motifocal.bench.pairs import SCENES, Benchmark, Pair, check_id
from motifocal.files.atomic import write_text
from motifocal.files.csv_text import csv_text
from motifocal.files.json_lines import read_lines
from motifocal.files.json_text import parse_json
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
    """Read what a folder of results says of itself. Raise ValueError where it is none."""
    path = folder / RUN
    if not path.exists():
        raise ValueError(f"{folder} should hold {RUN}, as motifocal bench run and ingest write it")
    try:
        run = parse_json(path.read_text(encoding="utf-8"))
        run = _upgraded(run)
        title, total, subset = run["benchmark"], run["pairs_total"], run["subset"]
        model, settings, seeds = run["model"], run["settings"], tuple(run["seeds"])
        digest = run["pairs_sha256"]
        form = Format(**run["format"]) if run["format"] else None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} should be as motifocal bench writes it: {error!r}") from error
    benchmark = Benchmark(title, _read_pairs(folder), total, subset)
    if benchmark.digest() != digest:
        raise ValueError(f"{folder / PAIRS} should hold the pairs that {RUN} was written for")
    return Results(folder, model, settings, benchmark, seeds, form)


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
    lock_settings(results.folder / RUN, parse_json(json.dumps(run)), upgrade=_upgraded)
    write_text(results.folder / PAIRS, csv_text(
        ["scenario", "image_id", "prompt"],
        ([pair.scenario, pair.image_id, pair.prompt] for pair in benchmark.pairs)))
    for name in ("videos", "pictures"):
        (results.folder / name).mkdir(exist_ok=True)


def _upgraded(run: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the names that the benchmark, its part and they have now."""
    title, subset, settings = run.get("benchmark"), run.get("subset"), run.get("settings")
    now = dict(run)
    if title in EARLIER_TITLES:
        now["benchmark"] = EARLIER_TITLES[title]
    if isinstance(subset, str):
        now["subset"] = subset.replace("those with a picture", "those with an image")
    if isinstance(settings, dict):
        now["settings"] = {EARLIER_SETTINGS.get(name, name): value
                           for name, value in settings.items()}
    return now


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
