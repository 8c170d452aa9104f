"""A run goes on only with the shards, the parts and the notes that it was begun with."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiny
from train_command import arguments, fast_forward, invoke

from motifocal.data.shards import Shards
from motifocal.training.checkpoint import save_checkpoint
from motifocal.training.inputs import lock_inputs
from motifocal.training.run_folder import load_clip_size, load_settings


def test_other_shards_or_another_text_encoder_are_refused(
    shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    given = arguments(shards_folder, tmp_path / "run", base, steps=2)
    assert invoke(*given, "--samples", "0").exit_code == 0
    tiny.tiny_shards(tmp_path / "other", seed=4)
    result = invoke(*arguments(tmp_path / "other", tmp_path / "run", base, steps=2))
    assert "inputs.json says other shards, other clips; use the same" in str(result.exception)


@pytest.mark.parametrize(
    ("named", "file"),
    [("clips", "shards/shard-00001.safetensors"), ("tokenizer", "base/tokenizer/tokenizer.json"),
     ("text_encoder_config", "base/text_encoder/config.json")],
)  # fmt: skip
def test_inputs_that_changed_in_their_place_are_refused(
    named: str, file: str, shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    shutil.copytree(shards_folder, tmp_path / "shards")
    shutil.copytree(base, tmp_path / "base")
    run, changed = tmp_path / "run", tmp_path / file
    lock_inputs(run, Shards(tmp_path / "shards"), tmp_path / "base")
    save_checkpoint(run / "checkpoints", 1, {})
    lock_inputs(run, Shards(tmp_path / "shards"), tmp_path / "base")
    if changed.suffix == ".json":
        changed.write_text(changed.read_text() + "\n")
    else:
        other = tiny.tiny_shards(tmp_path / "other", seed=4)
        shutil.copy(other.folder / changed.name, changed)
    with pytest.raises(ValueError, match=f"inputs.json says other {named}; use"):
        lock_inputs(run, Shards(tmp_path / "shards"), tmp_path / "base")


@pytest.mark.parametrize("name", ["training.json", "inputs.json"])
@pytest.mark.parametrize("text", ["", '{"steps": 4, "ra', "[1]", "{}", "[" * 100_000, "\xff"])
def test_a_damaged_note_of_a_run_is_named(
    name: str, text: str, shards_folder: Path, base: Path, tmp_path: Path
) -> None:
    fast_forward(tmp_path, base, Shards(shards_folder))
    lock_inputs(tmp_path, Shards(shards_folder), base)
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    readers: dict[str, list[Any]] = {
        "training.json": [lambda: tiny.tiny_run(tmp_path, base, Shards(shards_folder)),
                          lambda: load_settings(tmp_path)],
        "inputs.json": [lambda: load_clip_size(tmp_path)],
    }  # fmt: skip
    if (name, text) != ("inputs.json", "{}"):  # that is a run of an earlier version
        readers["inputs.json"].append(lambda: lock_inputs(tmp_path, Shards(shards_folder), base))
    for read in readers[name]:
        note = re.escape(str(tmp_path / name))
        with pytest.raises(ValueError, match=rf"^{note} should (hold|be JSON)"):
            read()
