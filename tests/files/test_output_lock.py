"""Two commands do not write into one folder at a time, and a killed one leaves it free."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import tiny
import tiny_bench
from click.testing import CliRunner

from motifocal.bench.pairs import read_benchmark
from motifocal.cli import cli
from motifocal.cli.output.locking import lock_output
from motifocal.data.sources import SceneClips
from motifocal.files.output_lock import LOCK, FolderInUse, output_lock
from motifocal.media.video import write_video
from motifocal.models.pipeline import BUNDLED

HOLD = """
import sys, time
from pathlib import Path
from motifocal.output_lock import output_lock
part = sys.argv[2] if len(sys.argv) > 2 else None
with output_lock(Path(sys.argv[1]), "motifocal train", part):
    print("held", flush=True)
    sys.stdin.read()
"""


class Holder:
    """Another process that holds a folder until it is told to end, or is killed."""

    def __init__(self, folder: Path, *part: str) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder), *part],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def end(self) -> None:
        self.process.communicate()
        assert self.process.returncode == 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Holder]:
    holder = Holder(tmp_path / "out")
    yield holder
    holder.kill()


def test_a_folder_in_use_is_refused_and_its_holder_named(holder: Holder, tmp_path: Path) -> None:
    with pytest.raises(FolderInUse) as caught:
        output_lock(tmp_path / "out", "motifocal heatmap").__enter__()
    text = str(caught.value)
    assert text.startswith(f"{tmp_path / 'out'} is in use by motifocal train (process "
                           f"{holder.process.pid} on ")
    assert text.endswith("; wait for its end or use another folder")
    holder.end()
    with output_lock(tmp_path / "out", "motifocal heatmap"):
        held = json.loads((tmp_path / "out" / LOCK).read_text())
        assert (held["command"], held["pid"]) == ("motifocal heatmap", os.getpid())


def test_a_killed_holder_leaves_the_folder_free(holder: Holder, tmp_path: Path) -> None:
    holder.kill()
    assert (tmp_path / "out" / LOCK).exists()
    with output_lock(tmp_path / "out", "motifocal heatmap"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_a_folder_that_stays_empty_goes_again_and_a_filled_one_keeps_no_lock(
    tmp_path: Path,
) -> None:
    with output_lock(tmp_path / "a" / "b", "x"):
        pass
    assert not (tmp_path / "a" / "b").exists()
    with output_lock(tmp_path / "c", "x"):
        (tmp_path / "c" / "file").touch()
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["file"]
    (tmp_path / "d").mkdir()
    with output_lock(tmp_path / "d", "x"):
        pass
    assert (tmp_path / "d").is_dir()


def test_a_file_in_the_folders_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(FileExistsError, match="out"):
        output_lock(tmp_path / "out", "x").__enter__()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="link"):
        output_lock(tmp_path / "link", "x").__enter__()


def test_parts_share_a_folder_but_each_is_held_once(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first = Holder(folder, "1-of-2")
    with output_lock(folder, "motifocal bench run", "2-of-2"):
        with pytest.raises(FolderInUse, match=f"process {first.process.pid} "):
            output_lock(folder, "motifocal bench run", "1-of-2").__enter__()
        with pytest.raises(FolderInUse) as caught:
            output_lock(folder, "motifocal bench ingest").__enter__()
        assert f"process {first.process.pid} " in str(caught.value)
        assert f"process {os.getpid()} " in str(caught.value)
    first.end()
    with output_lock(folder, "motifocal bench ingest"):
        with pytest.raises(FolderInUse, match="in use by motifocal bench ingest"):
            output_lock(folder, "motifocal bench run", "1-of-2").__enter__()
        (folder / "video.mp4").touch()
    assert [path.name for path in folder.iterdir()] == ["video.mp4"]


def test_a_folder_that_vanishes_while_its_holder_is_read_is_in_use_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vanished(self: Path, pattern: str) -> Iterator[Path]:
        raise FileNotFoundError(2, "No such file or directory", str(self))

    monkeypatch.setattr(Path, "glob", vanished)
    folder = tmp_path / "out"
    with (output_lock(folder, "first"), pytest.raises(FolderInUse, match="first"),
          output_lock(folder, "second")):
        pass


def test_of_many_that_begin_at_once_one_has_the_folder_at_a_time(tmp_path: Path) -> None:
    inside, most, turns = 0, 0, 0
    counting, start = threading.Lock(), threading.Barrier(8)

    def work() -> None:
        nonlocal inside, most, turns
        start.wait()
        for _ in range(50):
            try:
                with output_lock(tmp_path / "out", "x"):
                    with counting:
                        inside, turns = inside + 1, turns + 1
                        most = max(most, inside)
                    with counting:
                        inside -= 1
            except FolderInUse:
                continue

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert turns > 0


FORK = """
import os, signal, sys
from pathlib import Path
from motifocal.output_lock import output_lock
with output_lock(Path(sys.argv[1]), "motifocal prepare"):
    parent = os.getpid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        os.kill(parent, signal.SIGKILL)
    signal.pause()
