"""The page of `motifocal inspect` as a file: whole, self-contained, and nothing but text in it."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from doctor_report import clip, report

from motifocal.inspection.faults import FAULTS
from motifocal.inspection.page import FILES, SCRIPTS, read_report, write_page

DOCS = Path(__file__).parents[2] / "docs" / "inspect.md"

HOSTILE = "</script><!-- <b>&amp;\"' \u2028 \u2029 \x00 \udc80 ]]> 字"


class Elements(HTMLParser):
    """Every element's name with its attributes, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": []}
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside in self.texts:
            self.texts[self.inside].append(data)


def page_of(values: dict[str, Any], folder: Path) -> str:
    return write_page(values, folder).read_text(encoding="utf-8")


def data_in(page: str) -> dict[str, Any]:
    """What the page's script will read."""
    held: dict[str, Any] = json.loads(Elements(page).texts["script"][0])
    return held


def test_one_file_is_written_and_holds_the_report(tmp_path: Path) -> None:
    values = report()
    assert write_page(values, tmp_path) == tmp_path / "inspect.html"
    assert [path.name for path in tmp_path.iterdir()] == ["inspect.html"]
    held = data_in((tmp_path / "inspect.html").read_text(encoding="utf-8"))
    for part in ("clips", "faults", "summary", "settings", "made"):
        assert held[part] == values[part], part


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    assert page_of(report(), tmp_path) == page_of(report(), tmp_path)


def test_text_of_users_neither_ends_the_script_nor_becomes_an_element(tmp_path: Path) -> None:
    plain = Elements(page_of(report(), tmp_path))
    values = report()
    values["title"] = HOSTILE
    values["settings"] = {HOSTILE: [HOSTILE]}
    values["made"] = HOSTILE
    for fault in values["faults"].values():
        values["faults"] = {**values["faults"], HOSTILE: {**fault, "title": HOSTILE}}
    values["summary"]["by_fault"] = {HOSTILE: 3}
    values["clips"][0] = clip("good.mp4", caption=HOSTILE) | {
        "faults": [{"code": HOSTILE, "words": HOSTILE}], "level": "error"}
    page = page_of(values, tmp_path)
    hostile = Elements(page)
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
    script = hostile.texts["script"][0]
    assert not re.search(r"[<>&\u2028\u2029\x00]", script)
    assert script.isascii()
    readable = HOSTILE.replace("\udc80", "\\udc80")
    assert data_in(page)["clips"][0]["caption"] == readable
    assert "<b>" not in page.replace("&lt;b&gt;", "")


