"""Objects in a bucket as paths; what holds in memory:// holds for s3://, hf:// and gs:// too."""

from __future__ import annotations

import os
import pickle
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from motifocal.cli.heatmap import heatmap
from motifocal.cli.inspect import inspect
from motifocal.cli.options.declare import location
from motifocal.cli.output.clip_table import name_clips
from motifocal.data.caption_formats import Row
from motifocal.data.captions import place_of
from motifocal.files import json_lines
from motifocal.files.atomic import write_bytes
from motifocal.files.folder_state import file_stamp
from motifocal.files.json_lines import LineWriter, append_line, read_lines
from motifocal.files.object_state import state_of
from motifocal.files.remote import RemoteError, RemotePath, fetched, states_of, to_path, uploading
from motifocal.media.video import VideoError, read_video

pytest.importorskip("fsspec")


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


def test_what_is_wrong_with_an_object_is_said_of_its_url(memory: RemotePath) -> None:
    write_bytes(memory / "a.mp4", b"no video")
    with pytest.raises(VideoError, match=r"^memory://bucket/run/a\.mp4: "), \
         fetched(memory / "a.mp4") as local:
        read_video(local)


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


def test_a_name_that_leads_out_of_the_folder_is_refused(memory: RemotePath, tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/bucket/run/../../out.mp4", b"")
    with pytest.raises(RemoteError, match=r"out\.mp4: a name should hold no '\.\.'"):
        list(memory.rglob("*"))
    with pytest.raises(RemoteError, match=r"a name should hold no '\.\.'"), \
         fetched(memory / "../../out.mp4"):
        pass
    result = CliRunner().invoke(heatmap, [str(memory), "-o", str(tmp_path / "maps"), "-q"])
    assert isinstance(result.exception, RemoteError)
    assert [path.name for path in tmp_path.iterdir()] == ["maps"][: (tmp_path / "maps").exists()]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("a/b.mp4", "a/b.mp4"),
        ("memory://bucket/run/a/b.mp4", "a/b.mp4"),
        ("memory://bucket/run/../b.mp4", None),
        ("memory://bucket/run//b.mp4", None),
        ("memory://bucket/b.mp4", None),
        ("s3://bucket/run/b.mp4", None),
        ("../b.mp4", None),
        ("/b.mp4", None),
    ],
)
def test_a_table_in_a_bucket_names_clips_of_its_own_folder_only(
    memory: RemotePath, name: str, place: str | None
) -> None:
    assert place_of(Row("line 1", name), memory) == place


def test_a_password_in_a_url_is_refused_and_not_printed(tmp_path: Path) -> None:
    url = "ftp://me:secret@127.0.0.1/clips"
    result = CliRunner().invoke(inspect, [url, "-o", str(tmp_path)])
    assert str(result.exception).startswith("ftp://***@127.0.0.1/clips: a URL should hold no ")


def test_a_long_suffix_makes_no_long_file_name(memory: RemotePath) -> None:
    name = f"a.{'b' * 300}"
    write_bytes(memory / name, b"x")
    assert (memory / name).read_bytes() == b"x"


def test_clips_here_and_in_a_bucket_have_no_names_together(memory: RemotePath) -> None:
    clips = [Path("/clips/a.mp4"), memory / "a.mp4"]
    with pytest.raises(ValueError, match=r"^clips should be all in a bucket or all on this mach"):
        name_clips(clips)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"ETag": '"a"', "LastModified": datetime(2026, 1, 1, 0, 0, 0, 7)},
         {"ETag": "a", "LastModified": datetime(2026, 1, 1)}),
        ({"generation": "1", "mtime": datetime(2026, 1, 1), "updated": "2026-01-01T00:00:00Z"},
         {"generation": "1", "mtime": datetime(2026, 1, 1)}),
        ({"blob_id": "a"}, {"blob_id": "a", "last_commit": None}),
    ],
)  # fmt: skip
def test_a_listing_and_a_request_tell_the_same_state(
    first: dict[str, Any], second: dict[str, Any]
) -> None:
    states = [state_of({"type": "file", "size": 5, **info}) for info in (first, second)]
    assert file_stamp(states[0]) == file_stamp(states[1])
    if "mtime" in first:
        assert states[0].st_mtime == datetime(2026, 1, 1).timestamp()


def test_another_version_has_another_time_in_a_store_without_times() -> None:
    states = [state_of({"type": "file", "size": 5, "blob_id": version}) for version in "ab"]
    assert states[0].st_mtime_ns != states[1].st_mtime_ns


def test_lines_that_are_added_in_a_bucket_are_read_in_their_order(
    memory: RemotePath, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = memory / "findings.jsonl"
    with LineWriter.open(journal) as writer:
        monkeypatch.setattr(json_lines, "SECONDS_AN_OBJECT", 1e9)
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
    with pytest.raises(RemoteError, match=r"^github://owner/x: "):  # needs more than a URL
        location("github://owner/x")
    result = CliRunner().invoke(cli, ["train", "s3://data/shards", "-o", str(tmp_path)])
    assert result.exit_code == 2
    assert "should be a local path, got s3://data/shards" in " ".join(result.output.split())
