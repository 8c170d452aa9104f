"""Clips and results in a bucket: the same bytes as from a local folder, whatever fails between."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from doctor_clips import moving, save
from s3_server import KEYS, Server, running

from motifocal.cli.export import export
from motifocal.cli.heatmap import heatmap
from motifocal.cli.inspect import inspect
from motifocal.cli.prepare import prepare
from motifocal.data.captions import CaptionedVideo
from motifocal.data.workers.threads import Threads
from motifocal.files import json_lines
from motifocal.files.atomic import write_bytes, write_text
from motifocal.files.json_lines import LineWriter, append_line, read_lines
from motifocal.files.json_text import read_json_object
from motifocal.files.remote import RemoteError, RemotePath, fetched, states_of, to_path, uploading

pytest.importorskip("moto")
pytest.importorskip("s3fs")

CLIPS = 6
INSPECT = ("--frames", 5, "--size", "48x64", "--fail-on", "never", "--workers", 1, "-q")
PREPARE = ("--size", "48x64", "--frames", 4, "--max-stride", 1, "--clips-per-shard", 2, "-q",
           "--workers", 0)  # fmt: skip
EXPORT = ("--as", "latents", "--family", "wan", "--size", "48x64", "--frames", 5, "-q")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as started, pytest.MonkeyPatch.context() as patch:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": started.url}.items():
            patch.setenv(name, value)
        yield started


@pytest.fixture(scope="module")
def clips(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn clips and their table, here and at s3://data/clips."""
    import fsspec

    folder = tmp_path_factory.mktemp("drawn") / "clips"
    folder.mkdir()
    for number in range(CLIPS):
        save(folder / f"{number}.mp4", moving(number, frames=6, height=48, width=64))
    write_text(folder / "metadata.jsonl", "".join(
        f'{{"file_name": "{number}.mp4", "text": "a square, number {number}"}}\n'
        for number in range(CLIPS)))
    bucket = fsspec.filesystem("s3")
    bucket.mkdir("data")
    for path in folder.iterdir():
        bucket.put_file(str(path), f"data/clips/{path.name}")
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny import tiny_base  # loads torch

    return tiny_base(tmp_path_factory.mktemp("base"))


