"""The report that the page takes, and the findings that it is made of."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from datetime import date
from pathlib import Path

from doctor_clips import SETTINGS, moving, save, still

from motifocal.data.workers.processes import Processes
from motifocal.inspection import run as running
from motifocal.inspection.entries import gather
from motifocal.inspection.finding import Finding
from motifocal.inspection.findings import KnownFindings, read_findings
from motifocal.inspection.page import read_report
from motifocal.inspection.report import make_report
from motifocal.inspection.run import FINDINGS, inspect_entries


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
