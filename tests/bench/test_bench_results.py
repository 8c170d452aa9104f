"""What a folder of results says of itself is checked where it is read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from motifocal.bench.pairs import Benchmark, Pair
from motifocal.bench.results import Results, claim_results, open_results
from motifocal.generate.model import Format

PAIR = Pair("kite", "kite_1", "a kite rises")
FORMAT = {"frames": 16, "height": 64, "width": 64, "fps": 8.0}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The run.json of a folder of results."""
    results = Results(tmp_path / "results", "Mine", {"steps": 4}, Benchmark("kites", (PAIR,), 1),
                      (0, 3), Format(**FORMAT))  # fmt: skip
    claim_results(results)
    assert open_results(results.folder) == results
    return results.folder / "run.json"


@pytest.mark.parametrize(("field", "value"), [
    ("seeds", ["/../../x"]), ("seeds", [True]), ("seeds", [-1]), ("seeds", [0.0]), ("seeds", "01"),
    ("seeds", {"0": 1}), ("seeds", None), ("model", 7), ("model", None), ("benchmark", ["kites"]),
    ("pairs_total", "1"), ("pairs_total", False), ("subset", None), ("pairs_sha256", 0),
    ("settings", []), ("settings", None), ("format", [16, 64, 64, 8]), ("format", ""),
    ("format", {**FORMAT, "fps": "8"}), ("format", {**FORMAT, "frames": True}),
    ("format", {"frames": 16}), ("format", {**FORMAT, "crf": 1}),
])  # fmt: skip
def test_a_field_of_another_type_is_named_with_its_file(
    run: Path, field: str, value: object
) -> None:
    held = json.loads(run.read_text())
    run.write_text(json.dumps({**held, field: value}))
    with pytest.raises(ValueError, match=f"^{re.escape(str(run))}: {field} should be ") as raised:
        open_results(run.parent)
    assert "\n" not in str(raised.value)
    del held[field]
    run.write_text(json.dumps(held))
    with pytest.raises(ValueError, match=f"{field} should be .*, got none"):
        open_results(run.parent)


def test_a_run_that_is_no_object_is_refused(run: Path) -> None:
    run.write_text("[]")
    with pytest.raises(ValueError, match=r"run\.json should hold an object, got list"):
        open_results(run.parent)


def test_a_negative_prompt_that_was_left_to_the_pipeline_goes_on_so_and_no_other_does(
    tmp_path: Path,
) -> None:
    none: dict[str, Any] = {"negative_prompt": None}
    empty = {"negative_prompt": "", "empty_negative_prompt": True}
    earlier = {"negative_prompt": ""}
    families_own = {"negative_prompt": ""}  # of HunyuanVideo, before and now
    goes_on = [(none, none), (empty, empty), (earlier, none), (families_own, families_own)]
    refused = [(none, empty), (empty, none), (earlier, empty), ({"negative_prompt": "blur"}, none)]
    for number, (before, now) in enumerate(goes_on + refused):
        results = Results(tmp_path / str(number), "Mine", before, Benchmark("kites", (PAIR,), 1),
                          (0,), None)
        claim_results(results)
        if (before, now) in goes_on:
            claim_results(replace(results, settings=now))
        else:
            with pytest.raises(ValueError, match="negative_prompt"):
                claim_results(replace(results, settings=now))
