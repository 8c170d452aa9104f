"""Write a static page that shows the videos of several models side by side.

H W pixels. The page works from a disk and from any static host: all addresses are relative, and
nothing is fetched from elsewhere. The same results give the same bytes.
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from motifocal.bench.gallery.folder import claim_files, place, settle_files
from motifocal.bench.pairs import Benchmark, Pair, counts
from motifocal.bench.results import Results
from motifocal.files.atomic import write_text
from motifocal.media.codec import FINE_CRF, stream_format
from motifocal.media.video import read_video, write_video

PAGE = Path(__file__).with_name("page")
COPIED = ("style.css", "in_step.js", "view.js", "card.js", "playing.js", "gallery.js",
          "icon.svg")
# .nojekyll: GitHub Pages would otherwise leave out files whose names begin with "_".
WRITTEN = (".nojekyll", "data.js", "index.html")

MISSING, NOT_IN_RUN, UNREADABLE = "missing", "not in its run", "cannot be read"
# What every browser decodes: other codecs and 4:4:4 colour play in some or in none.
PLAYED = {("h264", "yuv420p"), ("h264", "yuvj420p")}


@dataclass(frozen=True)
class Tile:
    """One place on the page: the video of a model, or in `missing_reason` why there is none."""

    model: str
    pair: Pair
    seed: int
    source: Path | None
    missing_reason: str = ""


@dataclass(frozen=True)
class Gallery:
    """The content of a page: every pair of every model; `models` maps names to results in order.

    `marks` say which part of a benchmark this is; there are none where it is all of it.
    """

    title: str
    marks: tuple[str, ...]
    pairs: tuple[Pair, ...]
    models: Mapping[str, Results]
    seeds: tuple[int, ...]

    def tiles(self) -> list[Tile]:
        """Return all places, pair by pair, seed by seed, model by model."""
        expected = {name: {(video.pair.stem.casefold(), video.seed): video.path
                           for video in results.expected()}
                    for name, results in self.models.items()}
        tiles = []
        for pair in self.pairs:
            for seed in self.seeds:
                for name, paths in expected.items():
                    path = paths.get((pair.stem.casefold(), seed))
                    there = path is not None and path.exists()
                    missing_reason = "" if there else NOT_IN_RUN if path is None else MISSING
                    tiles.append(Tile(name, pair, seed, path if there else None, missing_reason))
        return tiles


def compare_results(
    results: Sequence[Results], *, title: str | None = None, limit: int | None = None
) -> Gallery:
    """Put results next to each other; `title` is the benchmark's unless given.

    The pairs are all that any model was asked for, in the order of the first that was, or the
    first `limit` of them. Models of one name are told apart by their folders.

    Raises ValueError for no results, for different benchmarks, the same folder twice, and a limit
    below 1.
    """
    titles = {result.benchmark.title: result for result in results}
    if len(titles) != 1:
        listed = " and ".join(f"{name} ({result.model})" for name, result in titles.items())
        raise ValueError(f"results should be of one benchmark, got {listed or 'none'}")
    if limit is not None and limit < 1:
        raise ValueError(f"limit should be at least 1, got {limit}")
    union = {pair.stem.casefold(): pair for result in reversed(results)
             for pair in result.benchmark.pairs}
    order = dict.fromkeys(pair.stem.casefold() for result in results
                          for pair in result.benchmark.pairs)
    whole = tuple(union[stem] for stem in order)
    pairs = whole[:limit]
    models = dict(zip(_names(results), results, strict=True))
    seeds = tuple(sorted({seed for result in results for seed in result.seeds}))
    limited = f"the first {limit}" if len(pairs) < len(whole) else ""
    return Gallery(title or results[0].benchmark.title, _marks(models, pairs, limited), pairs,
                   models, seeds)


def _names(results: Sequence[Results]) -> list[str]:
    """Return the models' names, with the folder's where several share one."""
    times = Counter(result.model for result in results)
    names = [result.model if times[result.model] == 1 else f"{result.model} ({result.folder.name})"
             for result in results]
    doubled = [name for name, count in Counter(names).items() if count > 1]
    if doubled:
        raise ValueError(f"models should differ in name or folder, got {doubled[0]} twice")
    return names


def _marks(models: Mapping[str, Results], pairs: tuple[Pair, ...], limited: str) -> tuple[str, ...]:
    """Return one mark where all models have the same pairs, else one for each that has a part."""
    parts = [result.benchmark for result in models.values()]

    def mark(part: Benchmark) -> str:
        subset = ", ".join(filter(None, (part.subset, limited)))
        return replace(part, pairs=pairs, subset=subset).mark

    if len({part.digest() for part in parts}) == 1:
        return tuple(filter(None, [mark(parts[0])]))
    marks = [f"{name}: {part.mark}" for name, part in zip(models, parts, strict=True) if part.mark]
    return (*marks, mark(replace(parts[0], subset=""))) if limited else tuple(marks)


def write_gallery(gallery: Gallery, folder: Path, *, link: bool = True) -> Iterator[Tile]:
    """Write the page and what it shows into `folder`, or bring the gallery there up to date.

    Yields every tile once it is settled; the page is complete when all were taken. With `link`
    videos are hard links where the file system has them; what browsers do not play (see PLAYED)
    is encoded as H.264. Files that are not the gallery's own stay as they are.

    Raises ValueError for a folder that is neither empty nor a gallery, and where a file that is
    not its own would have to be replaced.
    """
    slugs = _slugs(gallery.models)
    images = _images(gallery)
    tiles = gallery.tiles()
    targets = {tile: f"videos/{slugs[tile.model]}/{tile.pair.file(tile.seed)}"
               for tile in tiles if tile.source is not None}
    claim_files(folder, {*COPIED, *WRITTEN, *targets.values(), *images})
    for target, source in images.items():
        place(source, folder / target, link=link)
    addresses, formats = dict(targets), dict[str, VideoFormat]()
    for tile in tiles:
        measured = None
        if tile.source is not None:
            measured = _place_video(tile, folder / targets[tile], link)
        if measured is not None:
            formats.setdefault(tile.model, measured)
        elif addresses.pop(tile, None) is not None:
            tile = replace(tile, missing_reason=UNREADABLE)
        yield tile
    data = _data(gallery, tiles, addresses, set(images), formats)
    _write_page(folder, gallery, data)
    settle_files(folder, {*COPIED, *WRITTEN, *addresses.values(), *images})


def _slugs(names: Mapping[str, Results]) -> dict[str, str]:
    """Return plain folder names for the models, all different."""
    slugs: dict[str, str] = {}
    for name in names:
        plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "model"
        number = 1
        slug = plain
        while slug in slugs.values():
            number += 1
            slug = f"{plain}-{number}"
        slugs[name] = slug
    return slugs


def _images(gallery: Gallery) -> dict[str, Path]:
    """Map names on the page to files: each image as the first model that has it saw it."""
    images: dict[str, Path] = {}
    for pair in gallery.pairs:
        for result in gallery.models.values():
            if result.image(pair).exists():
                images.setdefault(_image_name(pair), result.image(pair))
    return images


def _image_name(pair: Pair) -> str:
    return f"pictures/{pair.image_id}.png"


@dataclass(frozen=True)
class VideoFormat:
    """A video's pixels and frames per second, which the page needs before it loads."""

    width: int
    height: int
    fps: float


