"""Files of torch.save: what is read, and what is refused at once."""

from __future__ import annotations

import pickle
import pickletools
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from motifocal.files.tensor_file import LONGEST_NAME, check_pickles, read_tensors
from motifocal.training.checkpoint import DamagedCheckpoint, load_checkpoint, save_checkpoint

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.zeros(2)}


@pytest.mark.parametrize("zipped", [True, False], ids=["as a ZIP archive", "as before PyTorch 1.6"])
@pytest.mark.parametrize("name", ["x.pt", "x.ckpt"])
def test_tensors_are_read_whichever_way_they_were_saved(
    tmp_path: Path, zipped: bool, name: str
) -> None:
    torch.save(TENSORS, tmp_path / name, _use_new_zipfile_serialization=zipped)
    read = read_tensors(tmp_path / name)
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[key], TENSORS[key]) for key in TENSORS)


def with_a_long_name(path: Path, length: int) -> None:
    """A file whose pickle names a class that nobody knows, by so many letters."""
    named = b"\x80\x02c" + b"x" * length + b"\nname\n."
    assert [code.name for code, _, _ in pickletools.genops(named)] == ["PROTO", "GLOBAL", "STOP"]
    torch.save(TENSORS, path)
    with zipfile.ZipFile(path) as archive:
        members = {member: archive.read(member) for member in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, named if member.endswith("data.pkl") else content)


@pytest.mark.parametrize("length", [10, LONGEST_NAME, 3_000_000])
def test_a_name_of_any_length_is_refused_at_once(tmp_path: Path, length: int) -> None:
    with_a_long_name(tmp_path / "x.pt", length)
    with pytest.raises(ValueError, match="is damaged, or holds more than tensors"):
        read_tensors(tmp_path / "x.pt")


def test_so_is_one_in_a_checkpoint(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, 3, TENSORS)
    with_a_long_name(path, 3_000_000)
    with pytest.raises(DamagedCheckpoint, match="a name of 3000005 characters"):
        load_checkpoint(tmp_path)


def test_nothing_is_built_while_a_pickle_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(pickle.dumps({"a": Path}))
    with pytest.raises(ValueError, match="pickle exhausted"):
        check_pickles(tmp_path / "x.pt")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("legacy", [False, True])
def test_a_file_that_is_damaged_anywhere_is_refused_in_a_line(tmp_path: Path, legacy: bool) -> None:
    path, rng = tmp_path / "w.pth", np.random.default_rng(0)
    torch.save({"a": torch.zeros(2)}, path, _use_new_zipfile_serialization=not legacy)
    good, refused = path.read_bytes(), 0
    for _ in range(300):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), 3):
            bad[place] = rng.integers(256)
        path.write_bytes(bad[: rng.integers(1, len(bad))])
        try:
            read_tensors(path)
        except ValueError as error:
            refused += str(path) in str(error)
    assert refused > 250
