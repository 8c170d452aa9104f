"""Damaged, foreign and missing shards are named with their file."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import torch
from scene_shards import begin

from motifocal.data.shard_file import DamagedShard, ShardClip, write_shard
from motifocal.data.shards import Shards
from motifocal.data.sources import SceneClips


def damaged(data: bytes, rng: random.Random) -> bytes:
    """The bytes with one of the faults that disks, copies and editors make."""
    place = rng.randrange(len(data))
    kind = rng.randrange(5)
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + bytes([data[place] ^ (1 << rng.randrange(8))]) + data[place + 1 :]
    if kind == 2:
        return data[:place] + bytes(min(64, len(data) - place)) + data[place + 64 :]
    if kind == 3:
        return data + rng.randbytes(rng.randrange(1, 50))
    header = int.from_bytes(data[:8], "little")
    place = 8 + rng.randrange(header)
    return data[:place] + rng.randbytes(1) + data[place + 1 :]


def read_all(folder: Path) -> None:
    shards = Shards(folder)
    for start in range(0, len(shards), 4):
        shards.batch(list(range(start, min(start + 4, len(shards)))))


def test_every_damage_to_a_shard_is_named_with_its_file_and_repaired(
    whole: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    rng, path = random.Random(18), folder / "shard-00001.safetensors"
    good, unseen, messages = path.read_bytes(), 0, list[str]()
    for _ in range(150):
        spoilt = damaged(good, rng)
        if spoilt == good:
            continue
        path.unlink()  # another file, since the one before may still be mapped
        path.write_bytes(spoilt)
        try:
            read_all(folder)
        except DamagedShard as error:
            messages.append(str(error))
        else:
            unseen += 1
    assert all(m.startswith(f"{path} is damaged (") for m in messages)
    assert all(m.endswith("; run motifocal prepare again") for m in messages)
    # What is left over: a byte of the header that means the same, such as another space.
    assert unseen <= 3
    told: list[str] = []
    path.unlink()
    path.write_bytes(good[:-1000])
    assert list(begin(folder, notify=told.append)) == [10]
    assert told[0].startswith(f"{path} is damaged (")
    assert told[0].endswith("made anew")
    assert path.read_bytes() == good


@pytest.mark.parametrize(
    ("text", "named"),
    [("{", "should be JSON"), ("[" * 100_000, "should be JSON"), ("[]", "should hold an object"),
     ('{"clips": "ten"}', "'clips' as int"), ('{"clips": 0}', "'clips' as int"),
     ('{"clips": 10, "clips_per_shard": 4}', "'heatmap' as dict")],
    ids=["cut", "deep", "list", "words", "none", "short"],
)  # fmt: skip
def test_a_damaged_manifest_is_named(text: str, named: str, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    (folder / "prepared.json").write_text(text)
    for read in (Shards, lambda folder: next(begin(folder))):
        with pytest.raises(ValueError, match=rf"prepared\.json .*{named}"):
            read(folder)


def test_a_shard_of_another_size_than_the_first_is_named(whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "copy"))
    clips = [ShardClip(torch.zeros(4, 3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8),
                       torch.tensor(8.0), "x")] * 4  # fmt: skip
    write_shard(folder / "shard-00001.safetensors", clips, ["00" * 32] * 4)
    with pytest.raises(ValueError, match=r"shard-00001.* should hold latents \(4, 3, 2, 2\)"):
        Shards(folder)


def test_a_folder_that_was_never_prepared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should hold prepared\.json"):
        Shards(tmp_path)


def test_nothing_to_prepare_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one clip to prepare, got none"):
        next(begin(tmp_path, source=SceneClips(0, "train", 16, 3, 0)))
