"""The page of `motifocal inspect` in Chromium: it is shared, stays smooth, and is for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import opened, serious, until
from doctor_report import FAULTS, clip, report
from inspect_page import CARDS, DESKTOP, FOCUSED, MANY, SHOWN, chip, names
from playwright.sync_api import Browser, Page

from motifocal.inspection.page import write_page

pytestmark = pytest.mark.slow
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True,
         "device_scale_factor": 2}
HASH = "Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"

# The first of the clips shown is seen whole, below the tools.
IN_SIGHT = """(({ top, bottom }) => top >= at('copy').getBoundingClientRect().bottom
  && bottom <= innerHeight)(at('grid').querySelector("[aria-posinset='1']")
  .getBoundingClientRect())"""


def test_an_address_leads_others_to_the_same_view(
    browser: Browser, address: str, page: Page
) -> None:
    chip(page, "Nothing moves").click()
    chip(page, "Only the camera moves").click()
    page.get_by_label("Sort by").select_option("camera")
    page.get_by_role("button", name="Largest first").click()
    page.get_by_role("slider", name="Length, from").press("End")
    page.get_by_role("searchbox").fill("mp4")
    page.locator(".card:not(.probe)").first.click()
    until(page, "location.hash.includes('clip=')")
    view = page.evaluate(HASH)
    assert view == {"q": "mp4", "fault": "camera-only", "seconds": "10.01~10.01",
                    "sort": "camera", "down": "", "clip": "pan.mp4"}
    with opened(browser, page.url, **DESKTOP) as other:
        assert names(other) == names(page) == ["pan.mp4"]
        assert other.get_by_role("dialog", name="pan.mp4").is_visible()
        other.evaluate("location.hash = '#fault=cut&fault=unheard&sort=odd"
                       "&moving_fraction=odd&clip=gone'")
        until(other, f"{SHOWN}.join() === 'cut.mp4'")
        assert other.get_by_role("dialog").is_hidden()


def test_names_are_copied_and_saved_one_a_line(page: Page, tmp_path: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_label("Sort by").select_option("moving_fraction")
    chip(page, "Near duplicate").click()
    chip(page, "Nothing moves").click()
    page.get_by_role("button", name="Copy names").click()
    until(page, "document.querySelector('#said').textContent === 'Copied 2 names'")
    assert page.evaluate("navigator.clipboard.readText()") == "still.gif\nagain.mp4\n"
    with page.expect_download() as saved:
        page.get_by_role("button", name="Save names").click()
    assert saved.value.suggested_filename == "clips.txt"
    saved.value.save_as(tmp_path / "clips.txt")
    assert (tmp_path / "clips.txt").read_text() == "still.gif\nagain.mp4\n"


def test_a_name_with_a_line_break_is_not_taken_for_two(browser: Browser, tmp_path: Path) -> None:
    values = report()
    values["clips"][0]["name"] = "good.mp4\n/etc/passwd"
    with opened(browser, write_page(values, tmp_path).as_uri()) as page:
        assert page.evaluate("namesShown().lost") == 1
        assert "passwd" not in page.evaluate("namesShown().text")
        page.get_by_role("button", name="Save names").click()
        assert page.locator("#said").inner_text() == (
            "Saved 11 names; 1 name with a line break left out")


def test_hostile_text_is_only_text(browser: Browser, tmp_path: Path) -> None:
    attack = "</script><img src=x onerror='window.hacked = 1'>\u2028<svg onload=hacked=1>"
    values = report(tmp_path)
    values["title"], values["settings"] = attack, {attack: {attack: attack}}
    values["faults"] = {**FAULTS, attack: {"level": "error", "title": attack, "help": attack}}
    values["summary"]["by_fault"][attack] = 1
    values["clips"].append(clip(f"{attack}.mp4", caption=attack, duplicate_of=f"{attack}.mp4",
                                samples=[attack]) | {
        "faults": [{"code": attack, "words": attack}], "level": "error"})
    values["summary"]["clips"] += 1
    with opened(browser, write_page(values, tmp_path).as_uri(), **DESKTOP) as page:
        plain = page.evaluate("document.querySelectorAll('img[src=x], svg[onload]').length")
        assert plain == 0
        chip(page, attack).click()
        assert names(page) == [f"{attack}.mp4"]
        page.locator(".card:not(.probe)").click()
        text = page.locator("#details-body").text_content() or ""
        assert text.count(attack) >= 4
        page.get_by_role("dialog").get_by_role("link").first.click()
        until(page, "location.hash.includes('clip=')")  # it is written a moment later
        page.reload()
        until(page, "document.getElementById('details-name').textContent !== ''")
        assert page.locator("#details-name").text_content() == f"{attack}.mp4"
        assert page.locator(".foot .facts").text_content() == f"{attack}: {attack}{attack}"
        assert page.evaluate("document.querySelectorAll('[src=x], [onload]').length") == 0
        assert page.evaluate("window.hacked") is None


def test_of_ten_thousand_clips_only_what_is_near_is_in_the_document(
    browser: Browser, long_address: str
) -> None:
    with opened(browser, long_address, **DESKTOP) as page:
        loaded = page.evaluate("performance.getEntriesByType('navigation')[0].domInteractive")
        # pytest -rP shows the times; what holds on any machine is how little is in the document.
        print(f"ready after {loaded:.0f} ms")
        assert 10 <= page.evaluate(CARDS) <= 120
        found = page.evaluate("""async () => {
          const gaps = [], counts = [];
          let last = await new Promise(requestAnimationFrame);
          for (let frame = 0; frame < 120; frame++) {
            scrollBy(0, 150);
            const now = await new Promise(requestAnimationFrame);
            gaps.push(now - last);
            counts.push(document.querySelectorAll(".card:not(.probe)").length);
            last = now;
          }
          gaps.sort((a, b) => a - b);
          return { middle: gaps[60], worst: gaps[119], most: Math.max(...counts) };
        }""")
        print(f"scrolling: {found}")
        assert found["most"] <= 120
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        last = page.locator(f".card[aria-posinset='{MANY}']")
        last.wait_for()
        assert last.get_attribute("aria-setsize") == str(MANY)
        assert page.evaluate(CARDS) <= 120
        assert page.evaluate("document.querySelectorAll('*').length") < 3000
        for change in ("view.faults.add('cut')", "view.query = 'duck 7'", "view.sort = 'motion'",
                       "view.ranges.moving_fraction = [2, 9]"):
            took = page.evaluate(f"""(() => {{
              const start = performance.now();
              {change};
              apply();
              document.body.offsetHeight;
              return performance.now() - start;
            }})()""")
            print(f"{change}: {took:.0f} ms")
            assert 0 < len(names(page)) < MANY
            assert page.evaluate(IN_SIGHT), change


def test_the_focus_is_not_lost_however_far_one_scrolls(
    browser: Browser, long_address: str
) -> None:
    with opened(browser, long_address, **DESKTOP) as page:
        page.locator(".card:not(.probe) button").first.focus()
        page.evaluate("scrollTo(0, 90000)")
        until(page, "Number(document.querySelectorAll('.card')[1].ariaPosInSet) > 300")
        first = names(page)[0]
        assert page.evaluate(FOCUSED) == first
        page.keyboard.press("ArrowRight")
        assert page.evaluate(FOCUSED) == names(page)[1]
        page.keyboard.press("End")
        assert page.evaluate(FOCUSED) == names(page)[-1]
        box = page.locator(".card:focus-within").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 900.5
        assert box["y"] >= 0


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser, address: str) -> None:
    with opened(browser, address, **PHONE) as page:
        page.locator("summary", has_text="How they are spread").click()
        chip(page, "Nothing moves").click()
        chip(page, "Good").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.evaluate("grid.columns") == 2
        page.locator("#grid").scroll_into_view_if_needed()
        page.locator(".card:not(.probe)", has_text="good.mp4").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        outside = page.evaluate("""
          [...document.querySelectorAll("button, input, select, h1, h2, h3, p, dd, dt")]
          .filter((one) => one.checkVisibility() && !one.closest(".skip"))
          .filter((one) => one.getBoundingClientRect().right > 360.5 && one.type !== "range")
          .map((one) => one.outerHTML)""")
        assert outside == []


def test_on_paper_there_is_the_summary_and_no_clip(page: Page) -> None:
    page.emulate_media(media="print")
    assert page.locator("h1").is_visible()
    assert page.locator("main").is_hidden()
    rows = [text.split("\n") for text in page.locator("#helps div:visible").all_inner_texts()]
    assert len(rows) == 9
    told = {tuple(row[-2:]) for row in rows}
    assert (FAULTS["cut"]["help"], "1 clip") in told
    assert page.locator("#histograms svg").first.is_visible()
    assert page.locator("#histograms input").first.is_hidden()


@pytest.mark.parametrize(("device", "scheme"), [
    (DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")], ids=["desktop", "dark", "phone"])
def test_axe_finds_no_serious_fault(
    browser: Browser, address: str, device: dict[str, Any], scheme: str
) -> None:
    with opened(browser, address, **device, color_scheme=scheme, bypass_csp=True) as page:
        until(page, "document.querySelector('.card img').naturalWidth > 0")
        faults = {"plain": serious(page)}
        page.evaluate("at('spread').open = true")
        chip(page, "Nothing moves").click()
        chip(page, "Good").click()
        page.get_by_role("button", name="Overlays").click()
        page.locator("summary", has_text="How they were examined").click()
        faults["filtered"] = serious(page)
        page.locator(".card:not(.probe)", has_text="still.gif").click()
        faults["details"] = serious(page)
    assert {page: found for page, found in faults.items() if found} == {}


def test_everything_that_can_be_used_has_a_name(page: Page) -> None:
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "searchbox", "combobox", "slider", "main", "dialog", "region", "search"}
    named = [(node["role"]["value"], node.get("name", {}).get("value", ""))
             for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert {role for role, _ in named} == roles - {"dialog"}
    assert [one for one in named if not one[1].strip()] == []
    groups = [node["name"]["value"] for node in nodes
              if not node["ignored"] and node["role"]["value"] == "group"]
    assert set(groups) >= set(page.evaluate("MEASURES.map(({ title }) => title)"))
    landmarks = {node["role"]["value"] for node in nodes if not node["ignored"]}
    assert landmarks >= {"main", "banner", "search", "contentinfo"}
