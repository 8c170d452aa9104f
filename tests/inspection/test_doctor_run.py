"""Looking at a folder: in processes that may die, kept on disk, resumed, and put together."""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

import pytest
from doctor_clips import moving, save, still

from motifocal.data.trainer_rules import Request
from motifocal.data.workers.here import Here
from motifocal.data.workers.items import WHOLE, Part
from motifocal.data.workers.processes import Processes, in_processes
from motifocal.inspection import run as running
from motifocal.inspection.entries import Entry, gather
from motifocal.inspection.examine import Job, examine
from motifocal.inspection.finding import Finding, InspectSettings
from motifocal.inspection.findings import KnownFindings, read_findings
from motifocal.inspection.page import read_report
from motifocal.inspection.report import make_report
from motifocal.inspection.run import FINDINGS, inspect_entries
from motifocal.motion.heatmap import HeatmapSettings

SETTINGS = InspectSettings("plain", Request(((5, 48, 64),)), HeatmapSettings())


def square(number: int) -> int:
    return number * number


def trouble(number: int) -> int:
    """A decoder at its worst: 1 crashes, 2 hangs, 3 raises, the others are squared."""
    if number == 1:
        os.kill(os.getpid(), signal.SIGSEGV)
    if number == 2:
        time.sleep(600)
    if number == 3:
        raise MemoryError("no more")
    return number * number


def stubborn(number: int) -> int:
    """Ctrl-C in a terminal reaches the workers as well."""
    os.kill(os.getpid(), signal.SIGINT)
    return number


def a_minute(_: object) -> float:
    return 60.0


class Gone:
    """Can be sent, and not be received."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.path.exists, ()  # a call without its argument

    def __call__(self, number: int) -> int:
        return number


gone = Gone()


def test_all_jobs_are_answered_by_any_number_of_processes() -> None:
    for count in (1, 3):
        done = list(in_processes(square, range(7), count, a_minute))
        assert sorted((one.job, one.result) for one in done) == [(n, n * n) for n in range(7)]
    assert list(in_processes(square, [], 2, a_minute)) == []


@pytest.mark.slow
def test_a_crash_or_a_hang_costs_one_job_and_no_more(capfd: pytest.CaptureFixture[str]) -> None:

    def seconds(job: int) -> float:
        return 3.0 if job == 2 else 600.0  # that job alone hangs, however busy the machine is

    done = {one.job: one for one in in_processes(trouble, range(6), 2, seconds)}
    assert {job: one.result for job, one in done.items()} == {
        0: 0, 1: None, 2: None, 3: None, 4: 16, 5: 25,
    }  # fmt: skip
    assert "signal 11" in str(done[1].reason)
    assert done[2].reason == "no end after 3 s"
    assert done[3].reason == "its process ended (exit code 1)"
    assert "MemoryError: no more" in capfd.readouterr().err


def test_an_interrupt_is_not_for_the_workers() -> None:
    assert [one.result for one in in_processes(stubborn, [4], 1, a_minute)] == [4]


def deaf(number: int) -> bool:
    return signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="Windows has no such masks")
def test_an_interrupt_while_a_worker_starts_is_not_for_it_either() -> None:
    """It has not come to where it says so itself, and would print where its imports were."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert [one.result for one in in_processes(deaf, [1, 2], 2, a_minute)] == [True, True]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_leaving_early_leaves_no_process_behind() -> None:
    import multiprocessing

    jobs = in_processes(trouble, [0, 2, 4], 2, a_minute)
    assert next(jobs).result == 0
    jobs.close()
    assert multiprocessing.active_children() == []


def test_no_process_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="count should be at least 1, got 0"):
        next(in_processes(square, [1], 0, a_minute))


def test_a_process_that_cannot_start_is_an_error() -> None:
    """What cannot be found there cannot be worked with, and trying again will not help."""
    with pytest.raises(RuntimeError, match=r"ended at its start \(exit code 1\)"):
        list(in_processes(gone, [1], 1, a_minute))


