"""Parts of a data set, done one by one, make what the whole makes; their shards as tars."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from compared_runs import EXPORT, INSPECT, OF_INSPECT, PREPARE, files, invoke

from motifocal.cli.export import export
from motifocal.cli.heatmap import heatmap
from motifocal.cli.inspect import inspect
from motifocal.cli.prepare import prepare
from motifocal.data.preparing.written import WrittenShards
from motifocal.data.shards import Shards
from motifocal.data.workers.items import Part


def test_parts_hold_every_name_once_and_are_about_as_large() -> None:
    # Tables may name what no file is called: a lone surrogate, bytes that are not UTF-8.
    names = [*(f"clips/{number}.mp4" for number in range(3000)), "\ud83d.mp4", "a\udcff.mp4"]
    parts = [Part(index, 3) for index in (1, 2, 3)]
    counts = [sum(part.holds(name) for name in names) for part in parts]
    assert all(sum(part.holds(name) for part in parts) == 1 for name in names)
    assert min(counts) > 900
    assert all(Part().holds(name) for name in names)


def test_a_name_stays_in_its_part_whatever_else_there_is() -> None:
    """By `printf a.mp4 | sha256sum`, whose first 16 digits are a multiple of 4."""
    assert [Part(index, 4).holds("a.mp4") for index in (1, 2, 3, 4)] == [True, False, False, False]
    assert Part(2, 4).file("clips.csv") == "clips-2-of-4.csv"
    assert Part().file("clips.csv") == "clips.csv"
    with pytest.raises(ValueError, match="part should be i/n with 1 <= i <= n, got 5/4"):
        Part(5, 4)


@pytest.mark.slow
def test_parts_of_inspect_make_the_report_of_the_whole(few: Path, tmp_path: Path) -> None:
    invoke(inspect, few, "-o", tmp_path / "whole", *INSPECT)
    for part in ("2/2", "1/2"):
        invoke(inspect, few, "-o", tmp_path / "parts", *INSPECT, "--shard", part)
    assert not (tmp_path / "parts" / "inspect.json").exists()
    lines = [path.read_text().splitlines() for path in (tmp_path / "parts").glob("findings-*")]
    assert sorted(map(len, lines))[0] > 0
    invoke(inspect, few, "-o", tmp_path / "parts", *INSPECT)
    assert files(tmp_path / "parts", *OF_INSPECT) == files(tmp_path / "whole", *OF_INSPECT)
    assert not (tmp_path / "parts" / "findings.jsonl").exists()  # nothing was looked at again


def test_parts_of_heatmap_and_export_make_the_tables_of_the_whole(
    few: Path, tmp_path: Path
) -> None:
    (few / "000.mov").write_bytes((few / "000.mp4").read_bytes())  # would have the same map's name
    for name, command, options, table in (("h", heatmap, ("-q",), "clips.csv"),
                                          ("e", export, EXPORT, "weights.jsonl")):  # fmt: skip
        whole, parts = tmp_path / f"{name}-whole", tmp_path / f"{name}-parts"
        invoke(command, few, "-o", whole, *options)
        for part in ("3/3", "1/3", "2/3"):
            invoke(command, few, "-o", parts, *options, "--shard", part)
        assert not (parts / table).exists()
        invoke(command, few, "-o", parts, *options)
        assert files(parts, "**/*.*") == files(whole, "**/*.*")
    (few / "000.mov").unlink()


@pytest.mark.slow
def test_parts_of_prepare_write_the_shards_of_the_whole(
    few: Path, base: Path, tmp_path: Path
) -> None:
    options = ("--model", base, *PREPARE, "--workers", 0)
    invoke(prepare, few, "-o", tmp_path / "whole", *options)
    for part in ("1/2", "2/2"):
        invoke(prepare, few, "-o", tmp_path / "parts", *options, "--shard", part, "--check-only")
    notes = [path.read_bytes() for path in (tmp_path / "parts").glob("videos-*")]
    for part in ("1/2", "2/2"):
        invoke(prepare, few, "-o", tmp_path / "parts", *options, "--shard", part)
    assert [path.read_bytes() for path in (tmp_path / "parts").glob("videos-*")] == notes
    shards = files(tmp_path / "whole", "*.safetensors")
    assert files(tmp_path / "parts", "*.safetensors") == shards
    assert len(shards) == 3


def test_damaged_lines_about_shards_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "written.jsonl").write_text(
        '{"shard": 0}\n[1]\n{"shard": [0], "state": [], "sources": ""}\n'
        '{"shard": 1, "state": [1, 2')
    shard = tmp_path / "shard-00000.safetensors"
    shard.write_bytes(b"damaged")
    assert not WrittenShards(tmp_path, None).holds(0, shard.stat(), ["00"], print)


@pytest.mark.slow
def test_tars_hold_what_the_shards_hold_and_are_made_once(
    few: Path, base: Path, tmp_path: Path
) -> None:
    options = ("--model", base, *PREPARE, "--workers", 0, "--webdataset")
    out = tmp_path / "out"
    invoke(prepare, few, "-o", out, *options)
    shards, number = Shards(out), 0
    for file in shards.files:
        with tarfile.open(file.path.with_suffix(".tar")) as tar:
            content = {member.name: tar.extractfile(member).read() for member in tar}
        for row in range(len(file.captions)):
            clip = file.clip(row)
            about = json.loads(content.pop(f"{number:06d}.json"))
            assert (about["caption"], about["fps"]) == (clip.caption, float(clip.fps))
            for name in ("latents", "heatmap"):
                stored = np.load(io.BytesIO(content.pop(f"{number:06d}.{name}.npy")))
                assert np.array_equal(stored, clip.tensors()[name].numpy())
            number += 1
        assert content == {}
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    tars = files(out, "*.tar")
    (out / "shard-00001.tar").write_bytes(b"damaged")
    invoke(prepare, few, "-o", out, *options)
    assert files(out, "*.tar") == tars
    after = {path: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    assert [path.name for path in before if before[path] != after[path]] == ["shard-00001.tar"]
