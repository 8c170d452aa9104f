"""The page of `motifocal inspect` in Chromium: a clip's thumbnail, overlay, samples and details."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from browser import opened, served, until
from doctor_report import FAULTS, report
from inspect_page import DESKTOP, FOCUSED, names
from playwright.sync_api import Browser, Page

from motifocal.inspection.page import write_page

pytestmark = pytest.mark.slow

# Where the window on a card's cells stands, in cells: [column, row].
CELL = """(card) => {
  const [window, image] = [card.querySelector('.sprite'), card.querySelector('img')]
    .map((one) => one.getBoundingClientRect());
  return [Math.round((window.left - image.left) / window.width),
          Math.round((window.top - image.top) / window.height)];
}"""


def test_thumbnails_load_from_a_web_site_too(browser: Browser, tmp_path: Path) -> None:
    write_page(report(tmp_path), tmp_path)
    with served(tmp_path) as host, opened(browser, f"{host}/inspect.html", **DESKTOP) as page:
        until(page, "[...document.images].filter((one) => one.naturalWidth).length === 11")


def test_a_thumbnail_that_is_gone_leaves_words_in_its_place(
    browser: Browser, tmp_path: Path
) -> None:
    values = report(tmp_path)
    (tmp_path / values["clips"][0]["thumb"]).write_bytes(b"cut off")
    with opened(browser, write_page(values, tmp_path).as_uri(), **DESKTOP) as page:
        card = page.locator(".card:not(.probe)", has_text="good.mp4")
        assert card.locator(".lacks").inner_text() == "no image"
        card.click()
        assert page.locator("#details-body .lacks").inner_text() == "no image"


def test_hover_and_focus_show_where_it_is_hot_and_play(page: Page) -> None:
    card = page.locator(".card:not(.probe)", has_text="good.mp4")
    image = card.locator("img")
    until(page, "document.querySelector('.card img').naturalWidth === 640")
    assert card.evaluate(CELL) == [0, 0]
    card.hover()
    assert card.evaluate(CELL)[1] == 1
    image.evaluate("(one) => one.getAnimations()[0].pause()")
    for cell, time in enumerate((100, 500, 900, 1300)):  # ms
        image.evaluate("(one, time) => { one.getAnimations()[0].currentTime = time; }", time)
        assert card.evaluate(CELL) == [cell, 1]
    page.mouse.move(0, 0)
    until(page, f"({CELL})(grid.cards.get(PLACE.get('good.mp4')))[1] === 0")
    assert image.evaluate("(one) => one.getAnimations().length") == 0
    page.locator("#clips").focus()
    page.get_by_role("button", name="Overlays").focus()
    for _ in range(3):  # names are copied and saved in between
        page.keyboard.press("Tab")
    first = page.evaluate(FOCUSED)
    assert first == names(page)[0]
    focused = page.locator(".card:focus-within")
    assert focused.evaluate(CELL)[1] == 1
    assert focused.locator("img").evaluate("(one) => one.getAnimations().length") == 1


def test_whoever_asked_for_less_motion_sees_overlays_that_stand(
    browser: Browser, address: str
) -> None:
    with opened(browser, address, **DESKTOP, reduced_motion="reduce") as page:
        card = page.locator(".card:not(.probe)", has_text="good.mp4")
        card.hover()
        assert card.evaluate(CELL) == [0, 1]
        assert page.evaluate("document.getAnimations().length") == 0
        page.mouse.move(0, 0)
        page.get_by_role("button", name="Overlays").click()
        rows = page.evaluate(f"""[...grid.cards.values()]
          .filter((card) => card.querySelector('img')).map((card) => ({CELL})(card)[1])""")
        assert len(rows) == 11
        assert set(rows) == {1}


def test_details_tell_all_that_is_known_of_a_clip(page: Page) -> None:
    page.locator(".card:not(.probe)", has_text="cut.mp4").click()
    details = page.get_by_role("dialog", name="cut.mp4")
    text = details.inner_text()
    for words in ("The blue balloon dips down.", "Cut inside: cut at frame 40 (1.67 s)",
                  FAULTS["cut"]["help"], "2 samples: 0-80, 81-161. 78 frames in none. Cut at 40",
                  "1280 × 720", "23.976 frames/s on average, variable", "1.2 MB",
                  "12 % of the frame"):
        assert words in text, words
    bars = details.locator(".taken").evaluate_all(
        "(all) => all.map((one) => [one.x, one.width].map((held) => held.baseVal.value))")
    assert bars == [[0, 81], [81, 81]]
    assert details.locator(".timeline").get_attribute("viewBox") == "0 0 240 10"
    assert details.locator(".cut").evaluate_all(
        "(all) => all.map((one) => one.x1.baseVal.value)") == [40]
    until(page, "document.querySelector('.sheet img').naturalWidth === 640")
    page.keyboard.press("Escape")
    assert details.is_hidden()
    assert page.evaluate(FOCUSED) == "cut.mp4"


@pytest.mark.parametrize(("sample", "bars"), [
    ("7", [[7, 1]]), ("0-6 in steps of 3", [[0, 1], [3, 1], [6, 1]]), ("81 of 4-99", [[4, 96]]),
    ("what <b>is</b> this", [])])
def test_exactly_the_frames_of_a_sample_are_drawn(
    page: Page, sample: str, bars: list[list[int]]
) -> None:
    held = page.evaluate("""(sample) => {
      fillDetails({ ...CLIPS[0], samples: [sample] }, 0, 12);
      return [...document.querySelectorAll('.taken')].map((one) =>
        [one.x.baseVal.value, one.width.baseVal.value]);
    }""", sample)
    assert held == bars
    part = "" if bars else ", of which 0 are drawn"
    assert f"1 sample{part}: {sample}" in (page.locator("#details-body").text_content() or "")


def test_samples_that_are_not_named_are_counted(page: Page) -> None:
    page.evaluate("""
      fillDetails({ ...CLIPS[0], samples: ["0-9", "1-10", "and 998 more"] }, 0, 12)""")
    text = page.locator("#details-body").text_content() or ""
    assert "1,000 samples, of which 2 are drawn: 0-9, 1-10, and 998 more" in text
    assert "in none" not in text  # nobody knows


def test_samples_that_overlap_lie_in_lanes(page: Page) -> None:
    lanes = page.evaluate("""inLanes([[0, 80], [40, 120], [81, 161], [100, 180]]
      .map(([first, last]) => ({ first, last, step: 1 }))).laid.map(({ lane }) => lane)""")
    assert lanes == [0, 1, 0, 2]


def test_duplicates_lead_to_each_other(page: Page) -> None:
    page.locator(".card:not(.probe)", has_text="again.mp4").click()
    page.get_by_role("dialog", name="again.mp4").get_by_role("link", name="good.mp4").click()
    other = page.get_by_role("dialog", name="good.mp4")
    assert "Shown again by" in other.inner_text()
    other.get_by_role("link", name="again.mp4").click()
    assert page.get_by_role("dialog", name="again.mp4").is_visible()


def test_the_keyboard_walks_the_grid_and_the_details(page: Page) -> None:
    page.keyboard.press("/")
    page.keyboard.type("mp4")
    page.locator(".card:not(.probe) button").first.focus()
    order = names(page)
    columns = page.evaluate("grid.columns")
    assert columns > 3
    place = 0
    for key, step in (("ArrowRight", 1), ("ArrowDown", columns), ("ArrowLeft", -1), ("End", 99),
                      ("ArrowUp", -columns), ("Home", -99), ("ArrowLeft", -1)):
        page.keyboard.press(key)
        place = min(max(place + step, 0), len(order) - 1)
        assert page.evaluate(FOCUSED) == order[place], key
        assert page.locator(".card button[tabindex='0']").count() == 1
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog", name=order[0]).is_visible()
    assert page.get_by_role("button", name="Previous clip").is_disabled()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("dialog", name=order[2]).is_visible()
    page.keyboard.press("Escape")
    # The browser gives the focus back to the card that was opened, then the page moves it on.
    until(page, f"({FOCUSED}) === {json.dumps(order[2])}")
