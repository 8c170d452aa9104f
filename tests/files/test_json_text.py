"""JSON nested deeper than Python can read is refused in a line, wherever it comes from."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from motifocal.bench.pair_tables import read_rows
from motifocal.bench.results import open_results
from motifocal.bridges.export_table import read_table
from motifocal.bridges.musubi_cache import read_datasets
from motifocal.cli.study import create
from motifocal.data.captions import read_captions
from motifocal.files import toml_text
from motifocal.files.json_text import parse_json, read_json_object, with_earlier_names
from motifocal.generate.domain import read_domain
from motifocal.inspection.findings import read_findings
from motifocal.training.log import read_log

DEEP = "[" * 200_000


def test_what_json_says_is_returned_as_it_is() -> None:
    assert parse_json(b'{"a": [1, 2.5, null, "\xc3\xa9"]}') == {"a": [1, 2.5, None, "\u00e9"]}
    assert parse_json('{"a": 1, "a": 2}', object_pairs_hook=list) == [("a", 1), ("a", 2)]


@pytest.mark.parametrize("text", ["{", "", "[1,]", b"\xff", DEEP, '{"a":' * 100_000])
def test_what_cannot_be_read_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the words are json's own)
        parse_json(text)
    assert "\n" not in str(caught.value)


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a table of pairs": ("pairs.json", read_rows),
    "lines of pairs": ("pairs.jsonl", read_rows),
    "findings": ("findings.jsonl", lambda path: list(read_findings(path))),
    "captions": ("metadata.json", read_captions),
    "lines of captions": ("metadata.jsonl", read_captions),
    "a table of weights": ("weights.jsonl", read_table),
    "a log": ("log.jsonl", read_log),
    "results": ("run.json", lambda path: open_results(path.parent)),
    "what is familiar": ("familiar.json", lambda path: read_domain(path.parent)),
    "a data set": ("dataset.json", lambda path: read_datasets(path, "wan")),
    "a data set in TOML": ("dataset.toml", lambda path: read_datasets(path, "wan")),
    "a comprehension check": ("check.json", create._check),
    "a comprehension check in TOML": ("check.toml", create._check),
}


@pytest.mark.parametrize("name", READERS)
def test_deep_json_is_refused_by(tmp_path: Path, name: str) -> None:
    file, reader = READERS[name]
    path = tmp_path / file
    path.write_text(("a = " if file.endswith(".toml") else "") + DEEP + "\n")
    with pytest.raises(ValueError, match=r"nest|should be|is no JSON") as caught:
        reader(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("content", "words"), [
    (b'{"a": ', "should be JSON"), (b"[" * 100_000, "should be JSON"), (b"\xff\xfe\x00", "JSON"),
    (b"[1]", "should hold an object, got list"),
])
def test_a_file_that_holds_no_object_is_named_in_one_line(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words) as raised:
        read_json_object(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_holds_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"size": [4, 8], "name": "über"}', encoding="utf-8")
    assert read_json_object(tmp_path / "a.json") == {"size": [4, 8], "name": "über"}


def test_an_earlier_name_stands_beside_the_new_one_at_every_depth() -> None:
    content = {"images": 2, "rows": [{"images": 1}, {"pairs": {"images": 3}}], "n": (1, "images")}
    assert with_earlier_names(content, {"images": "pictures"}) == {
        "images": 2, "pictures": 2, "n": [1, "images"],
        "rows": [{"images": 1, "pictures": 1}, {"pairs": {"images": 3, "pictures": 3}}]}


@pytest.mark.skipif(sys.version_info < (3, 11), reason="tomli is what is used there anyway")
def test_a_comprehension_check_in_toml_is_read_on_python_3_10_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "check.toml").write_text('[[check]]\nquestion = "?"\nanswers = ["a"]\nright = 0\n')
    monkeypatch.setitem(sys.modules, "tomli", importlib.import_module("tomllib"))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "version_info", (3, 10, 14))
        importlib.reload(toml_text)
        questions = create._check(tmp_path / "check.toml")
    importlib.reload(toml_text)
    assert questions == [{"question": "?", "answers": ["a"], "right": 0}]
