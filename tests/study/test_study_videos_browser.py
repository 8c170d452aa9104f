"""The two videos of a comparison in Chromium: loaded ahead, asked for again, and side by side."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import opened, until
from drawn_study import drawn_study
from playwright.sync_api import Browser
from study_browser import DESKTOP, STEP, answer_by_keys, begin, calm, listening
from study_client import TOKEN

from motifocal.study.store.store import Store

pytestmark = pytest.mark.slow


def test_the_next_pair_is_loaded_ahead_and_hidden_time_is_counted(
    browser: Browser, study: tuple[str, Store]
) -> None:
    hide = """(state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange"));
    }"""
    with opened(browser, study[0], **DESKTOP) as page:
        begin(page)
        ahead = ("comparison.task.upcoming.slice(1)"
                 ".every((name) => comparison.backend.media.held.has(name))")
        assert page.evaluate("comparison.task.upcoming.length") == 3
        assert page.evaluate(ahead)
        calm(page)
        asked: list[str] = []
        page.on("request", lambda request: "/media/" in request.url and asked.append(request.url))
        upcoming = page.evaluate("comparison.task.upcoming")
        page.evaluate(hide, "hidden")
        page.wait_for_timeout(300)
        page.evaluate(hide, "visible")
        measured = page.evaluate("comparison.measure.read()")
        assert 250 <= measured["hidden_milliseconds"] < measured["milliseconds"]
        answer_by_keys(page, "1", "1")
        until(page, f"{STEP} === 'watch' || {STEP} === 'choose'")
        # The videos are there already; the picture comes out of the browser's cache.
        assert not [url for url in asked if url.rpartition("/")[2] in upcoming[1:]]


def test_a_video_that_does_not_come_can_be_asked_for_again(
    browser: Browser, study: tuple[str, Store]
) -> None:
    context = browser.new_context(**DESKTOP)
    page = context.new_page()
    page.route("**/media/*", lambda route: route.abort())
    page.goto(study[0])
    page.get_by_role("button", name="I agree").click()
    page.get_by_label("the whole").check()
    page.get_by_role("button", name="Check my answers").click()
    again = page.get_by_role("button", name="Try again")
    again.wait_for()
    assert "cannot be shown" in page.locator("#stuck-words").inner_text()
    assert page.locator(".choice").first.is_disabled()
    page.unroute("**/media/*")
    again.click()
    until(page, f"{STEP} === 'choose'")
    context.close()


RECORD = """() => {
  window.seen = { left: [], right: [] };
  for (const side of ["left", "right"]) {
    const video = comparison.videos[side];
    const note = (now, { mediaTime, expectedDisplayTime }) => {
      window.seen[side].push([expectedDisplayTime, mediaTime]);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
  }
}"""


def test_the_two_videos_stay_within_one_frame_over_five_loops(
    browser: Browser, tmp_path: Path
) -> None:
    frame = 1 / 8
    store = drawn_study(tmp_path, scenarios=("duck", "sun"), size=128, frames=8)
    with store, listening(store, TOKEN) as address, opened(browser, address, **DESKTOP) as page:
        page.get_by_role("button", name="I agree").click()
        page.get_by_role("button", name="Start").click()
        page.wait_for_url("**/compare")
        until(page, f"{STEP} === 'watch'")
        page.evaluate(RECORD)
        until(page, "comparison.measure.kept.loops >= 5", 30)
        seen = page.evaluate("window.seen")
    assert all(len(seen[side]) > 4 * 8 for side in seen)
    gaps = gaps_between(seen["left"], seen["right"])
    assert len(gaps) > 4 * 8
    assert max(gaps) <= frame * 1.01, max(gaps)


def gaps_between(left: list[list[float]], right: list[list[float]]) -> list[float]:
    """How far apart the two are, in seconds of video, at every time that either shows a new frame.

    Between the two frames of a restart the other video may still show the end: there it counts
    from the start, by which both are then taken to be.
    """
    ends = max(time for _, time in left + right)
    events = sorted([(*one, 0) for one in left] + [(*one, 1) for one in right])
    shown: list[float | None] = [None, None]
    gaps = []
    for moment, (at, time, side) in enumerate(events):
        shown[side] = time
        same_refresh = moment + 1 < len(events) and events[moment + 1][0] - at < 20
        if None in shown or same_refresh:
            continue
        gap = abs(shown[0] - shown[1])
        gaps.append(min(gap, ends + 1 / 8 - gap))
    return gaps
