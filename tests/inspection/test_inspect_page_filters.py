"""The page of `motifocal inspect` in Chromium: it filters, searches and sorts clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import opened
from doctor_report import FAULTS, clip, report
from inspect_page import DESKTOP, MANY, chip, names
from playwright.sync_api import Browser, Page

from motifocal.inspection.page import write_page

pytestmark = pytest.mark.slow


def test_chips_filter_alone_and_together_and_say_what_they_mean(page: Page) -> None:
    assert len(names(page)) == 12
    chip(page, "Nothing moves").click()
    assert names(page) == ["still.gif"]
    assert page.locator("#helps div:visible").inner_text().split("\n") == [
        "!", "Nothing moves", FAULTS["static"]["help"]]
    chip(page, "No motion word").click()
    assert sorted(names(page)) == sorted([report()["clips"][9]["name"], "still.gif"])
    page.get_by_label("all of these").check()
    assert names(page) == ["still.gif"]
    assert page.locator("#shown").inner_text() == "1 of 12 clips"
    chip(page, "Cut inside").click()
    assert names(page) == []
    assert page.locator("#nothing").is_visible()
    page.get_by_role("button", name="Show everything").click()
    assert len(names(page)) == 12
    assert page.locator("#match").is_hidden()
    chip(page, "Good").click()
    assert sorted(names(page)) == sorted(
        one["name"] for one in report()["clips"] if not one["faults"])


def test_what_no_clip_has_is_said_in_one_line(browser: Browser, tmp_path: Path) -> None:
    values = report()
    values["clips"] = [clip("a.mp4"), clip("b.mp4", ("cut", "at 3"))]
    values["summary"] |= {"clips": 2, "good": 1, "by_fault": {"cut": 1, "static": 0}}
    with opened(browser, write_page(values, tmp_path).as_uri()) as page:
        assert page.locator("#faults li").all_inner_texts() == ["!\nCut inside\n1", "✓\nGood\n1"]
        others = [one["title"] for code, one in FAULTS.items() if code != "cut"]
        assert page.locator("#absent").inner_text() == (
            f"Not found: {', '.join(others)}")


def test_search_looks_in_names_and_captions(page: Page) -> None:
    page.get_by_role("searchbox").fill("DEEP er/")
    assert names(page) == ["deep/er/hot.mp4"]
    page.get_by_role("searchbox").fill("red house")
    assert names(page) == ["still.gif"]
    page.get_by_role("searchbox").fill("\u9ce5\u304c")
    assert names(page) == ["\u65e5\u672c\u8a9e/\u9ce5 \U0001f426.mp4"]
    chip(page, "Cut inside").click()
    assert names(page) == []


def test_clips_are_sorted_either_way_and_the_unknown_come_last(page: Page) -> None:
    def values(key: str) -> list[Any]:
        found: list[Any] = page.evaluate(f"grid.shown.map((place) => CLIPS[place].{key})")
        return found

    for key in ("moving_fraction", "motion", "camera", "seconds"):
        page.get_by_label("Sort by").select_option(key)
        known = [one for one in values(key) if one is not None]
        assert known == sorted(known)
        page.get_by_role("button", name="Largest first").click()
        found = values(key)
        assert found[-1] is None
        assert found[:-1] == known[::-1] == sorted(known, reverse=True)
        page.get_by_role("button", name="Largest first").click()
    page.get_by_label("Sort by").select_option("level")
    ranks = [("error", "warning", "note", "good").index(level) for level in values("level")]
    assert ranks == sorted(ranks)
    page.get_by_label("Sort by").select_option("name")
    assert names(page).index("good.mp4") < names(page).index("still.gif")


def test_a_range_is_brushed_on_the_bars_and_a_click_on_it_lets_go(
    browser: Browser, long_address: str
) -> None:
    with opened(browser, long_address, **DESKTOP) as page:
        box = page.get_by_role("group", name="Moving fraction").locator("svg").bounding_box()
        assert box is not None
        count = page.evaluate("MEASURES[0].bins.count")
        assert 15 <= count <= 25

        def middle(bin_: int) -> tuple[float, float]:
            return box["x"] + (bin_ + 0.5) / count * box["width"], box["y"] + box["height"] / 2

        page.mouse.move(*middle(2))
        page.mouse.down()
        page.mouse.move(*middle(5), steps=4)
        page.mouse.up()
        low, high = page.evaluate("[MEASURES[0].bins.from(2), MEASURES[0].bins.to(5)]")
        inside = page.evaluate(
            "grid.shown.map((place) => CLIPS[place].moving_fraction * 100)")
        every = page.evaluate("CLIPS.map((clip) => clip.moving_fraction * 100)")
        assert sorted(inside) == sorted(value for value in every if low <= value < high)
        assert 100 < len(inside) < MANY
        # Its own bars still show what there is outside, the others only what is left.
        assert page.evaluate("""histograms[0].bars.every(({ back, front }) =>
          back.getAttribute('height') === front.getAttribute('height'))""")
        assert page.evaluate("""histograms[1].bars.every(({ back, front }) =>
          back.getAttribute('height') >= 64
          || Number(back.getAttribute('height')) <= 2
          || Number(front.getAttribute('height')) < Number(back.getAttribute('height')))""")
        page.mouse.click(*middle(7))
        assert page.evaluate("view.ranges.moving_fraction") == [7, 7]
        page.mouse.click(*middle(7))
        assert page.evaluate("view.ranges.moving_fraction") is None
        assert len(names(page)) == MANY


def test_a_range_is_moved_by_keys_and_two_combine(page: Page) -> None:
    low = page.get_by_role("slider", name="Moving fraction, from")
    low.focus()
    page.keyboard.press("ArrowRight")
    assert low.get_attribute("aria-valuetext") == "12 %"
    assert "still.gif" not in names(page)  # 0 % of it moves
    assert "broken.mp4" not in names(page)  # nobody knows
    page.get_by_role("slider", name="Frame rate, from").press("End")
    assert names(page) == ["deep/er/hot.mp4"]
    page.get_by_role("slider", name="Moving fraction, to").press("Home")  # not below the other end
    assert page.evaluate("view.ranges.moving_fraction") == [1, 1]
    assert names(page) == []
