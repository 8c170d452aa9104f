"""Read the pairs of a benchmark from a folder of images and a table of prompts, and check them.

A pair is one image and one prompt. The folder has TI2V-Bench's layout: `pairs.csv` (or .json,
.jsonl) and `images/<image id>.png`. Ids may hold `_`, so a video's name is matched against the
pairs and never taken apart.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from motifocal.bench.layouts import TABLES, layout_of
from motifocal.bench.pair_tables import read_rows
from motifocal.files.json_text import parse_json_at
from motifocal.files.names import composed, slug

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
LONGEST_NAME = 255  # bytes that file systems allow for one name
SEED_ROOM = len("_4294967295.mp4")
TI2V_BENCH = "TI2V-Bench"
SCENES = "synthetic scenes"
WITH_IMAGE = "with-image"  # the part of a benchmark whose images are there
#: What the paper says TI2V-Bench holds.
PAPER = {"scenarios": 22, "images": 88, "prompts": 133, "pairs": 320}


@dataclass(frozen=True)
class Pair:
    """An image to animate, and the prompt that says how. `image` is a file, or None.

    `theirs` is what the benchmark's own tools call the video, without suffix, "" for `stem`.
    """

    scenario: str
    image_id: str
    prompt: str
    image: Path | None = None
    theirs: str = ""

    @property
    def stem(self) -> str:
        """The video's name without its seed: `<image id>_<prompt as a slug>`."""
        return f"{self.image_id}_{slug(self.prompt)}"

    def file(self, seed: int = 0) -> str:
        """Return the name of this pair's video for one sampling seed, as in TI2V-Bench."""
        return f"{self.stem}_{seed}.mp4"

    def required_image(self) -> Path:
        """Return the file of the image. Raise ValueError where there is none."""
        if self.image is None:
            raise ValueError(f"{self.image_id} should have an image, got none")
        return self.image


@dataclass(frozen=True)
class Benchmark:
    """Pairs in the order of their table.

    `title` says which benchmark, `total` how many pairs the whole of it has, and `subset` which
    part of it this is: "" for all of it, else a phrase that every output repeats.
    """

    title: str
    pairs: tuple[Pair, ...]
    total: int
    subset: str = ""

    @property
    def mark(self) -> str:
        """What every output of a part says of itself; "" for the whole benchmark."""
        if not self.subset:
            return ""
        return f"SUBSET: {len(self.pairs)} of {self.total} pairs of {self.title} ({self.subset})"

    def digest(self) -> str:
        """Return the SHA-256 of the stems, whatever the order, images or titles of the pairs."""
        return hashlib.sha256("\n".join(sorted(p.stem for p in self.pairs)).encode()).hexdigest()


