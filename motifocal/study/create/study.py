"""Create a study: one database with videos, rules and order, from results and a protocol.

It is planned first (which videos, which sides, in which order, which gold items), from a seed; then
all videos are encoded and the whole is written at once, under a name that does not exist yet.
"""

from __future__ import annotations

import random
import secrets
import string
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from motifocal.bench.results import Results
from motifocal.bench.run import versions
from motifocal.generate.model import Format
from motifocal.study.create import encoding, matching
from motifocal.study.create.encoding import Layout, Progress, RealItem
from motifocal.study.create.gold_videos import Damaged, choose_gold
from motifocal.study.create.matching import Group, Reconcile
from motifocal.study.create.writing import check_free, write_study
from motifocal.study.protocol import Protocol, read_protocol
from motifocal.study.schedule import sides
from motifocal.study.store.database import parse_url
from motifocal.study.votes import GOLD_NAMES, REPEAT

MOST_GOLD = 50  # items of one kind
CODE_LENGTH = 8


def _silent(progress: str, done: int, total: int) -> None:
    pass


def create_study(
    url: str | Path, a: Results, bs: Sequence[Results], protocol: Protocol, *, seed: int = 0,
    reconcile: Reconcile = matching.AS_THEY_ARE, crf: int = encoding.CRF,
    progress: Progress = _silent, tokens: Callable[[], str] = secrets.token_urlsafe,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Layout:  # fmt: skip
    """Create the study that compares `a` with each of `bs`, whole or not at all.

    `url` is a file that does not exist, or a PostgreSQL URL whose database holds no study. The
    same seed gives the same layout: sides, order, gold. What annotators see stays random unless
    `tokens` (names of media) and `random_bytes` (padding) are given. `progress` is told what is
    done, how far, of how much.

    Raises ValueError for what `lay_out` refuses and where there is something at `url`.
    """
    place = parse_url(url)
    check_free(place)
    layout = lay_out(a, bs, protocol, seed=seed, reconcile=reconcile, crf=crf, progress=progress)
    write_layout(place, layout, seed=seed, progress=progress, tokens=tokens,
                 random_bytes=random_bytes)
    return layout


def write_layout(
    place: URL, layout: Layout, *, seed: int, progress: Progress = _silent,
    tokens: Callable[[], str] = secrets.token_urlsafe,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> None:  # fmt: skip
    """Encode the videos of a layout and write all of it."""
    rng = random.Random(f"{seed} writing")
    write_study(place, layout, encoding.encoded_videos(layout, rng, random_bytes, progress),
                encoding.encoded_images(layout, rng), tokens)


def lay_out(
    a: Results, bs: Sequence[Results], protocol: Protocol, *, seed: int = 0,
    reconcile: Reconcile = matching.AS_THEY_ARE, crf: int = encoding.CRF,
    progress: Progress = _silent,
) -> Layout:  # fmt: skip
    """Decide everything about a study that compares `a` with each of `bs`.

    Raises ValueError where the sets of videos differ and `reconcile` does not say what to do (see
    `matching`), and where gold items of a kind cannot be made of these videos.
    """
    groups = matching.match_results(a, bs, common=reconcile.common)
    models = tuple(results.model for results in (a, *bs))
    measured = matching.measure_formats(models, groups, reconcile,
                               lambda done: progress("looking at videos", done, len(groups)))
    progress("choosing gold items", 0, 1)
    gold = _gold(protocol, groups, len(models), reconcile, random.Random(f"{seed} gold"))
    progress("choosing gold items", 1, 1)
    protocol = _fill_protocol(protocol, measured)
    items = _items(protocol.votes, len(groups), len(bs), random.Random(f"{seed} order"))
    material = {
        "benchmark": a.benchmark.title,
        "mark": _mark(a, groups),
        "models": {results.model: dict(results.settings) for results in (a, *bs)},
        "pairs": len(groups),
        "formats": [asdict(format_) for format_ in sorted(set(measured), key=repr)],
        "reconciled": asdict(reconcile),
        "crf": crf,
        "seed": seed,
        "wording_sha256": protocol.wording_digest(),
        "versions": versions(),
    }
    return Layout(protocol, models, tuple(groups), tuple(measured), tuple(items), tuple(gold),
                reconcile, crf, material)


def _gold(
    protocol: Protocol, groups: Sequence[Group], models: int, reconcile: Reconcile,
    rng: random.Random,
) -> list[Damaged]:  # fmt: skip
    """Choose gold items, enough of each kind that no annotator runs out of them."""
    if not protocol.gold_every:
        return []
    kinds = [kind for kind in protocol.gold_kinds if kind != REPEAT]
    seen = -(-protocol.cap // (protocol.gold_every - 1))  # by one annotator, rounded up
    per_kind = min(-(-seen // len(protocol.gold_kinds)) + 2, MOST_GOLD)

    def read(group: int, model: int) -> Any:
        return matching.load_clip(groups[group].videos[model], reconcile)[0]

    gold = choose_gold(groups, kinds, per_kind, models, read, rng)
    lacking = [GOLD_NAMES[kind] for kind in kinds
               if kind not in {damaged.kind for damaged in gold}]
    if lacking:
        left = [GOLD_NAMES[kind] for kind in protocol.gold_kinds
                if GOLD_NAMES[kind] not in lacking]
        raise ValueError(f"no gold item of the kind {' or '.join(lacking)} can be made of these "
                         "videos (they hardly move, or no image has two prompts); --gold "
                         f"{','.join(left) or 'none'} leaves it out")
    return gold


def _items(votes: int, groups: int, baselines: int, rng: random.Random) -> list[RealItem]:
    """Return all items in random order. At an odd number of votes every other pair has one more
    with the first model on the left; which begins is drawn for each comparison."""
    items = []
    for baseline in range(1, baselines + 1):
        first = rng.randrange(2)
        items += [
            RealItem(baseline, group, sides(votes, a_more=(group + first) % 2 == 1, order=rng))
            for group in range(groups)
        ]
    rng.shuffle(items)
    return items


def _fill_protocol(protocol: Protocol, measured: Sequence[Format]) -> Protocol:
    """Fill in what the protocol leaves open: random codes, and the time that one loop of the
    longest video takes."""
    letters = string.ascii_uppercase + string.digits
    filled: dict[str, Any] = {
        name: "".join(secrets.choice(letters) for _ in range(CODE_LENGTH))
        for name in ("completion_code", "screen_out_code") if not getattr(protocol, name)
    }
    if protocol.least_seconds is None:
        loop = max(round(format_.frames / format_.fps, 3) for format_ in measured)
        filled["least_seconds"] = min(loop, protocol.lease_seconds / 2)
    return read_protocol({**protocol.model_dump(mode="json"), **filled})


def _mark(a: Results, groups: Sequence[Group]) -> str:
    """Return what every output of a part of a benchmark says of itself; "" for the whole."""
    pairs = tuple({group.pair.stem: group.pair for group in groups}.values())
    parts = [a.benchmark.subset] if a.benchmark.subset else []
    if len(pairs) < len(a.benchmark.pairs):
        parts.append("those that all models have")
    return replace(a.benchmark, pairs=pairs, subset=", ".join(parts)).mark
