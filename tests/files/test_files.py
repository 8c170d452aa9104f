"""A file is written whole or not at all, by one helper, whatever goes wrong meanwhile."""

from __future__ import annotations

import ast
import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file

from motifocal.files import atomic as files
from motifocal.files.atomic import (
    remove_temporaries,
    replacing,
    replacing_folder,
    sha256_of,
    write_new_text,
    write_text,
)
from motifocal.files.json_lines import LineWriter, read_lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

PACKAGE = Path(files.__file__).parent


def test_a_file_that_is_written_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "one\n")
    write_text(path, "two\r\nthree\n", durable=True)
    assert path.read_bytes() == b"two\r\nthree\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_an_error_leaves_the_file_before_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "before")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_pipe_gets_what_is_written_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"  # as a device would
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as threads:
        read = threads.submit(subprocess.check_output, ["cat", pipe], timeout=60)
        write_text(pipe, "for another program")
        assert read.result() == b"for another program"
    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


def test_standard_output_gets_what_is_written_in_turn_and_keeps_its_name(tmp_path: Path) -> None:
    link = tmp_path / "stdout"  # as /dev/stdout is one
    link.symlink_to("/dev/fd/1")
    code = ("from pathlib import Path; from motifocal.files.atomic import write_text; "
            f"print('a'); write_text(Path('{link}'), 'b'); print('c')")
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "a\nbc\n"
    assert os.readlink(link) == "/dev/fd/1"


def test_writers_of_one_file_at_a_time_do_not_meet(tmp_path: Path) -> None:
    path, texts = tmp_path / "a.txt", [str(k) * 100_000 for k in range(8)]
    start = threading.Barrier(len(texts))

    def write(text: str) -> None:
        start.wait()
        for _ in range(10):
            write_text(path, text)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert path.read_text() in texts
    assert len(list(tmp_path.iterdir())) == 1


def test_a_durable_file_and_its_folder_reach_the_disk_in_that_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    flush, replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        events.append("folder" if name == tmp_path.resolve() else "file")
        flush(descriptor)

    def renamed(source: Path, target: Path) -> None:
        events.append("rename")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", renamed)
    write_text(tmp_path / "a.txt", "kept", durable=True)
    assert events == ["file", "rename", "folder"]
    write_text(tmp_path / "a.txt", "less important")
    assert events[3:] == ["rename"]


def test_a_file_has_the_mode_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


def test_a_folder_appears_whole_or_not_at_all_and_with_the_umasks_modes(tmp_path: Path) -> None:
    folder, before = tmp_path / "deep" / "model", os.umask(0o027)

    def filled(text: str, error: Exception | None = None) -> None:
        with replacing_folder(folder) as temporary:
            (temporary / "unet").mkdir()
            save_file({"x": torch.ones(2)}, temporary / "unet" / "x.safetensors")
            (temporary / "card.md").write_text(text)
            if error is not None:
                raise error

    try:
        with pytest.raises(ValueError, match="half"):
            filled("one", ValueError("half"))
        assert not list((tmp_path / "deep").iterdir())
        filled("two")
        filled("three")
        with pytest.raises(ValueError, match="half"):
            filled("four", ValueError("half"))
    finally:
        os.umask(before)
    assert (folder / "card.md").read_text() == "three"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["model"]
    for path in (folder / "card.md", folder / "unet" / "x.safetensors"):
        assert path.stat().st_mode & 0o777 == 0o640
    assert folder.stat().st_mode & 0o777 == 0o750