# Findings on disk


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


# The report


def test_the_report_is_one_that_the_page_takes(tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    frames = moving(1, 6, height=48, width=64)
    save(clips / "one.mp4", frames)
    (clips / "same.mp4").write_bytes((clips / "one.mp4").read_bytes())
    save(clips / "again.mp4", frames, crf=32)
    save(clips / "still.mp4", still(9, 6, height=48, width=64))
    (clips / "empty.mp4").touch()
    folder = gather(clips)
    out = tmp_path / "out"
    inspected = {clip.place: clip for clip in inspect_entries(
        folder.entries, SETTINGS, out, workers=Processes(2), seconds=600)}
    report = make_report(folder, inspected, SETTINGS, made=date(2026, 1, 2))
    read_report(json.loads(json.dumps(report, allow_nan=False)))
    faults = {clip["name"]: [f["code"] for f in clip["faults"]] for clip in report["clips"]}
    assert faults == {
        "again.mp4": [], "empty.mp4": ["unreadable"], "one.mp4": ["near-duplicate"],
        "same.mp4": ["duplicate"], "still.mp4": ["static"],
    }  # fmt: skip
    by_name = {clip["name"]: clip for clip in report["clips"]}
    assert by_name["still.mp4"]["faults"][0].keys() == {"code", "old_code", "words"}
    assert by_name["still.mp4"]["faults"][0]["old_code"] == "still"
    assert by_name["empty.mp4"]["faults"][0].keys() == {"code", "words"}
    assert by_name["one.mp4"]["duplicate_of"] == "again.mp4"
    assert by_name["same.mp4"]["duplicate_of"] == "one.mp4"
    assert report["summary"]["by_fault"] == {
        "unreadable": 1, "static": 1, "duplicate": 1, "near-duplicate": 1,
    }  # fmt: skip
    assert report["summary"]["trained_samples"] == 4
    assert report["summary"]["trained_frames"] == 20
    assert (out / by_name["one.mp4"]["thumb"]).exists()
    assert report["made"] == "2026-01-02"


def test_names_that_print_alike_stay_apart(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"a\xff.mp4")).write_bytes(b"x")
    (tmp_path / "a\\udcff.mp4").write_bytes(b"y")
    folder = gather(tmp_path)
    report = make_report(folder, {}, SETTINGS, made=date(2026, 1, 2))
    assert len({clip["name"] for clip in report["clips"]}) == 2


def test_the_module_of_the_run_says_how_findings_are_kept(tmp_path: Path) -> None:
    """One line of JSON for each, so that other tools can read them."""
    clip = running.InspectedClip(0, "ab" * 32, 10, None)
    assert clip.thumb == f"thumbs/{'ab' * 8}.webp"
    line = json.dumps({"key": clip.key, "finding": asdict(Finding(frames=3))})
    (tmp_path / FINDINGS).write_text(line + "\n")
    assert list(read_findings(tmp_path / FINDINGS)) == [(0, clip.key, Finding(frames=3))]


def test_findings_of_several_files_are_read_back_by_key_and_the_later_ones_count(
    tmp_path: Path
) -> None:
    known = KnownFindings()
    for name, frames, places in (("a.jsonl", 3, range(9)), ("b.jsonl", 4, range(5, 12))):
        lines = [json.dumps({"key": f"{place:x}".ljust(64, "0"),
                             "finding": asdict(Finding(frames=frames))}) for place in places]
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines) + lines[0][:20])
        known.add(tmp_path / name, mend=name == "a.jsonl")
    keys = [f"{place:x}".ljust(64, "0") for place in range(12)]
    assert [known.get(key) for key in keys] == [Finding(frames=3)] * 5 + [Finding(frames=4)] * 7
    assert known.get("ab" * 32) is None
    ends = [(tmp_path / name).read_bytes()[-1:] == b"\n" for name in ("a.jsonl", "b.jsonl")]
    assert ends == [True, False]  # what another process may be writing stays
