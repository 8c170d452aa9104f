"""The study in a real browser: by keyboard and by touch, reloaded, offline, accessible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from browser import opened, serious, until
from drawn_study import CODES, drawn_study
from playwright.sync_api import Browser
from study_browser import DESKTOP, STEP, answer_by_keys, begin, calm, listening, moved_on
from study_client import TOKEN

from motifocal.study.store.store import Store

pytestmark = pytest.mark.slow

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


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