def read_benchmark(
    folder: Path, *, table: Path | None = None, own_pairs: bool = False
) -> Benchmark:
    """Read the benchmark in `folder`: TI2V-Bench, one of `layouts`, exported scenes, own pairs.

    The table is `folder/pairs.csv`, .json or .jsonl, or the file `table`; images lie in
    `folder/images` or in the folder itself. Columns: image_id, prompt, and perhaps scenario and
    file, under any of the names in `pair_tables.ALIASES`.

    Raises ValueError for a table that cannot be read, rows without id or prompt, ids that are no
    file name, doubled pairs, names that collide or pass 255 bytes, and, unless `own_pairs` or the
    folder says that it holds exported synthetic scenes, for counts other than the paper's. An image
    that is missing is no error here (see `subset_of`).
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} should be a folder with pairs.csv and images/")
    layout = layout_of(folder) if table is None else None
    if layout is not None:
        table = folder / layout.table
        rows, images = layout.read(folder, IMAGE_SUFFIXES)
    else:
        table = table or _table_in(folder)
        rows, images = read_rows(table), _images(folder)
    pairs = tuple(_pair(row, images, f"{table}, row {number}")
                  for number, row in enumerate(rows, start=1))
    _check_names(pairs, table)
    drawn = _is_drawn(folder)
    title = TI2V_BENCH if counts(pairs) == PAPER else SCENES if drawn else folder.name
    if layout is not None and layout.cases.items() <= counts(pairs).items():
        return Benchmark(layout.title, pairs, len(pairs))
    if title != TI2V_BENCH and not (drawn or own_pairs):
        raise ValueError(f"{table}: {what_differs(pairs)}; say so if these are pairs of your own "
                         "(--own-pairs)")
    return Benchmark(title, pairs, len(pairs))


def counts(pairs: Sequence[Pair]) -> dict[str, int]:
    """Count the scenarios, images, different prompts and pairs."""
    return {
        "scenarios": len({pair.scenario for pair in pairs}),
        "images": len({pair.image_id for pair in pairs}),
        "prompts": len({pair.prompt for pair in pairs}),
        "pairs": len(pairs),
    }


def what_differs(pairs: Sequence[Pair]) -> str:
    """Say in words where the pairs are not what the paper counts, and where they look cut short.

    In TI2V-Bench the images of one scenario have equally many prompts, so an image with fewer
    than its siblings has lost some.
    """
    numbers = counts(pairs)
    words = [f"{numbers[name]} {name} where {TI2V_BENCH} has {paper_count}"
             for name, paper_count in PAPER.items() if numbers[name] != paper_count]
    per_scenario: dict[str, Counter[str]] = defaultdict(Counter)
    for pair in pairs:
        per_scenario[pair.scenario][pair.image_id] += 1
    for scenario, images in per_scenario.items():
        most = max(images.values())
        short = [f"{image} {number} of {most}" for image, number in images.items() if number < most]
        if short and scenario:
            words.append(f"prompts are missing in {scenario}: {first_few(short)}")
    return ", ".join(words)


def subset_of(
    benchmark: Benchmark, subset: str | None = None, limit: int | None = None
) -> Benchmark:
    """Select a part of a benchmark, and mark it as one.

    `subset` is "with-image" (pairs whose image is there), "scenarios:balloon,fish" or
    "images:balloon1,fish2"; None is all of it. `limit` keeps the first so many.

    Raises ValueError for another word, names that do not occur, a part that is empty, and for
    images that are missing in what is left.
    """
    pairs, parts = list(benchmark.pairs), []
    if subset is not None:
        pairs = _select_pairs(pairs, subset)
        parts.append("those with an image" if subset == WITH_IMAGE
                     else subset.replace(":", " ", 1))
    if limit is not None:
        if limit < 1:
            raise ValueError(f"limit should be at least 1, got {limit}")
        pairs = pairs[:limit]
        parts.append(f"the first {limit}")
    if not pairs:
        raise ValueError(f"{subset!r} leaves none of the {benchmark.total} pairs")
    missing = sorted({pair.image_id for pair in pairs if pair.image is None})
    if missing:
        raise ValueError(
            f"{len(missing)} of {len({p.image_id for p in pairs})} images are missing: "
            f"{first_few(missing)}; --subset {WITH_IMAGE} takes the pairs that have one"
        )
    if len(pairs) == benchmark.total:
        return benchmark
    return replace(benchmark, pairs=tuple(pairs), subset=", ".join(parts))


def check_id(image_id: str, place: str) -> None:
    """Raise ValueError where an image id is no plain file name: it could lead out of a folder."""
    plain = not any(bad in image_id for bad in "/\\\0:") and image_id.isprintable()
    if not plain or image_id[:1] in ("", "."):
        raise ValueError(f"{place}: the image id should be a plain file name, got {image_id!r}")


def _table_in(folder: Path) -> Path:
    tables = [folder / name for name in TABLES if (folder / name).exists()]
    if len(tables) != 1:
        listed = " and ".join(path.name for path in tables) or "none of them"
        raise ValueError(f"{folder} should hold one of pairs.csv, .json, .jsonl, got {listed}")
    return tables[0]


def _images(folder: Path) -> dict[str, Path]:
    """Map image ids, composed, to files. Raise ValueError where two files are of one id."""
    inside = folder / "images" if (folder / "images").is_dir() else folder
    images: dict[str, Path] = {}
    for path in sorted(inside.iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file() and path.name[0] != ".":
            other = images.setdefault(composed(path.stem), path)
            if other != path:
                raise ValueError(f"{inside} should hold one image of {path.stem}, got "
                                 f"{other.name} and {path.name}")
    return images


def _pair(row: Mapping[str, str], images: Mapping[str, Path], place: str) -> Pair:
    image_id = given = row.get("image_id", "")
    if Path(image_id).suffix.lower() in IMAGE_SUFFIXES:
        image_id = Path(image_id).stem
    prompt = " ".join(row.get("prompt", "").split())
    if not image_id or not slug(prompt):
        raise ValueError(f"{place} should have an image id and a prompt, got {dict(row)}")
    check_id(image_id, place)
    # A layout's reader names images as its table does.
    image = images.get(composed(image_id)) or images.get(given)
    pair = Pair(row.get("scenario", ""), image_id, prompt, image, row.get("theirs", ""))
    if len(pair.stem.encode()) + SEED_ROOM > LONGEST_NAME:
        longest = LONGEST_NAME - SEED_ROOM
        raise ValueError(f"{place}: id and prompt should give a name of at most {longest} bytes, "
                         f"got {len(pair.stem.encode())}: {pair.stem[:60]}...")
    file = row.get("file", "")
    if file and file not in (pair.file(), pair.stem):
        raise ValueError(f"{place}: the file should be {pair.file()}, got {file}")
    return pair


def _check_names(pairs: Sequence[Pair], table: Path) -> None:
    """Raise ValueError for no pairs, a pair that is there twice, and two that share a name."""
    if not pairs:
        raise ValueError(f"{table} should hold at least one pair, got none")
    seen: dict[str, Pair] = {}
    doubled, colliding = [], []
    for pair in pairs:
        other = seen.setdefault(pair.stem.casefold(), pair)
        if other is not pair:
            same = (other.image_id, other.prompt) == (pair.image_id, pair.prompt)
            words = f"{pair.image_id}: {pair.prompt!r}"
            if same:
                doubled.append(words)
            else:
                colliding.append(f"{words} and {other.image_id}: {other.prompt!r}")
    if doubled:
        raise ValueError(f"{table}: {len(doubled)} pairs are there twice: {first_few(doubled)}")
    if colliding:
        raise ValueError(f"{table}: names should differ by more than case and punctuation, got "
                         f"{first_few(colliding)}")


def _is_drawn(folder: Path) -> bool:
    """Return whether `motifocal scenes export --kind benchmark` wrote the folder."""
    manifest = folder / "export.json"
    if not manifest.exists():
        return False
    content = parse_json_at(manifest, manifest.read_bytes())
    return isinstance(content, dict) and content.get("kind") == "benchmark"


def _select_pairs(pairs: list[Pair], subset: str) -> list[Pair]:
    if subset == WITH_IMAGE:
        return [pair for pair in pairs if pair.image is not None]
    kind, _, listed = subset.partition(":")
    names = {name.strip() for name in listed.split(",") if name.strip()}
    fields = {"scenarios": "scenario", "images": "image_id"}
    if kind not in fields or not names:
        raise ValueError(f"subset should be {WITH_IMAGE}, scenarios:a,b or images:a,b, got "
                         f"{subset!r}")
    unknown = names - {getattr(pair, fields[kind]) for pair in pairs}
    if unknown:
        raise ValueError(f"subset names {kind} that there are not: {first_few(sorted(unknown))}")
    return [pair for pair in pairs if getattr(pair, fields[kind]) in names]


def first_few(words: Sequence[str], most: int = 8) -> str:
    """Join the first few of a list, and say how many more there are."""
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more
