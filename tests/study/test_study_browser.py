"""The study in a real browser: by keyboard and by touch, reloaded, offline, in step, accessible."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from browser import opened, serious, served, until
from drawn_study import CODES, SCENARIOS, drawn_study
from playwright.sync_api import Browser, Page
from script_module import module_at

from motifocal.study.offline.folder import AnswerImport, read_answers, write_folder
from motifocal.study.offline.import_votes import OfflineImport
from motifocal.study.store.store import Store

pytestmark = pytest.mark.slow

TOKEN = "token-of-the-dashboard"
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
HOSTILE = "<img src=x onerror='window.hacked = 1'> </script> & \"so\""
listening = module_at(Path(__file__).parents[2] / "scripts" / "study_pictures.py").listening
STEP = "(typeof comparison === 'object' && comparison.step)"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Store]]:
    folder = tmp_path_factory.mktemp("browser")
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


def test_five_comparisons_by_keyboard_lead_from_consent_to_the_code(
    browser: Browser, study: tuple[str, Store]
) -> None:
    address, store = study
    before = len(list(store.votes()))
    with opened(browser, address, **DESKTOP) as page:
        begin(page)
        assert page.locator("#place").inner_text() == "1 of 5"
        page.keyboard.press("?")
        assert page.get_by_role("dialog").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Escape")  # the choice is open again
        assert page.evaluate(STEP) == "choose"
        answer_by_keys(page, "1", "2", "4", "2")  # the second reason is taken back
        answer_by_keys(page, "ArrowRight", "1", "2", "3", "4")
        answer_by_keys(page, "ArrowLeft", "3")
        answer_by_keys(page, "t")
        answer_by_keys(page, "2", "1")
        page.wait_for_url("**/end")
        assert page.locator("#code").inner_text() == CODES["completion_code"]
        assert page.evaluate("window.hacked") is None
    votes = list(store.votes())[before:]
    assert [vote.reasons for vote in votes] == [
        ("overall_quality",), store.protocol.reason_keys, ("image_alignment",), (),
        ("object_motion",)]
    sides = [{vote.left: "left", "tie": "tie"}.get(vote.winner, "right") for vote in votes]
    assert sides == ["left", "right", "left", "tie", "right"]
    assert all(vote.loops and vote.milliseconds and vote.milliseconds >= 500 for vote in votes)


def test_five_comparisons_by_touch_lead_to_the_code_on_a_phone(
    browser: Browser, study: tuple[str, Store]
) -> None:
    with opened(browser, study[0], **PHONE) as page:
        begin(page)
        boxes = {name: page.locator(name).bounding_box() for name in
                 ("#picture", "#sentence", "#left video", "#right video", ".choice >> nth=0")}
        assert boxes["#left video"]["y"] + boxes["#left video"]["height"] <= (
            boxes["#right video"]["y"])  # stacked
        assert all(box["y"] >= 0 and box["y"] + box["height"] <= 844 for box in boxes.values())
        assert boxes[".choice >> nth=0"]["height"] >= 44
        for number in range(5):
            until(page, f"{STEP} === 'choose'")
            place = page.locator("#place").inner_text()
            page.get_by_role("button", name=("Top", "Bottom")[number % 2]).tap()
            page.get_by_text("Text alignment", exact=True).first.tap()
            assert page.locator(".reason").first.bounding_box()["height"] >= 44
            page.get_by_role("button", name="Submit").tap()
            moved_on(page, place)
        page.wait_for_url("**/end")
        assert page.locator("#code").inner_text() == CODES["completion_code"]


def test_nothing_can_be_chosen_before_both_videos_were_seen_to_the_end(
    browser: Browser, study: tuple[str, Store]
) -> None:
    with opened(browser, study[0], **DESKTOP) as page:
        begin(page, "watch")
        page.keyboard.press("ArrowLeft")
        states = page.evaluate("({ step: comparison.step, loops: comparison.measure.kept.loops, "
                               "locked: comparison.choices.every((one) => one.disabled), "
                               "words: document.getElementById('status').textContent })")
        assert states["step"] == "watch"
        assert states["loops"] == 0
        assert states["locked"]
        assert "Then choose" in states["words"]
        page.keyboard.press("r")  # a replay is no loop
        assert page.evaluate("comparison.measure.kept.loops") == 0
        until(page, f"{STEP} === 'choose'")
        assert page.evaluate("comparison.measure.kept.loops") == 1
        page.keyboard.press("ArrowLeft")
        page.keyboard.press("Enter")  # without a reason
        assert page.evaluate(STEP) == "why"
        assert "at least one reason" in page.locator("#status").inner_text()


def test_a_reload_resumes_the_same_comparison_and_its_clock(
    browser: Browser, study: tuple[str, Store]
) -> None:
    with opened(browser, study[0], **DESKTOP) as page:
        begin(page)
        answer_by_keys(page, "1", "1")
        until(page, f"{STEP} === 'choose'")
        read = ("({ slot: comparison.task.slot, ...comparison.measure.read(),"
                " place: document.getElementById('place').textContent })")
        before = page.evaluate(read)
        calm(page)
        page.reload()
        until(page, "comparison.measure !== undefined")
        after = page.evaluate(read)
        assert after["place"] == before["place"] == "2 of 5"
        assert after["slot"] == before["slot"]
        assert after["milliseconds"] > before["milliseconds"]
        assert after["loops"] >= before["loops"] > 0
        answer_by_keys(page, "1", "1")


def test_an_answer_outlives_a_lost_connection_and_a_lost_acknowledgement(
    browser: Browser, study: tuple[str, Store]
) -> None:
    address, store = study
    before = len(list(store.votes()))
    lost = {"asked": 0}

    def lose(route: Any) -> None:
        lost["asked"] += 1
        if lost["asked"] == 1:
            route.abort()  # never reached the server
        elif lost["asked"] == 2:
            route.fetch()  # was stored, and nobody heard of it
            route.abort()
        else:
            route.continue_()

    context = browser.new_context(**DESKTOP)
    page = context.new_page()
    page.goto(address)
    begin(page)
    page.route("**/vote", lose)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")  # a second press changes nothing
    until(page, "!document.getElementById('banner').hidden")
    assert "Your answer is kept" in page.locator("#banner").inner_text()
    until(page, "document.getElementById('place').textContent === '2 of 5'")
    assert page.locator("#banner").is_hidden()
    assert lost["asked"] == 3
    assert len(list(store.votes())) == before + 1

    until(page, f"{STEP} === 'choose'")
    page.unroute("**/vote")
    page.route("**/vote", lambda route: route.abort())
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    until(page, "!document.getElementById('banner').hidden")
    page.unroute("**/vote")
    page.reload()  # with the answer still unsent
    until(page, "document.getElementById('place').textContent === '3 of 5'")
    assert len(list(store.votes())) == before + 2
    context.close()


def test_a_comparison_that_went_to_somebody_else_makes_way_for_the_next(
    browser: Browser, study: tuple[str, Store]
) -> None:
    context = browser.new_context(**DESKTOP)
    page = context.new_page()
    page.goto(study[0])
    begin(page)
    before = page.evaluate("comparison.task.slot")
    page.evaluate("fetch('leave', { method: 'POST', body: new URLSearchParams() })")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Show the next").click()
    until(page, f"{STEP} === 'choose' && comparison.task.slot !== '{before}'")
    answer_by_keys(page, "1", "1")
    context.close()


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


def test_an_answer_that_comes_too_early_waits_and_is_sent_again(
    browser: Browser, tmp_path: Path
) -> None:
    store = drawn_study(tmp_path, scenarios=("sun", "duck"), frames=4,
                        protocol={"least_seconds": 4})
    with store, listening(store, TOKEN) as address:
        context = browser.new_context(**DESKTOP)
        page = context.new_page()
        page.goto(address)
        page.get_by_role("button", name="I agree").click()
        page.get_by_role("button", name="Start").click()
        page.wait_for_url("**/compare")
        with page.expect_response(lambda answer: answer.status == 425):
            answer_by_keys(page, "1", "1")
        assert page.locator("#place").inner_text() == "2 of 2"
        assert page.locator("#banner").is_hidden()
        assert len(list(store.votes())) == 1
        context.close()


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


@pytest.mark.parametrize(("device", "scheme"), [
    (DESKTOP, "light"), (DESKTOP, "dark"), (PHONE, "light")], ids=["desktop", "dark", "phone"])
def test_axe_finds_no_serious_fault_on_any_page(
    browser: Browser, study: tuple[str, Store], device: dict[str, Any], scheme: str
) -> None:
    with opened(browser, study[0], **device, color_scheme=scheme, bypass_csp=True) as page:
        faults = {"consent": serious(page)}
        page.get_by_role("button", name="I agree").click()
        page.wait_for_url("**/instructions")
        faults["instructions"] = serious(page)
        page.get_by_label("the whole").check()
        page.get_by_role("button", name="Check my answers").click()
        page.wait_for_url("**/compare")
        until(page, f"{STEP} === 'choose'")
        faults["choose"] = serious(page)
        page.locator(".choice").first.click()
        page.locator(".reason").first.click()
        faults["why"] = serious(page)
        page.get_by_role("button", name="Help").click()
        faults["help"] = serious(page)
        calm(page)
        page.goto(f"{study[0]}dashboard?token={TOKEN}")
        faults["dashboard"] = serious(page)
        page.goto(f"{study[0]}declined")
        faults["declined"] = serious(page)
    assert {page: found for page, found in faults.items() if found} == {}


@pytest.mark.parametrize("host", ["the disk", "a static host"])
def test_the_folder_needs_no_server_and_its_file_of_answers_is_taken_in(
    browser: Browser, tmp_path: Path, host: str
) -> None:
    check = [{"question": "What counts?", "answers": ["small faults", "the whole"], "right": 1}]
    drawn_study(tmp_path, scenarios=("sun", "fish", "duck"), sentences={"fish": HOSTILE}, frames=4,
                protocol={"votes": 2, "check": check}).close()
    store = OfflineImport(tmp_path / "study.db")
    folder = tmp_path / "page"
    with store, ExitStack() as stack:
        for _ in write_folder(store, folder, seed=5):
            pass
        root = folder.as_uri() if host == "the disk" else stack.enter_context(served(folder))
        with opened(browser, f"{root}/index.html?p=2", **DESKTOP) as page:
            page.get_by_role("button", name="I agree").click()
            page.get_by_label("small faults").check()
            page.get_by_role("button", name="Check my answers").click()
            assert page.get_by_text("this is the last try").is_visible()
            page.get_by_label("the whole").check()
            page.get_by_role("button", name="Check my answers").click()
            answer_by_keys(page, "ArrowLeft", "1", "2")
            until(page, f"{STEP} === 'watch'")
            calm(page)
            page.reload()  # goes on where it was
            until(page, f"{STEP} === 'choose'")
            assert page.locator("#place").inner_text() == "2 of 3"
            answer_by_keys(page, "ArrowRight", "3")
            until(page, f"{STEP} === 'choose'")
            for key in ("1", "4", "Enter"):
                page.keyboard.press(key)
            with page.expect_download() as download:
                page.get_by_role("link", name="Save my answers").click()
            download.value.save_as(tmp_path / "answers.json")
            assert download.value.suggested_filename.startswith("answers-2-")
            assert page.get_by_role("heading", name="Thank you").is_visible()
            assert page.evaluate("window.hacked") is None
        file = read_answers(tmp_path / "answers.json")
        assert (file.participant, file.seed) == (2, 5)
        assert AnswerImport(store).take(file) == {"taken": 3}
        votes = list(store.votes())
    assert [vote.winner == vote.left for vote in votes] == [True, False, True]
    assert [len(vote.reasons) for vote in votes] == [2, 1, 1]


def test_a_static_page_without_a_number_draws_one_and_keeps_it(
    browser: Browser, tmp_path: Path
) -> None:
    drawn_study(tmp_path, scenarios=("sun", "fish", "duck"), protocol={"votes": 9}).close()
    store = OfflineImport(tmp_path / "study.db")
    with store:
        assert list(write_folder(store, tmp_path / "page", seed=0))
    with (served(tmp_path / "page") as root,
          opened(browser, f"{root}/index.html", bypass_csp=True) as page):  # fmt: skip
        drawn = page.evaluate("alone.participant")
        assert 1 <= drawn <= 9
        page.wait_for_load_state("networkidle")
        page.reload()
        assert page.evaluate("alone.participant") == drawn
        faults = {"consent": serious(page)}
        page.get_by_role("button", name="I agree").click()
        page.get_by_role("button", name="Start").click()
        until(page, f"{STEP} === 'choose'")
        faults["choose"] = serious(page)
    assert {page: found for page, found in faults.items() if found} == {}
