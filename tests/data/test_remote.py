"""Clips and results in a bucket: the same bytes as from a local folder, whatever fails between."""

from __future__ import annotations

import os
import random
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
from inspect_reports import thumbnails, without_places
from s3_server import KEYS, Server, running

from motifocal.cli.export import export
from motifocal.cli.heatmap import heatmap
from motifocal.cli.inspect import inspect
from motifocal.cli.prepare import prepare
from motifocal.data.captions import CaptionedVideo
from motifocal.data.workers.threads import Threads
from motifocal.files.atomic import write_bytes, write_text
from motifocal.files.json_text import read_json_object
from motifocal.files.remote import RemoteError, RemotePath, fetched, filesystem, uploading

pytest.importorskip("moto")
pytest.importorskip("s3fs")

#: Clips in the bucket; 600 take some minutes.
CLIPS = int(os.environ.get("MOTIFOCAL_CLUSTER_CLIPS", "6"))
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
    log = server.log(before)
    server.fail()
    assert {line.split()[-1] for line in log} == {"answered", "slow", "dropped"}
    assert [line for line in listings(log) if "prefix=clips" in line] == []
    assert files(output, "clips.jsonl") == files(local, "clips.jsonl")
    assert thumbnails(output) == thumbnails(local)
    assert without_places(output) == without_places(local)
    before = len(server.log())
    invoke(inspect, *table)
    again = [line for line in server.log(before) if line.startswith("GET /data/clips/")]
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
            shards = [line for line in server.log(before)
                      if line.startswith("PUT /data/shards/shard-") and "answered" in line]
        process.send_signal(signal.SIGKILL)
    there = files(output, "*.safetensors")
    assert there.items() <= whole.items()  # none of them is half a shard
    invoke(prepare, *words)
    server.fail()
    assert files(output, "*.safetensors", "prepared.json") == whole | files(local, "prepared.json")
    log = server.log(before)
    assert [line for line in listings(log) if "prefix=clips" in line] == []
    before = len(server.log())
    invoke(prepare, *words)
    assert [line for line in server.log(before) if line.startswith("PUT /data/shards/shard")
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
    sent = [line for line in server.log(before) if "partNumber" in line]
    assert len(sent) >= 3
    path.unlink()


def test_a_large_object_whose_connection_is_lost_is_read_on_from_there(
    server: Server, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, content = RemotePath("s3://data/long.bin"), random.Random(0).randbytes(3 * 2**20)
    write_bytes(path, content)
    monkeypatch.setattr(filesystem(path), "default_block_size", 2**20)
    server.fail(drop=2)
    before = len(server.log())
    try:
        for _ in range(2):  # one of them meets the request that is dropped
            with fetched(path) as local:
                assert local.read_bytes() == content
    finally:
        server.fail()
    path.unlink()
    assert any("dropped" in line for line in server.log(before))
