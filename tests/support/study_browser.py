"""The study served to Chromium, and what annotators do on its pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser import until
from drawn_study import SCENARIOS, drawn_study
from playwright.sync_api import Page
from script_module import module_at
from study_client import TOKEN

from motifocal.study.store.store import Store

DESKTOP = {"viewport": {"width": 1280, "height": 800}}
HOSTILE = "<img src=x onerror='window.hacked = 1'> </script> & \"so\""
listening = module_at(Path(__file__).parents[2] / "scripts" / "study_pictures.py").listening
STEP = "(typeof comparison === 'object' && comparison.step)"


def calm(page: Page) -> None:
    """Wait until all that is loaded ahead is there: leaving the page would break it off."""
    until(page, "comparison.task.upcoming.every((name) => location.protocol === 'file:' || "
                "performance.getEntriesByType('resource').some(({ name: address }) => "
                "address.endsWith(name)))")


def answer_by_keys(page: Page, choice: str, *reasons: str) -> None:
    until(page, f"{STEP} === 'choose'")
    place = page.locator("#place").inner_text()
    page.keyboard.press(choice)
    assert page.evaluate("document.activeElement.id") == "chosen"
    for reason in reasons:
        page.keyboard.press(reason)
    page.keyboard.press("Enter")
    moved_on(page, place)


def moved_on(page: Page, place: str) -> None:
    """Wait for the comparison after the one at `place`, "2 of 5", or for the last page."""
    number, _, of = place.partition(" of ")
    if number == of:
        page.wait_for_url("**/end")
    else:
        until(page, f"document.getElementById('place').textContent !== '{place}'")


@contextmanager
def listening_study(folder: Path) -> Iterator[tuple[str, Store]]:
    """Serve a study of five scenarios, one of whose prompts is hostile; its address and store."""
    check = [{"question": "What counts?", "answers": ["small faults", "the whole"], "right": 1}]
    rules = {"votes": 9, "ties": True, "check": check}
    store = drawn_study(folder, scenarios=SCENARIOS[:5], sentences={"fish": HOSTILE}, size=128,
                        frames=4, protocol=rules)
    with store, listening(store, TOKEN) as address:
        yield address, store


def begin(page: Page, step: str = "choose") -> None:
    """Consent, check, first comparison."""
    page.get_by_role("button", name="I agree").click()
    page.get_by_label("the whole").check()
    page.get_by_role("button", name="Check my answers").click()
    page.wait_for_url("**/compare")
    until(page, f"{STEP} === '{step}'")
