"""JSON from outside: what is no JSON, or says two things at once, is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from motifocal.cli.study.create import create
from motifocal.files.json_text import parse_strict_json
from motifocal.study.stats.metric_votes import read_scores
from motifocal.study.votes import read_votes

DEEP = "[" * 100_000


def test_values_are_those_of_the_text() -> None:
    expected = {"a": [1, 2.5, None], "b": {"a": "ü"}}
    text = '{"a": [1, 2.5, null], "b": {"a": "ü"}}'
    for given in (text, text.encode(), text.encode("utf-8-sig")):
        assert parse_strict_json(given) == expected


@pytest.mark.parametrize(("text", "words"), [
    ('{"a": 1, "a": 1}', "twice"), ('[{"b": {"a": 1, "c": 2, "a": 3}}]', "twice"),
    (DEEP, "deep"), ("{", "Expecting"), (b"\xff", "utf-8"), ("9" * 5000, "digits"),
])  # fmt: skip
def test_what_cannot_be_read_in_one_way_is_refused(text: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_strict_json(text)


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', DEEP], ids=["twice", "deep"])
def test_every_file_of_the_study_is_read_so(tmp_path: Path, text: str) -> None:
    for name in ("scores.json", "scores.csv", "votes.jsonl", "protocol.json"):
        (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"scores\.json"):
        read_scores(tmp_path)
    with pytest.raises(ValueError, match=r"votes\.jsonl"):
        read_votes(tmp_path / "votes.jsonl")
    words = ["--a", str(tmp_path), "--b", str(tmp_path), "-o", str(tmp_path / "study.db")]
    with pytest.raises(ValueError, match=r"protocol\.json"):
        create.main([*words, "--protocol", str(tmp_path / "protocol.json")], standalone_mode=False)
