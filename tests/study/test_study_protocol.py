"""A protocol keeps its rules as written, and makes sense."""

from __future__ import annotations

import json
from typing import Any

import pytest

from motifocal.study.protocol import Protocol, read_protocol


def test_the_gold_rule_treats_its_bounds_as_written() -> None:
    protocol = Protocol(gold_least=4, gold_share=0.55)
    assert not protocol.fails_gold(3, 0)
    assert protocol.fails_gold(4, 2)
    assert not protocol.fails_gold(20, 11)  # 0.55 * 20 is a little more than 11 in floats
    assert protocol.fails_gold(20, 10)


def test_the_hash_of_a_protocol_changes_with_every_field() -> None:
    base = Protocol()
    other = {"title": "x", "votes": 3, "ties": True, "cap": 3, "gold_every": 5, "question": "What?",
             "consent_md": "x", "gold_share": 0.5, "keep_ids": True, "completion_code": "X"}
    digests = {Protocol(**{name: value}).digest() for name, value in other.items()}
    assert len(digests | {base.digest()}) == len(other) + 1
    assert read_protocol(json.loads(base.to_json())) == base
    assert Protocol(votes=3).wording_digest() == base.wording_digest()
    assert Protocol(consent_md="x").wording_digest() != base.wording_digest()


@pytest.mark.parametrize(("values", "words"), [
    ({"votes": 0}, "votes: Input should be greater than or equal to 1"),
    ({"colour": 1}, "colour: Extra inputs are not permitted"),
    ({"gold_every": 1}, "gold_every should be 0, or at least 2"),
    ({"gold_every": 5, "gold_kinds": [], "gold_counted": []}, "with some gold_kinds"),
    ({"gold_kinds": ["still"]}, "gold_counted should be among still"),
    ({"gold_kinds": ["still", "still"]}, "name each kind once"),
    ({"reasons": [{"key": "text_alignment", "label": "x"}, {"key": "object_motion", "label": "y"}]},
     "in this order"),
    ({"least_seconds": 600}, "least_seconds should be below"),
    ({"completion_urls": {"prolific": "javascript:alert(1)"}}, "should be an https:// address"),
    ({"completion_code": "<b>"}, "completion_code: String should match"),
    ({"check": [{"question": "x", "answers": ["a", "b"], "right": 2}]}, "right should be 0 to 1"),
])  # fmt: skip
def test_a_protocol_that_makes_no_sense_is_refused_in_one_line(
    values: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match="the protocol is not valid") as refused:
        read_protocol(values)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
