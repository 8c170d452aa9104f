"""What tests of the page of `motifocal inspect` ask it, and on which screen."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
SHOWN = "grid.shown.map((place) => CLIPS[place].name)"
CARDS = "document.querySelectorAll('.card:not(.probe)').length"
FOCUSED = "CLIPS[Number(document.activeElement.closest('.card')?.dataset.place)]?.name"
MANY = 10_000


def names(page: Page) -> list[str]:
    found: list[str] = page.evaluate(SHOWN)
    return found


def chip(page: Page, name: str) -> Any:
    return page.locator("#faults").get_by_role("button", name=name)
