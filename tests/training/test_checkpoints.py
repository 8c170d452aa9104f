"""A checkpoint is whole or passed over, and any damage to it is found."""

from __future__ import annotations

import errno
import os
import random
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from motifocal.training.checkpoint import (
    KEEP,
    DamagedCheckpoint,
    latest_step,
    list_checkpoints,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
)


def test_a_half_written_checkpoint_is_not_found_and_not_in_the_way(tmp_path: Path) -> None:
    save_checkpoint(tmp_path, 1, {"x": torch.ones(3)})
    (tmp_path / ".0123456789abcdef.tmp").write_bytes(b"PK half a checkpoint")
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found["step"] == 1
    save_checkpoint(tmp_path, 2, {"x": torch.zeros(3)})
    assert latest_step(tmp_path) == 2
    assert [path.name for path in list_checkpoints(tmp_path)] == [
        "step-00000001.pt", "step-00000002.pt"
    ]  # fmt: skip


def test_a_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, 1, {"x": torch.ones(3)})
    whole = torch.save

    def killed(state: Any, file: Any) -> None:
        whole(state, file)
        file.truncate(100)
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, 2, {"x": torch.zeros(3)})
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert torch.equal(found["x"], torch.ones(3))
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001.pt"]


def test_the_newest_checkpoints_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 10, 11):
        save_checkpoint(tmp_path, step, {})
    names = [path.name for path in list_checkpoints(tmp_path)]
    assert names == ["step-00000010.pt", "step-00000011.pt"]
    assert len(names) == KEEP
    assert latest_step(tmp_path / "nowhere") == 0


def test_a_truncated_checkpoint_is_passed_over_for_the_one_before_and_named(
    tmp_path: Path,
) -> None:
    save_checkpoint(tmp_path, 2, {"x": torch.ones(3)})
    newest, told = save_checkpoint(tmp_path, 4, {"x": torch.zeros(3)}), list[str]()
    whole = newest.read_bytes()
    newest.write_bytes(whole[: len(whole) // 2])
    state = load_checkpoint(tmp_path, told.append)
    assert state is not None
    assert (state["step"], state["x"].tolist()) == (2, [1, 1, 1])
    assert len(told) == 1
    assert told[0].startswith(f"{newest} is damaged (")
    assert told[0].endswith("taking step-00000002.pt instead")
    with pytest.warns(UserWarning, match="is damaged"):
        load_checkpoint(tmp_path)
    # The damaged file takes no place among those that are kept.
    save_checkpoint(tmp_path, 3, {})
    assert [p.name for p in list_checkpoints(tmp_path)] == ["step-00000002.pt", "step-00000003.pt"]


def test_where_every_checkpoint_is_damaged_each_is_named(tmp_path: Path) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, step, {}).write_bytes(b"")
    with pytest.raises(DamagedCheckpoint, match=r"2\.pt is damaged .*1\.pt is damaged .*delete"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_checkpoint_that_the_system_does_not_let_be_read_is_not_called_damaged(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_checkpoint(tmp_path, 1, {})
    newest = save_checkpoint(tmp_path, 2, {})
    words = re.escape(f"{newest} cannot be read: {os.strerror(number)}")

    def refused(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(zipfile.ZipFile, "testzip", refused)
    with pytest.raises(OSError, match=words):
        load_checkpoint(tmp_path)


def test_a_checkpoint_that_is_a_link_to_itself_is_not_called_damaged(tmp_path: Path) -> None:
    newest = tmp_path / "step-00000002.pt"
    newest.symlink_to(newest)
    with pytest.raises(OSError, match=r"2\.pt cannot be read: Too many"):
        load_checkpoint(tmp_path)


def test_any_damage_to_a_checkpoint_is_found(tmp_path: Path) -> None:
    good = {"x": torch.arange(50.0), "name": "duck", "parts": [{"y": torch.ones(2, 3)}]}
    path, rng, unseen = save_checkpoint(tmp_path, 7, good), random.Random(17), []
    whole = path.read_bytes()
    for _ in range(300):
        place = rng.randrange(len(whole))
        cut, flipped = whole[:place], bytes([whole[place] ^ (1 << rng.randrange(8))])
        path.write_bytes(rng.choice([cut, cut + flipped + whole[place + 1 :],
                                     cut + bytes(9) + whole[place + 9 :]]))  # fmt: skip
        try:
            unseen.append(read_checkpoint(path))
        except DamagedCheckpoint:
            continue
    # In the zip's own padding, dates and flags a byte may change without a meaning.
    assert all(torch.equal(state["x"], good["x"]) for state in unseen)
    assert all(torch.equal(state["parts"][0]["y"], torch.ones(2, 3)) for state in unseen)
    assert all((state["step"], state["name"]) == (7, "duck") for state in unseen)
    assert len(unseen) < 150
