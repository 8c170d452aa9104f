"""The study's folder for a static host in Chromium: it needs no server."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from browser import opened, serious, served, until
from drawn_study import drawn_study
from playwright.sync_api import Browser
from study_browser import DESKTOP, HOSTILE, STEP, answer_by_keys, calm

from motifocal.study.offline.folder import AnswerImport, read_answers, write_folder
from motifocal.study.offline.import_votes import OfflineImport

pytestmark = pytest.mark.slow


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
