"""Looking at a folder: findings kept on disk, resumed, and told from those of other settings."""

from __future__ import annotations

import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from doctor_clips import SETTINGS, moving, save, still

from motifocal.data.trainer_rules import Request
from motifocal.data.workers.here import Here
from motifocal.data.workers.items import WHOLE, Part
from motifocal.data.workers.processes import Processes
from motifocal.inspection.entries import Entry, gather
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.inspection.findings import read_findings
from motifocal.inspection.run import FINDINGS, inspect_entries


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    found = []
    for number in range(5):
        path = save(tmp_path / "clips" / f"{number}.mp4", moving(number, 6, height=48, width=64))
        found.append(Entry(path.name, path, "a square moves"))
    return [*found, Entry("gone.mp4", None, "x", [("missing", "no such file")])]


def on_a_full_disk(job: Job, settings: InspectSettings) -> Finding:
    """In a process of its own, in which no file can be brought to its place any more."""

    def replace_nothing(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if job.path.name != "0.mp4":
        os.replace = replace_nothing
    return examine(job, settings)


def test_what_a_killed_worker_was_writing_is_removed_unless_parts_may_write(
    entries: list[Entry], tmp_path: Path
) -> None:
    half = tmp_path / "report" / "thumbs" / ".0123456789abcdef.tmp"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"RIFF")
    for part, kept in ((Part(1, 2), True), (WHOLE, False)):
        list(inspect_entries(entries, SETTINGS, tmp_path / "report", workers=Here(), seconds=60,
                           work=lambda job, settings: Finding(frames=3), part=part))
        assert half.exists() == kept


def test_a_full_disk_is_named_with_what_to_do_and_not_blamed_on_the_clips(
    entries: list[Entry], tmp_path: Path
) -> None:
    output = tmp_path / "report"
    inspected = inspect_entries(entries, SETTINGS, output, workers=Processes(1), seconds=600,
                                work=on_a_full_disk)
    assert next(inspected).finding.problem is None
    with pytest.raises(OSError, match=r"thumbs/\w+\.webp cannot be written, the disk is full .* "
                       "make room there") as raised:  # fmt: skip
        list(inspected)
    assert raised.value.errno == errno.ENOSPC
    # What was found before is kept, and the clips that were not looked at are by the next run.
    assert len(list(read_findings(output / FINDINGS))) == 1
    again = list(inspect_entries(entries, SETTINGS, output, workers=Processes(1), seconds=600))
    assert [look.finding.problem for look in again] == [None] * 5


def counted(job: Job, settings: InspectSettings) -> Finding:
    """Says so on disk, because it runs in another process."""
    with (job.thumb.parent.parent / "looked").open("a") as file:
        file.write(f"{job.path.name}\n")
    return Finding(frames=settings.request.buckets[0][0])


def crashing(job: Job, settings: InspectSettings) -> Finding:
    if job.path.name == "2.mp4":
        os.kill(os.getpid(), signal.SIGKILL)
    return counted(job, settings)


def looked(entries: list[Entry], output: Path, **changed) -> dict[int, Finding | None]:
    given = {"workers": Processes(1), "seconds": 60, "work": counted, "settings": SETTINGS,
             **changed}
    settings = given.pop("settings")
    inspected = inspect_entries(entries, settings, output, **given)
    return {clip.place: clip.finding for clip in inspected}


def seen(output: Path) -> list[str]:
    path = output / "looked"
    names = sorted(path.read_text().split()) if path.exists() else []
    path.unlink(missing_ok=True)
    return names


def test_nothing_is_looked_at_twice(entries: list[Entry], tmp_path: Path) -> None:
    first = looked(entries, tmp_path / "out")
    assert len(first) == 5
    assert len(seen(tmp_path / "out")) == 5
    assert looked(entries, tmp_path / "out") == first
    assert seen(tmp_path / "out") == []


def test_a_file_that_goes_while_others_are_looked_at_is_missing(
    entries: list[Entry], tmp_path: Path
) -> None:
    assert entries[1].path is not None
    entries[1].path.unlink()
    found = looked(entries, tmp_path / "out")
    gone = found[1]
    assert gone is not None
    assert gone.problem is not None
    assert gone.problem[0] == "missing"
    assert len(seen(tmp_path / "out")) == 4


def unmounting(job: Job, settings: InspectSettings) -> Finding:
    """The disk goes while the clip is looked at."""
    if job.path.name == "2.mp4":
        job.path.rename(job.path.with_suffix(".away"))
        return Finding(problem=("unreadable", "no such file or folder"))
    return counted(job, settings)


def test_what_the_system_did_not_let_us_read_is_tried_again(
    entries: list[Entry], tmp_path: Path
) -> None:
    path = entries[2].path
    assert path is not None
    first = looked(entries, tmp_path / "out", work=unmounting)
    assert first[2] == Finding(problem=("unreadable", "no such file or folder"))
    path.with_suffix(".away").rename(path)
    seen(tmp_path / "out")
    assert looked(entries, tmp_path / "out")[2] == Finding(frames=5)
    assert seen(tmp_path / "out") == ["2.mp4"]


