"""A gallery of four models, and what tests in Chromium ask its page."""

from __future__ import annotations

import functools
from pathlib import Path

from tiny_gallery import HOSTILE, results_of

from motifocal.bench.gallery.page import compare_results, write_gallery
from motifocal.bench.pairs import Pair

RISES = Pair("balloon", "balloon_1", "the balloon rises")
DIPS = Pair("balloon", "balloon_1", "the blue balloon dips down")
SWIMS = Pair("duck", "duck1", "the duck swims to the left")
SHOWN_PAIRS = (RISES, DIPS, SWIMS, HOSTILE)
LOADED = "cards[0].row && cards[0].row.sound.every(({ video }) => video.readyState === 4)"
PLAYS = f"{LOADED} && cards[0].row.time > 0.1"
TIMES = "cards[0].row.members.map(({ video }) => video.currentTime)"


def site_of(home: Path, models: dict[str, dict[Pair, Path | None]], seeds: tuple[int, ...]) -> Path:
    """A site with the folder gallery/, from every model's video of every pair."""
    results = [results_of(home / f"results{number}", model, tuple(videos),
                          functools.partial(lambda held, pair, seed: held[pair], videos),
                          seeds=seeds, total=9, subset="scenarios balloon")
               for number, (model, videos) in enumerate(models.items())]
    list(write_gallery(compare_results(results, title="Some models"), home / "site" / "gallery"))
    return home / "site"


def address_of(gallery_site: Path) -> str:
    return (gallery_site / "gallery" / "index.html").as_uri()