"""


def test_a_worker_that_outlives_its_killed_parent_does_not_hold_the_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", FORK, str(tmp_path / "out")]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    try:
        assert parent.wait() == -signal.SIGKILL
        with output_lock(tmp_path / "out", "motifocal prepare"):
            pass
    finally:
        os.kill(worker, signal.SIGKILL)
        parent.stdout.close()


# Every command.


def commands(folder: Path, base: Path) -> dict[str, list[object]]:
    """A call of every command that works in an output folder for long, into folder/out."""
    out, clips, shards = folder / "out", folder / "clips", folder / "shards"
    tiny.tiny_shards(shards, clips=4)
    clips.mkdir()
    frames = SceneClips(1, "train", 32, 5, 0)[0].frames
    write_video(clips / "a.mp4", frames, 8)
    (clips / "a.txt").write_text("a duck")
    bench = tiny_bench.write_benchmark(folder / "bench")
    own = ["--bench", bench, "--own-pairs", "-o", out]
    (folder / "made").mkdir()
    for pair in read_benchmark(bench, own_pairs=True).pairs:
        write_video(folder / "made" / pair.file(0), frames, 8)
    results = folder / "results"
    made = ["bench", "ingest", folder / "made", "--bench", bench, "--own-pairs", "-o", results,
            "--name", "Mine"]  # fmt: skip
    assert CliRunner().invoke(cli, [*map(str, made)]).exit_code == 0
    drawing = ["--command", "draw {image} {prompt} {output} {seed}", "--name", "Mine"]
    return {
        "prepare": ["scenes", "-o", out, "--model", base, "--size", 16, "--frames", 3],
        "train": [shards, "-o", out, "--model", base, "--preset", "scenes", "--device", "cpu",
                  *tiny.assignments()],
        "heatmap": [clips, "-o", out],
        "inspect": [clips, "-o", out],
        "export": [clips, "-o", out, "--as", "masks", "--family", "wan", "--frames", 5,
                   "--size", "32x32"],
        "bench run": [*own, *drawing],
        "bench run --shard 1/2": [*own, *drawing],
        "bench ingest": [folder / "made", *own, "--name", "Mine"],
        "scenes eval": ["bundled", "-o", out],
        "scenes probe": ["bundled", "-o", out],
        "figure6": [BUNDLED, shards, "-o", out],
        "bench score": [results, "-o", out, "--no-plot"],
        "scenes export": ["-o", out],
        "base": ["-o", out],
    }  # fmt: skip


def test_every_command_refuses_a_folder_that_another_works_in(
    holder: Holder, base: Path, tmp_path: Path
) -> None:
    before = sorted(p.name for p in (tmp_path / "out").iterdir())
    for name, arguments in commands(tmp_path, base).items():
        tiny.fresh_accelerator()
        result = CliRunner().invoke(cli, [*name.split(), *map(str, arguments)])
        assert isinstance(result.exception, FolderInUse), (name, result.output, result.exception)
        assert f"process {holder.process.pid} " in str(result.exception)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == before


def test_a_command_names_itself_and_lets_go_when_it_ends(tmp_path: Path) -> None:
    @click.command()
    def work() -> None:
        lock_output(tmp_path / "out")
        (tmp_path / "out" / "made").write_text((tmp_path / "out" / LOCK).read_text())
        raise ValueError("it went wrong")

    result = CliRunner().invoke(work, prog_name="motifocal work")
    assert str(result.exception) == "it went wrong"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["made"]
    assert json.loads((tmp_path / "out" / "made").read_text())["command"] == "motifocal work"


@pytest.mark.parametrize("linked", ["", "out"])
def test_a_link_that_leads_nowhere_is_refused_rather_than_waited_for(
    tmp_path: Path, linked: str
) -> None:
    """An unmounted disk, say: trying again would never end."""
    link = tmp_path / "link" / linked
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(tmp_path / "gone" / "disk")
    with pytest.raises(OSError, match=r"exists|No such file"), (
        output_lock(tmp_path / "link" / "out", "motifocal train")):  # fmt: skip
        pass


def test_where_no_folder_can_be_made_the_command_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("motifocal.files.output_lock._PAUSE", 0)
    os.mkfifo(tmp_path / "pipe")  # as /dev/null: neither a file nor a folder
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for folder in (tmp_path / "pipe", tmp_path / "pipe" / "out", Path("out")):
        with pytest.raises(OSError, match=folder.name):
            output_lock(folder, "motifocal train").__enter__()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_the_locks_place_is_refused_and_what_it_leads_to_stays(
    tmp_path: Path, there: bool
) -> None:
    folder, thesis = tmp_path / "out", tmp_path / "thesis.tex"
    folder.mkdir()
    if there:
        thesis.write_text("years of work")
    (folder / LOCK).symlink_to(thesis)
    with pytest.raises(OSError, match=f"{LOCK} should be a file, got a link: remove it"):
        output_lock(folder, "motifocal train").__enter__()
    assert thesis.exists() == there
    assert not there or thesis.read_text() == "years of work"