def invoke(command: Any, *arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == exit_code, f"{result.output} {result.exception!r}"
    return result


def files(folder: Path, *patterns: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for pattern in patterns for path in folder.glob(pattern)}


def listings(log: list[str]) -> list[str]:
    """Requests that list more than one object, to tell whether a folder is there."""
    return [line for line in log if "list-type" in line and "max-keys=1&" not in line]


def thumbnails(folder: Path) -> dict[str, bytes]:
    """By their clips: their own names say which file was looked at."""
    report = read_json_object(folder / "inspect.json")
    return {clip["name"]: (folder / clip["thumb"]).read_bytes() for clip in report["clips"]}


# The commands


@pytest.mark.slow
def test_inspect_of_a_bucket_that_fails_now_and_then_equals_the_local_run(
    server: Server, clips: Path, tmp_path: Path
) -> None:
    local, output = tmp_path / "report", RemotePath("s3://data/report")
    invoke(inspect, clips, "-o", local, *INSPECT, "--table", "jsonl")
    server.fail(slow=5, drop=7)
    before = len(server.log())
    table = ("s3://data/clips/metadata.jsonl", "-o", output, *INSPECT, "--table", "jsonl")
    invoke(inspect, *table)
    log = server.log()[before:]
    server.fail()
    assert {line.split()[-1] for line in log} == {"answered", "slow", "dropped"}
    assert [line for line in listings(log) if "prefix=clips" in line] == []
    assert files(output, "clips.jsonl") == files(local, "clips.jsonl")
    assert thumbnails(output) == thumbnails(local)
    reports = [read_json_object(folder / "inspect.json") for folder in (local, output)]
    for report in reports:
        report["settings"].pop("folder")
        for clip in report["clips"]:
            clip.pop("thumb")
    assert reports[0] == reports[1]
    before = len(server.log())
    invoke(inspect, *table)
    again = [line for line in server.log()[before:] if line.startswith("GET /data/clips/")]
    assert again == ["GET /data/clips/metadata.jsonl answered"]  # no clip is looked at twice


@pytest.mark.slow
def test_prepare_from_a_bucket_that_is_killed_and_started_again_equals_the_local_run(
    server: Server, clips: Path, base: Path, tmp_path: Path
) -> None:
    local, output = tmp_path / "shards", RemotePath("s3://data/shards")
    invoke(prepare, clips, "-o", local, "--model", base, *PREPARE)
    whole = files(local, "*.safetensors")
    words = ["s3://data/clips", "-o", str(output), "--model", str(base), *map(str, PREPARE),
             "--workers", "1"]  # fmt: skip
    before = len(server.log())
    server.fail(slow=5, drop=7)
    with subprocess.Popen([sys.executable, "-m", "motifocal", "prepare", *words]) as process:
        shards: list[str] = []
        while not shards and process.poll() is None:
            time.sleep(0.1)
            shards = [line for line in server.log()[before:]
                      if line.startswith("PUT /data/shards/shard-") and "answered" in line]
        process.send_signal(signal.SIGKILL)
    there = files(output, "*.safetensors")
    assert there.items() <= whole.items()  # none of them is half a shard
    invoke(prepare, *words)
    server.fail()
    assert files(output, "*.safetensors", "prepared.json") == whole | files(local, "prepared.json")
    log = server.log()[before:]
    assert [line for line in listings(log) if "prefix=clips" in line] == []
    before = len(server.log())
    invoke(prepare, *words)
    assert [line for line in server.log()[before:] if line.startswith("PUT /data/shards/shard")
            ] == []


@pytest.mark.slow
def test_heatmap_and_export_from_a_bucket_equal_the_local_run(
    server: Server, clips: Path, tmp_path: Path
) -> None:
    invoke(heatmap, clips, "-o", tmp_path / "maps", "-q")
    invoke(heatmap, "s3://data/clips", "-o", "s3://data/maps", "-q")
    maps = files(tmp_path / "maps", "*.npz", "*.png")
    assert len(maps) == CLIPS + 1
    assert files(RemotePath("s3://data/maps"), "*.npz", "*.png") == maps
    invoke(export, clips, "-o", tmp_path / "here", *EXPORT)
    invoke(export, "s3://data/clips/metadata.jsonl", "-o", tmp_path / "there", *EXPORT)
    kept = ("*.safetensors", "weights.jsonl")
    assert files(tmp_path / "there", *kept) == files(tmp_path / "here", *kept)


@pytest.mark.slow
def test_what_cannot_be_fetched_is_named_and_looked_for_again(
    server: Server, clips: Path, tmp_path: Path
) -> None:
    write_bytes(RemotePath("s3://data/some/0.mp4"), (clips / "0.mp4").read_bytes())
    write_text(RemotePath("s3://data/some/metadata.jsonl"), "".join(
        f'{{"file_name": "{name}.mp4", "text": "a square"}}\n' for name in ("0", "gone")))
    invoke(inspect, "s3://data/some", "-o", tmp_path / "report", *INSPECT)
    report = read_json_object(tmp_path / "report" / "inspect.json")
    (fault,) = report["clips"][1]["faults"]
    assert (fault["code"], fault["words"]) == ("missing", "no such object or bucket")
    write_bytes(RemotePath("s3://data/some/gone.mp4"), (clips / "1.mp4").read_bytes())
    invoke(inspect, "s3://data/some", "-o", tmp_path / "report", *INSPECT)
    report = read_json_object(tmp_path / "report" / "inspect.json")
    assert "missing" not in report["summary"]["by_fault"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("s3://nothing-there/clips", "s3://nothing-there/clips: no such file or folder"),
        ("s3://denied/clips", "s3://denied/clips: access denied"),
    ],
)
def test_a_missing_and_a_denied_bucket_are_one_line(
    server: Server, tmp_path: Path, url: str, words: str
) -> None:
    error = invoke(inspect, url, "-o", tmp_path / "report", exit_code=1).exception
    assert isinstance(error, (ValueError, OSError))
    assert str(error).startswith(words)
    assert "\n" not in str(error)


