"""`motifocal inspect` of small folders: options, exit codes, captions and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from doctor_clips import save, still
from inspect_reports import OPTIONS, called, clip, codes_of, report_of

from motifocal.cli.output.inspect_tables import clean


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "clips"
    save(path / "one.mp4", clip(1))
    return path


def test_a_folder_without_faults_is_a_success(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = called(folder, *OPTIONS)
    assert result.exit_code == 0
    report = report_of(tmp_path / "inspect-clips")
    assert report["summary"]["good"] == 1
    assert report["clips"][0]["samples"] == ["0-8"]
    assert report["settings"]["format"] == "a plain folder of videos"


def test_the_report_is_not_put_among_the_clips(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert called(".", *OPTIONS).exit_code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["one.mp4"]
    assert (folder.parent / "inspect-clips" / "inspect.html").exists()


@pytest.mark.parametrize(("fail_on", "code"), [
    ("error", 0), ("warning", 1), ("note", 1), ("never", 0),
])  # fmt: skip
def test_the_exit_code_is_for_scripts(
    fail_on: str, code: int, folder: Path, tmp_path: Path
) -> None:
    save(folder / "one.mp4", still(1, height=48, width=64))
    result = called(folder, "-o", tmp_path / "out", "--fail-on", fail_on, *OPTIONS)
    assert result.exit_code == code


@pytest.mark.parametrize(("options", "message"), [
    (["--family", "wan", "--frames", "80"], "nearest: 77 or 81"),
    (["--family", "ltx", "--frames", "85"], "nearest: 81 or 89"),
    (["--family", "wan", "--size", "50x64", "--frames", "81"], "multiples of 8"),
    (["--trainer", "nobody"], "is not one of"),
    (["--rule", "best"], "is not one of"),
    (["--frames", "0"], "--frames"),
    (["--time-limit", "0"], "--time-limit"),
])  # fmt: skip
def test_impossible_options_are_refused_before_a_clip_is_touched(
    options: list[str], message: str, folder: Path, tmp_path: Path
) -> None:
    result = called(folder, "-o", tmp_path / "out", *options)
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()
    assert message in result.output


def test_the_clips_own_folder_is_no_place_for_the_report(folder: Path) -> None:
    result = called(folder, "-o", folder, *OPTIONS)
    assert result.exit_code == 2
    assert "should be another folder" in result.output


def test_an_empty_folder_is_said_to_be_empty(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"should hold videos \(.mp4, .*, got none"):
        called(tmp_path, "-o", tmp_path / "out", *OPTIONS)


def test_each_fault_of_a_table_is_said_for_its_row(folder: Path, tmp_path: Path) -> None:
    save(folder / "two.mp4", clip(2))
    save(folder / "unnamed.mp4", clip(3))
    rows: list[Any] = [
        {"file_name": "one.mp4", "text": "a square moves"},
        {"file_name": "./one.mp4", "text": "a square moves again"},
        {"file_name": "../secret.mp4", "text": "x"}, {"file_name": 7, "text": "x"},
        {"file_name": "gone.mp4", "text": "x"}, ["one.mp4"], {"name": "two.mp4"},
        {"file_name": "two.mp4", "text": ["a", "b"]},
    ]  # fmt: skip
    lines = [json.dumps(row) for row in rows]
    (folder / "metadata.jsonl").write_text("\n".join([*lines, "{oops"]) + "\n")
    called(folder, "-o", tmp_path / "out", *OPTIONS)
    assert codes_of(report_of(tmp_path / "out")) == {
        "one.mp4": {"named-twice"}, "two.mp4": {"no-caption"}, "gone.mp4": {"missing"},
        "metadata.jsonl, line 3": {"outside"}, "metadata.jsonl, line 4": {"outside"},
        "metadata.jsonl, line 6": {"damaged-row"}, "metadata.jsonl, line 7": {"damaged-row"},
        "metadata.jsonl, line 9": {"damaged-row"}, "unnamed.mp4": {"not-listed"},
    }  # fmt: skip


def test_frames_are_those_of_the_trainer(folder: Path, tmp_path: Path) -> None:
    save(folder / "one.mp4", clip(1, 40))
    called(folder, "-o", tmp_path / "out", "--trainer", "musubi", "--frames", "9", "--frames", "13",
           "--rule", "chunk", "--size", "48x64")  # fmt: skip
    samples = report_of(tmp_path / "out")["clips"][0]["samples"]
    assert samples == ["0-8", "9-17", "18-26", "27-35", "0-12", "13-25", "26-38"]


def test_what_would_steer_a_terminal_is_escaped() -> None:
    assert clean("a\x1b[31mb\n\u202ec\u65e5") == "a\\x1b[31mb\\n\\u202ec\u65e5"


@pytest.mark.slow
def test_generated_clips_have_no_cuts_and_little_else(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for path in sorted((shared / "ti2v-clips" / "videos").glob("*/*.mp4"))[::8]:
        (folder / f"{path.parent.name}-{path.name}").symlink_to(path)
    result = called(folder, "-o", tmp_path / "out", "--frames", "13", "--size", "320x320",
                    "--heat-size", "128")  # fmt: skip
    assert result.exit_code == 0
    report = report_of(tmp_path / "out")
    counted = report["summary"]["by_fault"]
    assert report["summary"]["clips"] == 32
    assert counted.keys() <= {"link", "static", "too-little-motion", "camera-only",
                              "near-duplicate", "mostly-moving"}  # fmt: skip
    assert counted["link"] == 32
    assert counted.get("static", 0) + counted.get("too-little-motion", 0) <= 6
