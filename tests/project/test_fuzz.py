"""Damaged files of every kind are read or refused in words; scripts/fuzz.py tries far more."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import damage
import pytest
from readable import KINDS
from readable_kind import Kind
from reading_process import GOOD, Reader, damaged_copy, make_whole

ROOT = Path(__file__).parents[2]
SEED = 20
OF_EACH_KIND = 12


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    make_whole(folder)
    return folder


@pytest.mark.slow
def test_damaged_files_are_read_or_refused_and_nothing_else(whole: Path) -> None:
    with Reader(whole, SEED) as reader:
        outcomes = [reader.read(name, number) for number in range(OF_EACH_KIND) for name in KINDS]
    assert [outcome for outcome in outcomes if outcome.what not in GOOD] == []
    refused = {outcome.kind for outcome in outcomes if outcome.what == "refused"}
    assert refused == set(KINDS), "the damage should be noticed in every kind"


def only_damaged(folder: Path) -> bool:
    return (folder / "file").read_bytes() != b"content"


def ends_at_once(folder: Path) -> None:
    if only_damaged(folder):
        os._exit(3)


def never_ends(folder: Path) -> None:
    if only_damaged(folder):
        threading.Event().wait()


def fails(folder: Path) -> None:
    if only_damaged(folder):
        raise RuntimeError("not an error for a reader to raise")


def takes_memory(folder: Path) -> None:
    if only_damaged(folder):
        assert bytearray(b"x" * 100_000_000).count(b"y") == 0


FAULTY = {"crash": ends_at_once, "hang": never_ends, "exception": fails, "memory": takes_memory}


@pytest.mark.slow
def test_every_fault_of_a_reader_is_found_and_the_next_file_is_read(tmp_path: Path) -> None:
    kinds = {what: Kind(make=fails, read=read) for what, read in FAULTY.items()}
    for what in kinds:
        (tmp_path / what).mkdir()
        (tmp_path / what / "file").write_bytes(b"content")
    with Reader(tmp_path, 0, kinds=kinds, hang=15, most=50_000_000) as reader:
        found = {what: reader.read(what, 0).what for what in kinds}
    if sys.platform != "linux":  # memory is not measured
        del found["memory"], kinds["memory"]
    assert found == {what: what for what in kinds}


@pytest.mark.slow
def test_a_long_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), "-o", str(tmp_path), "--kind",
               "pairs csv", "--kind", "npz", "--workers", "1", "--files"]

    def run(files: int) -> str:
        done = subprocess.run([*command, str(files)], capture_output=True, text=True, check=True,
                              env={**os.environ, "PYTHONPATH": str(ROOT)})
        return done.stdout

    assert "4 of 4 files to read" in run(4)
    log = tmp_path / "log-0.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join(lines[:3]) + "\n" + lines[3][:20])  # as a kill leaves it
    said = run(6)
    assert "3 of 6 files to read" in said
    assert "0 faults in 6 files" in said
    assert len(log.read_text().splitlines()) == 7  # the half line stays, by itself


def test_the_same_seed_gives_the_same_damage(whole: Path) -> None:
    for name, kind in KINDS.items():
        def contents(number: int, name: str = name, kind: Kind = kind) -> list[bytes]:
            with damaged_copy(whole, name, number, 0) as copy:
                return [file.read_bytes() for file in kind.files(copy)]

        assert contents(1) == contents(1)
        assert len({b"|".join(contents(number)) for number in range(8)}) > 4


def test_a_png_is_given_the_checksums_of_what_is_in_it(whole: Path) -> None:
    data = (whole / "png" / "picture.png").read_bytes()
    assert damage.png_checksums(data) == data
    changed = bytearray(data)
    changed[19] ^= 1  # of the width, which is bytes 16 to 19
    repaired = damage.png_checksums(bytes(changed))
    assert repaired[29:33] == zlib.crc32(changed[12:29]).to_bytes(4, "big")
    assert damage.png_checksums(data[:40]) == data[:40]


def test_every_mutation_bears_any_length() -> None:
    rng = random.Random(0)
    for mutation in damage.MUTATIONS:
        for data in (b"", b"a", bytes(range(256)) * 20):
            for _ in range(20):
                assert isinstance(mutation(data, rng), bytes)