def test_an_endpoint_that_answers_nothing_is_one_line(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("motifocal.files.remote.filesystem", lambda path: fsspec.filesystem(
        "s3", endpoint_url="http://127.0.0.1:9", skip_instance_cache=True))
    with pytest.raises(RemoteError, match=r"^s3://data/clips/0\.mp4: .*127\.0\.0\.1:9"):
        RemotePath("s3://data/clips/0.mp4").stat()


@pytest.mark.slow
def test_an_object_that_is_always_throttled_is_given_up(
    server: Server, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fsspec

    from motifocal.data.sources import scan_videos  # loads torch

    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("motifocal.files.remote.filesystem", lambda path: fsspec.filesystem(
        "s3", skip_instance_cache=True))
    server.fail(slow=1)
    before = len(server.log())
    try:
        with pytest.raises(RemoteError, match=r"^s3://data/any\.mp4: .*SlowDown"), \
             fetched(RemotePath("s3://data/any.mp4")):
            pass
        assert 3 <= len(server.log()) - before <= 10
        video = CaptionedVideo(RemotePath("s3://data/any.mp4"), "", "any.mp4")
        with pytest.raises(RemoteError):  # no shards are written without it
            list(scan_videos([video], tmp_path / "videos.jsonl", Threads(1)))
    finally:
        server.fail()
    ((_, scanned),) = scan_videos([video], tmp_path / "videos.jsonl", Threads(1))
    assert scanned.reason == "s3://data/any.mp4: no such object or bucket"


def test_a_large_object_is_sent_in_parts_and_appears_at_the_end(
    server: Server, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3fs.core.calculate_chunksize", lambda *_, **__: 5 * 2**20)
    path, size = RemotePath("s3://data/large.bin"), 12 * 2**20
    before = len(server.log())
    with uploading(path) as temporary:
        temporary.touch()
        os.truncate(temporary, size)
        assert not path.exists()
    assert path.stat().st_size == size
    sent = [line for line in server.log()[before:] if "partNumber" in line]
    assert len(sent) >= 3
    path.unlink()


# Paths; what holds in memory:// holds for hf:// and gs:// too


@pytest.fixture
def memory() -> RemotePath:
    import fsspec

    fsspec.filesystem("memory").store.clear()
    return RemotePath("memory://bucket/run")


def test_a_url_is_a_path_that_no_local_call_takes(memory: RemotePath) -> None:
    path = to_path("memory://bucket/run/a b/é.mp4")
    assert isinstance(path, RemotePath)
    assert (str(path), path.name, path.suffix) == ("memory://bucket/run/a b/é.mp4", "é.mp4", ".mp4")
    assert str(path.parent / "c.mp4") == "memory://bucket/run/a b/c.mp4"
    assert path.relative_to(memory).as_posix() == "a b/é.mp4"
    assert str(pickle.loads(pickle.dumps(path))) == str(path)
    assert {path: 1}[RemotePath(str(path))] == 1
    with pytest.raises(TypeError, match="should be a local path"):
        os.stat(path)
    for local in ("clips/a.mp4", "C:/clips", "a:b", "s3:/bucket/a"):
        assert not isinstance(to_path(local), RemotePath)


def test_an_object_is_written_whole_or_not_at_all(memory: RemotePath) -> None:
    write_bytes(memory / "a.bin", b"first")
    names = []

    def fail() -> None:
        with uploading(memory / "a.bin") as temporary:
            names.append(temporary)
            temporary.write_bytes(b"sec")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not names[0].exists()
    assert (memory / "a.bin").read_bytes() == b"first"
    with fetched(memory / "a.bin") as local:
        assert local.read_bytes() == b"first"
    assert not local.exists()


def test_folders_are_the_names_of_objects(memory: RemotePath) -> None:
    assert list(memory.iterdir()) == []
    for name in ("a.mp4", "b.txt", "deep/c.mp4"):
        write_bytes(memory / name, name.encode())
    assert sorted(path.name for path in memory.iterdir()) == ["a.mp4", "b.txt", "deep"]
    assert [path.name for path in memory.glob("*.mp4")] == ["a.mp4"]
    assert sorted(str(path.relative_to(memory)) for path in memory.rglob("*.mp4")
                  ) == ["a.mp4", "deep/c.mp4"]
    assert memory.is_dir()
    assert not memory.is_file()
    assert (memory / "a.mp4").is_file()
    (memory / "a.mp4").unlink()
    (memory / "a.mp4").unlink(missing_ok=True)
    gone, there = states_of([memory / "a.mp4", memory / "b.txt"])
    assert isinstance(gone, RemoteError)
    assert isinstance(there, os.stat_result)
    assert there.st_size == 5


def test_lines_that_are_added_in_a_bucket_are_read_in_their_order(
    memory: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = memory / "findings.jsonl"
    with LineWriter.open(journal) as writer:
        writer.add({"n": 0})
        assert list(read_lines(journal)) == []
        monkeypatch.setattr(json_lines, "SECONDS_AN_OBJECT", -1.0)
        writer.add({"n": 1})
        assert len(list(read_lines(journal))) == 2  # a kill would lose nothing now
        writer.add({"n": 2})
    append_line(journal, {"n": 3})
    assert journal.exists()
    assert [line["n"] for line in read_lines(journal)] == [0, 1, 2, 3]


def test_an_error_keeps_its_words_between_processes() -> None:
    error = RemoteError(5, "SlowDown", "s3://bucket/a.mp4")
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.errno) == ("s3://bucket/a.mp4: SlowDown", 5)
    assert str(RemoteError(f"in a worker: {error}")) == "in a worker: s3://bucket/a.mp4: SlowDown"


def test_unknown_urls_and_other_commands_are_one_line(tmp_path: Path) -> None:
    from motifocal.cli import cli

    with pytest.raises(RemoteError, match=r"^abc://bucket/x: Protocol not known"):
        RemotePath("abc://bucket/x").exists()
    result = invoke(cli, "train", "s3://data/shards", "-o", tmp_path, exit_code=2)
    assert "should be a local path, got s3://data/shards" in " ".join(result.output.split())
