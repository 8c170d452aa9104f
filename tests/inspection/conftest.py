"""Fixtures that several tests of the page of `motifocal inspect` use."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from doctor_report import FAULTS, clip, report

from motifocal.inspection.page import write_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WORDS = ("balloon", "duck", "rises", "swims", "blue", "red", "the", "left")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of 12 clips of every kind, with their thumbnails."""
    folder = tmp_path_factory.mktemp("few")
    return write_page(report(folder), folder).as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    from browser import opened  # loads Playwright
    from inspect_page import DESKTOP

    with opened(browser, address, **DESKTOP) as page:
        yield page


@pytest.fixture(scope="module")
def long_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of 10 000 clips that share a few thumbnails."""
    from inspect_page import MANY

    folder = tmp_path_factory.mktemp("many")
    values = report(folder)
    thumbs = [one["thumb"] for one in values["clips"] if one["thumb"]]
    rng = random.Random(0)
    values["clips"] = [drawn(rng, number, thumbs) for number in range(MANY)]
    codes = [{fault["code"] for fault in one["faults"]} for one in values["clips"]]
    values["summary"] |= {"clips": MANY, "good": sum(not one for one in codes), "by_fault": {
        code: sum(code in one for one in codes) for code in FAULTS}}
    return write_page(values, folder).as_uri()


def drawn(rng: random.Random, number: int, thumbs: list[str]) -> dict[str, Any]:
    """A clip with a long caption and, now and then, faults."""
    faults = [(code, "some words about it") for code in FAULTS if rng.random() < 0.05]
    words = " ".join(rng.choices(WORDS, k=30))
    return clip(f"part {number // 500}/clip {number}.mp4", *faults,
                moving_fraction=rng.random() ** 2,
                motion=rng.expovariate(0.05), camera=rng.expovariate(0.2),
                seconds=rng.uniform(2, 20), caption=words, thumb=rng.choice(thumbs))