def test_a_folder_that_may_not_be_entered_is_named(
    entries: list[Entry], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "clips" / "closed"
    closed.mkdir()
    scandir = os.scandir

    def refusing(path=".", *rest):
        if os.fspath(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(closed))
        return scandir(path, *rest)

    monkeypatch.setattr(os, "scandir", refusing)
    (last,) = [entry for entry in gather(tmp_path / "clips").entries if entry.path is None]
    assert last.name == "closed"
    assert last.faults == [
        ("unreadable", "a folder that cannot be looked into (Permission denied)")
    ]


def test_a_link_to_a_folder_leads_somewhere(entries: list[Entry], tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    (tmp_path / "other").mkdir()
    (clips / "folder.mp4").symlink_to(tmp_path / "other")
    (clips / "loop.mp4").symlink_to("loop.mp4")
    faults = {entry.name: entry.faults for entry in gather(clips).entries if entry.path is None}
    assert faults == {"folder.mp4": [("missing", "is no file")],
                      "loop.mp4": [("missing", "a link that leads nowhere")]}  # fmt: skip


def test_hidden_files_and_folders_are_no_clips(entries: list[Entry], tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    (clips / "._0.mp4").write_bytes(b"what a Mac leaves behind")
    (clips / ".trash").mkdir()
    (clips / ".trash" / "9.mp4").write_bytes(b"x")
    (clips / "._0.txt").write_text("x")
    names = [entry.name for entry in gather(clips).entries]
    assert names == [f"{number}.mp4" for number in range(5)]


@pytest.mark.slow
def test_a_changed_file_or_setting_is_looked_at_again(
    entries: list[Entry], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    looked(entries, out)
    seen(out)
    save(tmp_path / "clips" / "3.mp4", still(3, 6, height=48, width=64))
    looked(entries, out)
    assert seen(out) == ["3.mp4"]
    clip = tmp_path / "clips" / "3.mp4"
    before, data = clip.stat(), clip.read_bytes()
    (tmp_path / "other").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    (tmp_path / "other").replace(clip)  # with the size and the date of the one before
    os.utime(clip, ns=(before.st_atime_ns, before.st_mtime_ns))
    looked(entries, out)
    assert seen(out) == ["3.mp4"]
    other = replace(SETTINGS, request=Request(((3, 48, 64),)))
    assert {one.frames for one in looked(entries, out, settings=other).values() if one} == {3}
    assert len(seen(out)) == 5
    looked(entries, out)
    assert seen(out) == []


@pytest.mark.slow
def test_what_a_kill_left_is_gone_on_with(entries: list[Entry], tmp_path: Path) -> None:
    out = tmp_path / "out"
    whole = looked(entries, out)
    seen(out)
    lines = (out / FINDINGS).read_bytes().split(b"\n")
    (out / FINDINGS).write_bytes(b"\n".join(lines[:3]) + b"\n" + lines[3][:20])
    assert looked(entries, out) == whole
    assert len(seen(out)) == 2
    assert len(list(read_findings(out / FINDINGS))) == 5


@pytest.mark.slow
def test_stopping_in_the_middle_keeps_what_is_done(entries: list[Entry], tmp_path: Path) -> None:
    out = tmp_path / "out"
    inspected = inspect_entries(entries, SETTINGS, out, workers=Processes(1), seconds=600,
                                work=counted)
    next(inspected)
    next(inspected)
    inspected.close()
    assert len(list(read_findings(out / FINDINGS))) == 2
    seen(out)
    assert len(looked(entries, out)) == 5
    assert len(seen(out)) == 3


@pytest.mark.slow
def test_a_clip_that_kills_its_process_is_named_and_tried_again(
    entries: list[Entry], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = looked(entries, out, work=crashing)
    assert len(first) == 5
    assert first[2] is not None
    assert first[2].problem == ("decoder-failed", "its process ended (signal 9, Killed)")
    seen(out)
    assert looked(entries, out)[2] == Finding(frames=5)
    assert seen(out) == ["2.mp4"]


def test_a_lost_thumbnail_is_made_again(entries: list[Entry], tmp_path: Path) -> None:
    out = tmp_path / "out"
    (first,) = inspect_entries(entries[:1], SETTINGS, out, workers=Processes(1), seconds=600)
    assert (out / first.thumb).exists()
    (out / first.thumb).unlink()
    (again,) = inspect_entries(entries[:1], SETTINGS, out, workers=Processes(1), seconds=600)
    assert again == first
    assert (out / first.thumb).exists()


@pytest.mark.parametrize("difference", ["lacking", "more"])
def test_a_finding_of_another_version_is_not_believed_and_its_clip_is_looked_at_anew(
    difference: str, entries: list[Entry], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first = looked(entries[:2], out)
    seen(out)
    lines = [json.loads(line) for line in (out / FINDINGS).read_text().splitlines()]
    if difference == "lacking":
        del lines[0]["finding"]["own_mean"]
    else:
        lines[0]["finding"]["hot"] = 0.5
    (out / FINDINGS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert looked(entries[:2], out) == first
    assert len(seen(out)) == 1


@pytest.mark.parametrize("line", ['{"name": 1}', "[]", "oops", '{"key": "a", "finding": {}}'])
def test_somebody_elses_file_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / FINDINGS).write_text(line + "\n")
    with pytest.raises(ValueError, match=r"line 1 should be a finding of this version"):
        list(read_findings(tmp_path / FINDINGS))