def _place_video(tile: Tile, target: Path, link: bool) -> VideoFormat | None:
    """Put one video in place; return its format, or None where it cannot be read."""
    assert tile.source is not None
    try:
        measured, played = _probe_video(tile.source)
        if not played:
            clip = read_video(tile.source)
    except ValueError:  # the tile says so, and the command counts them
        return None
    if played:
        place(tile.source, target, link=link)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_video(target, clip.frames, clip.fps, crf=FINE_CRF)
    return measured


def _probe_video(path: Path) -> tuple[VideoFormat, bool]:
    """Return a video's format, and whether every browser plays it; decode no frame."""
    form = stream_format(path)
    fps = float(form.guessed_rate or form.average_rate or 25)
    played = "mp4" in form.container and (form.codec, form.pixel_format) in PLAYED
    return VideoFormat(form.width, form.height, fps), played


def _data(
    gallery: Gallery, tiles: Sequence[Tile], addresses: Mapping[Tile, str], images: set[str],
    formats: Mapping[str, VideoFormat],
) -> dict[str, Any]:  # fmt: skip
    """Return the data of the page's script as JSON values."""
    per_pair: dict[Pair, dict[int, list[dict[str, str]]]] = {}
    for tile in tiles:
        cell = ({"address": quote(addresses[tile])} if tile in addresses
                else {"lacks": tile.missing_reason or UNREADABLE})
        per_pair.setdefault(tile.pair, {}).setdefault(tile.seed, []).append(cell)
    pairs = [{"key": pair.stem, "scenario": pair.scenario, "image": pair.image_id,
              "prompt": pair.prompt,
              "picture": quote(_image_name(pair)) if _image_name(pair) in images else None,
              "videos": list(seeds.values())}
             for pair, seeds in per_pair.items()]
    expected = Counter(tile.model for tile in tiles if tile.missing_reason != NOT_IN_RUN)
    there = Counter(tile.model for tile in addresses)
    models = [{"name": name, "lacking": expected[name] - there[name]}
              | (vars(formats[name]) if name in formats else {}) for name in gallery.models]
    return {"title": gallery.title, "marks": list(gallery.marks), "counts": counts(gallery.pairs),
            "videos": expected.total(), "lacking": expected.total() - len(addresses),
            "seeds": list(gallery.seeds), "models": models, "pairs": pairs}


def _write_page(folder: Path, gallery: Gallery, data: Mapping[str, Any]) -> None:
    """Write the page, its data, style and scripts; the page itself last."""
    # ASCII, and no "<" that could end a script or begin a comment wherever the text ends up.
    text = json.dumps(data, indent=0, separators=(",", ":")).replace("<", "\\u003c")
    write_text(folder / "data.js", f'"use strict";\nconst GALLERY = {text};\n')
    for name in COPIED:
        write_text(folder / name, (PAGE / name).read_text(encoding="utf-8"))
    write_text(folder / ".nojekyll", "")
    page = Template((PAGE / "index.html").read_text(encoding="utf-8"))
    names = ", ".join(gallery.models)
    write_text(folder / "index.html", page.substitute(
        title=html.escape(gallery.title),
        description=html.escape(f"{len(gallery.pairs)} pairs, videos of {names}")))
