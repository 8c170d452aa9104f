"""The page of `motifocal inspect` in Chromium: it filters, opens, stays smooth, and is for all."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import chromium, opened, serious, served, until
from doctor_report import FAULTS, clip, report
from playwright.sync_api import Browser, Page

from motifocal.inspection.page import write_page

pytestmark = pytest.mark.slow

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True,
         "device_scale_factor": 2}
SHOWN = "grid.shown.map((place) => CLIPS[place].name)"
CARDS = "document.querySelectorAll('.card:not(.probe)').length"
FOCUSED = "CLIPS[Number(document.activeElement.closest('.card')?.dataset.place)]?.name"
HASH = "Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"
# Where the window on a card's cells stands, in cells: [column, row].
CELL = """(card) => {
  const [window, image] = [card.querySelector('.sprite'), card.querySelector('img')]
    .map((one) => one.getBoundingClientRect());
  return [Math.round((window.left - image.left) / window.width),
          Math.round((window.top - image.top) / window.height)];
}"""
# The first of the clips shown is seen whole, below the tools.
IN_SIGHT = """(({ top, bottom }) => top >= at('copy').getBoundingClientRect().bottom
  && bottom <= innerHeight)(at('grid').querySelector("[aria-posinset='1']")
  .getBoundingClientRect())"""
MANY = 10_000
WORDS = ("balloon", "duck", "rises", "swims", "blue", "red", "the", "left")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of 12 clips of every kind, with their thumbnails."""
    folder = tmp_path_factory.mktemp("few")
    return write_page(report(folder), folder).as_uri()


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    with opened(browser, address, **DESKTOP) as page:
        yield page


@pytest.fixture(scope="module")
def long_address(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page of 10 000 clips that share a few thumbnails."""
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


def names(page: Page) -> list[str]:
    found: list[str] = page.evaluate(SHOWN)
    return found


def chip(page: Page, name: str) -> Any:
    return page.locator("#faults").get_by_role("button", name=name)


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