def test_nothing_runs_or_loads_that_the_page_does_not_hold(tmp_path: Path) -> None:
    page = page_of(report(), tmp_path)
    elements = Elements(page)
    for tag, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], tag
        for name in ("src", "href", "action", "srcset"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/svg+xml,")), tag
    policy = next(one["content"] for _, one in elements.found
                  if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "unsafe" not in policy
    assert "http" not in policy
    assert policy.startswith("default-src 'none'; ")
    for text in (elements.texts["script"][1], elements.texts["style"][0]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert len(elements.texts["script"]) == 2
    assert len(elements.texts["style"]) == 1


def test_the_scripts_never_make_elements_or_code_of_text() -> None:
    assert {path.name for path in FILES.iterdir()} == {
        *SCRIPTS, "inspect.html", "style.css", "icon.svg"}
    for name in SCRIPTS:
        text = (FILES / name).read_text(encoding="utf-8")
        for never in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                      "Function(", "fetch(", "XMLHttpRequest", "import(", "</script", "<!--"):
            assert never not in text, (name, never)
    assert "url(" not in (FILES / "style.css").read_text(encoding="utf-8")


def test_the_headline_says_what_is_fine_and_the_worst_of_the_rest(tmp_path: Path) -> None:
    page = page_of(report(copies=2), tmp_path)
    assert ("8 of 24 clips are fine; 2 are marked “unreadable”, 2 “too short”, 2 “no caption”, "
            "2 “nothing moves” and more.") in page
    values = report()
    values["summary"]["by_fault"] = {"cut": 1, "no-motion-word": 3}
    assert "4 of 12 clips are fine; 1 is marked “cut inside” and 3 “no motion word”." in (
        page_of(values, tmp_path))


def test_a_folder_without_faults_and_one_without_clips_have_a_page_too(tmp_path: Path) -> None:
    values = report()
    values["clips"] = [clip("one.mp4"), clip("two.mp4")]
    values["summary"] = {"clips": 2, "good": 2, "seconds": 20.02,
                         "moving_fraction": 0.12, "by_fault": {},
                         "trained_samples": 4, "trained_frames": 324}
    assert "<h1>All 2 clips are fine.</h1>" in page_of(values, tmp_path)
    assert ("2 clips · 20.0 s of video · mean moving fraction 12 % · 4 samples of 324 frames to "
            "train on") in page_of(values, tmp_path)
    values["clips"] = []
    values["summary"] = {"clips": 0, "good": 0, "seconds": 0,
                         "moving_fraction": None, "by_fault": {},
                         "trained_samples": 0, "trained_frames": 0}
    assert "<h1>There are no clips.</h1>" in page_of(values, tmp_path)


WRONG: list[tuple[tuple[Any, ...], Any, str]] = [
    (("version",), 2, "version should be 1, got '2'"),
    (("clips", 3, "moving_fraction"), 1.5,
     "clips.3.moving_fraction should be less than or equal to 1, got '1.5'"),
    (("clips", 3, "moving_fraction"), float("nan"),
     "clips.3.moving_fraction should be a finite number, got 'nan'"),
    (("clips", 0, "frames"), -1, "clips.0.frames should be greater than or equal to 0, got '-1'"),
    (("clips", 0, "frames"), "80", "clips.0.frames should be a valid integer, got '80'"),
    (("clips", 0, "level"), "bad", "clips.0.level should be 'error', 'warning', 'note' or 'good'"),
    (("clips", 0, "name"), "", "clips.0.name should have at least 1 character, got ''"),
    (("clips", 1, "name"), "good.mp4", "clips should differ in name, got 'good.mp4' twice"),
    (("clips", 2, "faults", 0, "code"), "odd", "clips.2.faults should be of ['camera-only'"),
    (("clips", 0, "thumb"), "thumbs/../../etc.webp", "clips.0.thumb should match pattern"),
    (("clips", 0, "thumb"), "thumbs/x.webp\n", "clips.0.thumb should match pattern"),
    (("clips", 0, "thumb"), "//example.org/x.webp", "clips.0.thumb should match pattern"),
    (("clips", 0, "thumb_width"), 161, "clips.0.thumb_width should be less than or equal to 160"),
    (("summary", "by_fault"), {"odd": 1}, "summary.by_fault should be of ['camera-only'"),
    (("summary", "clips"), 13, "summary.clips should be 12, got 13"),
    (("faults", "good"), {"level": "note", "title": "", "help": ""},
     "a fault should not have the code 'good'"),
    (("settings", "slope"), float("inf"), "settings should be JSON with finite numbers"),
    (("settings", "folder"), Path("x"), "settings should be JSON with finite numbers"),
]


@pytest.mark.parametrize(("place", "value", "words"), WRONG,
                         ids=[f"{'.'.join(map(str, place))}={str(value)[:12]!r}"
                              for place, value, _ in WRONG])
def test_one_bad_value_is_named_in_one_line_and_nothing_is_written(
    tmp_path: Path, place: tuple[Any, ...], value: Any, words: str
) -> None:
    values = copy.deepcopy(report())
    inside: Any = values
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    with pytest.raises(ValueError, match=re.escape(words)) as raised:
        write_page(values, tmp_path)
    assert str(raised.value).startswith("report: ")
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_is_missing_is_named(tmp_path: Path) -> None:
    values = report()
    del values["clips"][4]["cuts"]
    with pytest.raises(ValueError, match=r"^report: clips\.4\.cuts is missing$"):
        write_page(values, tmp_path)


def test_an_old_page_stays_where_a_new_one_cannot_be_made(tmp_path: Path) -> None:
    before = page_of(report(), tmp_path)
    values = report()
    values["clips"][0]["bytes"] = None
    with pytest.raises(ValueError, match=r"clips\.0\.bytes"):
        write_page(values, tmp_path)
    assert (tmp_path / "inspect.html").read_text(encoding="utf-8") == before


def test_what_a_later_version_adds_is_left_out() -> None:
    values = report()
    values["clips"][0]["colour"] = "green"
    assert "colour" not in read_report(values).clips[0].model_dump()


def test_every_fault_there_is_can_be_shown(tmp_path: Path) -> None:
    values = report()
    values["faults"] = {code: vars(fault) for code, fault in FAULTS.items()}
    values["clips"] = [clip("all.mp4") | {
        "faults": [{"code": code, "words": code} for code in FAULTS], "level": "error"}]
    values["summary"] |= {"clips": 1, "good": 0, "by_fault": dict.fromkeys(FAULTS, 1)}
    assert "0 of 1 clips are fine; 1 is marked" in page_of(values, tmp_path)


def test_the_table_in_the_docs_is_that_of_the_faults() -> None:
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (\w+) \| (.*) \|$", DOCS.read_text(encoding="utf-8"),
                      re.MULTILINE)
    assert rows == [(code, fault.level, fault.help) for code, fault in FAULTS.items()]