def test_the_folder_before_stays_where_the_new_one_cannot_take_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, rename = tmp_path / "model", Path.rename
    with replacing_folder(folder) as temporary:
        (temporary / "card.md").write_text("one")

    def blocked(self: Path, target: Path) -> Path:
        if list(self.glob("two.md")):  # as by a scanner of viruses that has one of its files open
            raise PermissionError("in use")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", blocked)
    with pytest.raises(PermissionError, match="in use"), replacing_folder(folder) as temporary:
        (temporary / "two.md").write_text("two")
    assert (folder / "card.md").read_text() == "one"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_place_of_a_folder_goes_and_what_it_leads_to_stays(
    tmp_path: Path, there: bool
) -> None:
    other, folder = tmp_path / "other", tmp_path / "run" / "unet"
    folder.parent.mkdir()
    folder.symlink_to(other)
    if there:
        other.mkdir()
        (other / "a").write_text("theirs")
    with replacing_folder(folder) as temporary:
        (temporary / "a").write_text("new")
    assert [path.name for path in folder.parent.iterdir()] == ["unet"]
    assert not folder.is_symlink()
    assert not there or (other / "a").read_text() == "theirs"
    (folder.parent / f".{'0' * 16}.tmp").symlink_to(tmp_path)  # of an earlier version
    remove_temporaries(folder.parent)
    assert [path.name for path in folder.parent.iterdir()] == ["unet"]


def test_a_line_is_in_the_file_though_the_disk_takes_it_in_parts(tmp_path: Path) -> None:
    class NearlyFull(io.FileIO):
        def write(self, data: ReadableBuffer, /) -> int:
            return super().write(bytes(data)[:5])

    path = tmp_path / "a.jsonl"
    with NearlyFull(path, "ab") as file:
        for number in range(3):
            LineWriter(path, file).add({"number": number})
    assert list(read_lines(path)) == [{"number": number} for number in range(3)]


def test_a_place_that_cannot_be_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone.a\.txt: the folder .*gone does not exist"):
        write_text(tmp_path / "gone/a.txt", "x")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        write_text(tmp_path, "x")


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    with replacing(tmp_path / "a.txt") as temporary:
        name = temporary.name
        temporary.write_text("whole")
    (tmp_path / name).write_text("half")
    (tmp_path / ".mine.tmp").write_text("not ours")
    (tmp_path / f".{'ab' * 8}.tmp" / "unet").mkdir(parents=True)
    remove_temporaries(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".mine.tmp", "a.txt"]
    remove_temporaries(tmp_path / "nowhere")


def test_a_files_sha256_is_that_of_its_bytes(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(data)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(data).hexdigest()


ENDS = (".partial", ".part", ".temp", ".tmp")


def names_made_by_hand(source: str) -> list[int]:
    """The lines where a path is given a name for half a file or half a folder."""
    return [
        call.lineno for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
        and call.func.attr in ("with_name", "with_suffix", "joinpath")
        and any(isinstance(node, ast.Constant) and str(node.value).endswith(ENDS)
                for given in call.args for node in ast.walk(given))
    ]  # fmt: skip


def test_no_module_makes_up_a_name_for_half_a_file_by_hand() -> None:
    by_hand = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py")) if path.name != "atomic.py"
        for line in names_made_by_hand(path.read_text(encoding="utf-8"))
    ]  # fmt: skip
    assert by_hand == []
    source = 'a.with_suffix(".partial")\na.with_name(f".{a.name}.tmp")\na.with_suffix(".mp4")\n'
    assert names_made_by_hand(source) == [1, 2]


@pytest.mark.parametrize("failing", ["fdopen", "fsync", "link"])
def test_a_new_file_is_not_left_half_written_on_a_full_disk(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "secret"

    def no_room(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, no_room)
        with pytest.raises(OSError, match="secret cannot be written, the disk is full"):
            write_new_text(path, "x\n", 0o600)
    assert not list(tmp_path.iterdir())
    assert write_new_text(path, "x\n", 0o600)
    assert not write_new_text(path, "y\n", 0o600)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("x\n", 0o600)


def test_of_several_that_write_a_new_file_one_does(tmp_path: Path) -> None:
    path, start, done = tmp_path / "secret", threading.Barrier(8), []

    def write(text: str) -> None:
        start.wait()
        done.append((text, write_new_text(path, text, 0o600)))

    writers = [threading.Thread(target=write, args=(str(k) * 1000,)) for k in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [text for text, written in done if written] == [path.read_text()]
    assert list(tmp_path.iterdir()) == [path]
