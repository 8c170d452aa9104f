"""The videos of a row of the gallery in Chromium: in step, paused, stepped, and at one speed."""

from __future__ import annotations

import bisect
from itertools import pairwise
from pathlib import Path

import pytest
from browser import opened, served, until
from gallery_page import PLAYS, TIMES
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow
SECONDS, FRAME = 2.0, 1 / 8
SHORT_LAST = 1.0 - FRAME
SPREAD = f"((times) => Math.max(...times) - Math.min(...times))({TIMES}.toSpliced(2, 1))"
RECORD = """() => {
  window.record = cards[0].row.members.map(({ video }) => {
    const seen = [];
    const note = (_, { expectedDisplayTime, mediaTime }) => {
      seen.push([expectedDisplayTime, mediaTime]);
      video.requestVideoFrameCallback(note);
    };
    video.requestVideoFrameCallback(note);
    return seen;
  });
}"""
LOOPS = "record[0].filter(([, time], i, all) => i && time < all[i - 1][1]).length"


def test_frames_can_be_chosen_from_a_simple_server_too(
    browser: Browser, gallery_site: Path
) -> None:
    with served(gallery_site, ranges=False) as host, opened(browser, f"{host}/gallery/") as page:
        until(page, PLAYS)
        page.evaluate("showFrame(5)")
        until(page, f"{TIMES}.every((time) => Math.abs(time - 5.5 / 8) < 2e-3)")


def test_videos_stay_within_one_frame_of_each_other_over_three_loops(page: Page) -> None:
    page.evaluate(RECORD)
    until(page, f"{LOOPS} >= 4")
    first, second, short, _ = page.evaluate("record")
    loops = [after[0] for before, after in pairwise(first) if after[1] < before[1]]
    seen = {"first": first, "second": second, "short": short}
    instants = range(round(loops[0]), round(loops[3]), 8)  # three whole loops, in ms
    assert len(instants) > 3 * SECONDS * 1000 / 8 * 0.9
    for instant in instants:
        now = {name: shown_at(frames, instant) for name, frames in seen.items()}
        apart = abs(now["first"] - now["second"])
        assert min(apart, SECONDS - apart) <= FRAME + 1e-6, (instant, now)
        # The short one waits on its last frame; at the seam either may be the first to go back.
        due = [min(now["first"], SHORT_LAST)]
        due += [SHORT_LAST] * (now["first"] == 0) + [0.0] * (now["first"] == SECONDS - FRAME)
        assert min(abs(now["short"] - time) for time in due) <= FRAME + 1e-6, (instant, now)


def shown_at(frames: list[list[float]], instant: float) -> float:
    """The media time of the frame that is on the screen."""
    return frames[bisect.bisect_right(frames, [instant, float("inf")]) - 1][1]


def test_a_video_that_is_ahead_waits_for_the_others_and_jumps_back_from_afar(page: Page) -> None:
    page.get_by_label("Speed").select_option("0.25")  # so that the jump itself costs little
    until(page, "cards[0].row.time < 0.5 && cards[0].row.time > 0.05")
    before = page.evaluate("cards[0].row.turn")
    lead = page.evaluate("""async () => {
      const [ahead, other] = cards[0].row.members.map(({ video }) => video);
      ahead.currentTime += 0.25;
      await new Promise((resolve) => ahead.addEventListener("seeked", resolve, { once: true }));
      return ahead.currentTime - other.currentTime;
    }""")
    assert lead > FRAME / 2
    until(page, f"{SPREAD} < {FRAME / 2}")
    turn, time = page.evaluate("[cards[0].row.turn, cards[0].row.time]")
    assert (turn, time < 1.7) == (before, True)  # at the end it would wait in any case
    page.evaluate("cards[0].row.members[1].video.currentTime = 1.9")
    until(page, f"cards[0].row.turn > {before} && {SPREAD} < {FRAME / 2}")
    assert page.evaluate("cards[0].row.time") > time - FRAME  # gathered where the others were


def test_pausing_stops_all_on_the_same_frame_and_frames_can_be_stepped(page: Page) -> None:
    until(page, "cards[0].row.at >= 2")
    page.keyboard.press("Space")
    until(page, "cards[0].row.members.every(({ video }) => video.paused && !video.seeking)")
    at = page.evaluate("cards[0].row.at")
    # A video that stands within a millisecond of where it should is left there.
    until(page, f"{TIMES}.every((time, i) => i === 2 || Math.abs(time - ({at} + 0.5) / 8) < 2e-3)")
    page.get_by_role("button", name="One frame forward").click()
    until(page, f"{TIMES}.every((time, i) => i === 2 || Math.abs(time - ({at} + 1.5) / 8) < 2e-3)")
    page.keyboard.press(",")
    page.keyboard.press(",")
    until(page, f"cards[0].row.at === {at - 1}")
    until(page, f"document.querySelector('#time').textContent === 'frame {at} of 16'")
    page.locator("#scrub").focus()
    page.keyboard.press("End")
    until(page, "cards[0].row.at === 15")
    # The short one shows its last frame: the middle of it is where it stands.
    until(page, f"Math.abs({TIMES}[2] - {SHORT_LAST + FRAME / 2}) < 2e-3")


def test_a_row_goes_on_where_it_was_paused_after_the_end_of_its_shorter_videos(page: Page) -> None:
    page.evaluate("showFrame(11)")
    until(page, f"Math.abs({TIMES}[0] - 11.5 / 8) < 2e-3")
    until(page, "document.querySelector('#time').textContent === 'frame 12 of 16'")
    page.get_by_role("button", name="One frame forward").click()
    until(page, f"Math.abs({TIMES}[0] - 12.5 / 8) < 2e-3")
    turn = page.evaluate("cards[0].row.turn")
    page.evaluate("view.speed = 0.25; apply(); setPlaying(true)")
    until(page, "!cards[0].row.gathering && cards[0].row.time > 1.8")
    assert page.evaluate("cards[0].row.turn") == turn + 1


def test_the_speed_is_that_of_all_videos(page: Page) -> None:
    page.get_by_label("Speed").select_option("0.25")
    rates = "cards[0].row.members.map(({ video }) => video.playbackRate)"
    # One that is ahead goes at half of that.
    assert {0.25} <= set(page.evaluate(rates)) <= {0.25, 0.125}
