"""`motifocal inspect` of two hundred files: each is named with its fault, as text, and once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import Result
from doctor_clips import FPS, audio_only, encode, huge, joined, moving, pan, save, still
from inspect_reports import OPTIONS, called, clip, codes_of, report_of

from motifocal.data.workers.processes import Processes
from motifocal.inspection.faults import FAULTS
from motifocal.media.video import write_image


def damaged(folder: Path) -> dict[str, set[str]]:
    """Files that cannot be read, each in its own way."""
    whole = save(folder / "whole.mp4", clip(1, 40)).read_bytes()
    moov = encode(folder / "end.mov", clip(2, 40), "libx264").read_bytes()
    contents = {
        "zero.mp4": b"", "text.mp4": b"this is no video\n" * 40, "noise.mp4": bytes(range(256)) * 9,
        "page.webm": b"<html><script>alert(1)</script></html>", "zeros.avi": bytes(4000),
        "header.mp4": b"\0" * 64 + whole[64:], "index-cut.mov": moov[: len(moov) * 2 // 3],
        "ftyp.mp4": whole[:32], "playlist.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        "concat.mkv": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "gif.gif": b"GIF89a\xff\xff\xff\xff",
        "zip.mp4": b"PK\x03\x04" + bytes(300), "truncated.mp4": whole[: len(whole) // 2],
    }  # fmt: skip
    for part in range(2, 22):
        contents[f"cut-{part:02d}.mp4"] = whole[: len(whole) * part // 24]
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    audio_only(folder / "sound.mp4")
    huge(folder / "huge.mp4")
    broken = np.frombuffer(whole, np.uint8).copy()
    broken[len(broken) // 3 : len(broken) // 3 + 600] ^= 0x5A
    (folder / "flipped.mp4").write_bytes(broken.tobytes())
    write_image(folder / "picture.png", clip(3, 1)[0])
    shutil.move(folder / "picture.png", folder / "picture.mp4")
    names = {*contents, "sound.mp4", "huge.mp4", "flipped.mp4"}
    # A picture under the name of a video is read as what it is, one frame.
    readable = {"whole.mp4": set(), "end.mov": set(), "picture.mp4": {"too-short"}}
    return {**{name: {"unreadable"} for name in names}, **readable}


def odd(folder: Path) -> dict[str, set[str]]:
    """Files that can be read, but."""
    encode(folder / "vfr.mkv", clip(10, 24), "libx264",
           times=[40 * k for k in range(12)] + [480 + 200 * k for k in range(12)])  # fmt: skip
    save(folder / "one.mp4", clip(11, 1))
    save(folder / "short.mp4", clip(12, 8))
    encode(folder / "odd.mkv", moving(13, 12, height=61, width=83), "ffv1", "bgr0")
    encode(folder / "pixel.mkv", clip(14)[:, :1, :1], "ffv1", "bgr0")
    save(folder / "tall.mp4", moving(15, height=96, width=64))
    save(folder / "tiny.mp4", clip(16)[:, ::3, ::3])
    for seed in range(8):
        save(folder / f"still-{seed}.mp4", still(20 + seed, height=96, width=128))
        save(folder / f"pan-{seed}.mp4", pan(40 + seed, height=96, width=128))
        at = 2 + seed
        save(folder / f"scenes-{seed}.mp4", joined(clip(60 + seed, at), clip(80 + seed, 12 - at)))
    save(folder / "late-cut.mp4", joined(clip(90, 12), clip(91, 6)))
    wanted: dict[str, set[str]] = {
        "vfr.mkv": {"variable-rate"}, "one.mp4": {"too-short"}, "short.mp4": {"too-short"},
        "odd.mkv": {"odd-size"}, "tall.mp4": {"cropped"}, "tiny.mp4": {"small"},
        "late-cut.mp4": {"cut-elsewhere"}, "pixel.mkv": {"odd-size", "small", "static"},
    }  # fmt: skip
    # Both are drawn of noise that was enlarged, and nothing sharp moves over it.
    wanted |= {f"still-{seed}.mp4": {"static", "blurred"} for seed in range(8)}
    wanted |= {f"pan-{seed}.mp4": {"camera-only", "blurred", "mostly-moving"} for seed in range(8)}
    cut = {f"scenes-{seed}.mp4": {"cut" if 2 + seed < 9 else "cut-elsewhere"} for seed in range(8)}
    return wanted | cut


def fine(folder: Path) -> dict[str, set[str]]:
    """Unusual, and nothing wrong with it: codecs, containers, names."""
    kinds = {
        "a.avi": ("mpeg4", "yuv420p"), "b.mov": ("mjpeg", "yuvj420p"), "c.mkv": ("ffv1", "bgr0"),
        "d.webm": ("libvpx-vp9", "yuv420p"), "e.mp4": ("libx265", "yuv420p"),
        "f.mov": ("prores_ks", "yuv422p10le"), "g.avi": ("huffyuv", "rgb24"),
        "h.flv": ("flv1", "yuv420p"), "i.wmv": ("wmv2", "yuv420p"), "k.mkv": ("libx264", "yuv444p"),
        "l.ts": ("mpeg2video", "yuv420p"), "m.webm": ("libvpx", "yuv420p"),
    }  # fmt: skip
    for number, (name, (codec, pix_fmt)) in enumerate(kinds.items()):
        frames = clip(100 + number, 20)
        # MPEG-2 takes none but the rates of television.
        encode(folder / name, frames, codec, pix_fmt, rate=25 if codec == "mpeg2video" else FPS)
    names = [
        "wrong-extension.mp4", "\u65e5\u672c\u8a9e \U0001f426.mp4", "-rf.mp4", "a b'c\"d;e$f.mp4",
        "<script>alert(1)</script>.mp4", "new\nline.mp4", "escape\x1b[31m.mp4", "%s%n{0}.mp4",
        "deep/er/clip.MP4", "x" * 200 + ".mp4", "a..mp4.mp4x.mp4", "file:x.mp4",
    ]  # fmt: skip
    names = [name.replace("</", "<-") for name in names]  # a slash is no part of a name
    for number, name in enumerate(names):
        save(folder / name, clip(130 + number))
    gif = save(folder / "moving.gif", clip(150))
    matroska = encode(folder / "m.mkv", clip(151), "libx264")
    shutil.move(matroska, folder / "wrong-extension.mp4")
    assert gif.exists()
    return {name: set() for name in (*kinds, *names, "moving.gif")}


def doubles(folder: Path) -> dict[str, set[str]]:
    """The same clip again: byte for byte, encoded again, scaled."""
    wanted: dict[str, set[str]] = {}
    for seed in range(10):
        frames = moving(200 + seed, height=96, width=128)
        first = save(folder / f"twin-{seed}-a.mp4", frames)
        (folder / f"twin-{seed}-b.mp4").write_bytes(first.read_bytes())
        save(folder / f"twin-{seed}-c.mp4", frames, crf=34)
        half = np.stack([cv2.resize(f, (96, 72), interpolation=cv2.INTER_AREA) for f in frames])
        save(folder / f"twin-{seed}-d.mp4", half)
        save(folder / f"twin-{seed}-e.mp4", np.repeat(frames, 2, axis=0), fps=16)
        wanted |= {f"twin-{seed}-a.mp4": set(), f"twin-{seed}-b.mp4": {"duplicate"}}
        wanted |= {f"twin-{seed}-{kind}.mp4": {"near-duplicate"} for kind in "cd"}
        wanted[f"twin-{seed}-e.mp4"] = {"near-duplicate", "stored-repeats"}
    return wanted


def links(folder: Path, outside: Path) -> dict[str, set[str]]:
    target = save(outside / "target.mp4", clip(170))
    (folder / "linked.mp4").symlink_to(target)
    (folder / "nowhere.mp4").symlink_to(outside / "gone.mp4")
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    (folder / "round").symlink_to(folder)
    (folder / "folder.mp4").symlink_to(outside)
    os.mkfifo(folder / "pipe.mp4")
    return {"linked.mp4": {"link"}, "nowhere.mp4": {"missing"}, "loop.mp4": {"missing"},
            "folder.mp4": {"missing"}, "pipe.mp4": {"missing"}}  # fmt: skip


def caption_all(folder: Path, wanted: dict[str, set[str]]) -> None:
    """Every clip gets a text beside it; some are missing, empty, damaged, or name no motion."""
    for name in wanted:
        (folder / name).with_suffix(".txt").write_text("a square moves to the right")
    special = {
        "still-0.mp4": ("The red house in a garden.", {"no-motion-word"}),
        "still-1.mp4": ("", {"no-caption"}), "still-2.mp4": (" \n\t", {"no-caption"}),
        "still-3.mp4": (None, {"no-caption"}), "still-4.mp4": (b"caf\xe9", {"damaged-row"}),
        "still-5.mp4": ("Ein rotes Haus mit dem Garten", set()),
    }  # fmt: skip
    for name, (text, codes) in special.items():
        path = (folder / name).with_suffix(".txt")
        if text is None:
            path.unlink()
        else:
            path.write_bytes(text if isinstance(text, bytes) else text.encode())
        wanted[name] = wanted[name] | codes


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, set[str]]]:
    folder = tmp_path_factory.mktemp("clips")
    wanted = damaged(folder) | odd(folder) | fine(folder) | doubles(folder)
    wanted |= links(folder, tmp_path_factory.mktemp("outside"))
    for seed in range(200 - len(wanted)):
        save(folder / f"good-{seed:03d}.mp4", clip(300 + seed))
        wanted[f"good-{seed:03d}.mp4"] = set()
    caption_all(folder, wanted)
    return folder, wanted


@pytest.fixture(scope="module")
def inspected(
    bad: tuple[Path, dict[str, set[str]]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Result]]:
    before = {p: p.lstat().st_mtime_ns for p in bad[0].rglob("*")}
    output = tmp_path_factory.mktemp("report")
    result = called(bad[0], "-o", output, *OPTIONS)
    yield output, result
    assert {p: p.lstat().st_mtime_ns for p in bad[0].rglob("*")} == before


@pytest.mark.slow
def test_each_of_two_hundred_faulty_files_is_named_with_its_fault(bad, inspected) -> None:
    _, wanted = bad
    output, result = inspected
    assert result.exit_code == 1
    found = codes_of(report_of(output))
    assert len(found) >= 200
    assert found.keys() == wanted.keys()
    wrong = {name: (found[name], codes) for name, codes in wanted.items() if found[name] != codes}
    # Motion is measured, and a pan over few pixels may leave something behind.
    uncertain = {name for name in wrong if name.startswith("pan-")}
    assert {name: wrong[name] for name in wrong.keys() - uncertain} == {}
    assert len(uncertain) <= 2
    assert {code for codes in found.values() for code in codes} >= FAULTS.keys() - {
        "decoder-failed", "outside", "too-little-motion", "one-frame", "named-twice",
        "not-listed", "partly-checked", "rotated", "non-square-pixels", "hdr", "interlaced",
        "transparent", "caption-cut", "same-name", "name-not-utf8",
        "repeated-frames", "freeze", "bars",
    }  # fmt: skip


@pytest.mark.slow
def test_the_reasons_say_what_is_wrong(bad, inspected) -> None:
    clips = {clip["name"]: clip for clip in report_of(inspected[0])["clips"]}
    words = {name: "; ".join(f["words"] for f in clip["faults"]) for name, clip in clips.items()}
    assert words["zero.mp4"] == "the file is empty"
    assert "truncated" in words["truncated.mp4"] or "holds" in words["truncated.mp4"]
    assert "no moving video, only audio" in words["sound.mp4"]
    assert words["loop.mp4"] == words["nowhere.mp4"] == "a link that leads nowhere"
    assert words["short.mp4"] == (
        "no sample of 9 frames: it holds 8 frames, 1.00 s at 8 frames/s; --frames 5 would fit"
    )
    assert clips["scenes-0.mp4"]["cuts"] == [2]
    assert "frame 2" in words["scenes-0.mp4"]
    assert clips["twin-3-c.mp4"]["duplicate_of"] == "twin-3-a.mp4"
    assert clips["vfr.mkv"]["variable_rate"]
    assert all("/etc" not in text for text in words.values())


@pytest.mark.slow
def test_terminal_and_page_show_hostile_names_as_text(inspected) -> None:
    output, result = inspected
    page = (output / "inspect.html").read_text()
    assert "<script>alert(1)" not in page
    assert "\x1b[31m.mp4" not in result.stdout
    assert result.stdout.splitlines()[-2:] == [
        str(output / "inspect.json"), str(output / "inspect.html"),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_second_run_decodes_nothing_and_says_the_same(
    bad, inspected, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("a process was started")

    output, result = inspected
    first = report_of(output)
    assert not (output / "finished.json").exists()  # there are links: its clips are listed again
    monkeypatch.setattr(Processes, "run", forbidden)
    again = called(bad[0], "-o", output, *OPTIONS)
    assert report_of(output) == first
    assert again.stdout == result.stdout
    assert again.exit_code == 1


@pytest.mark.slow
def test_going_on_after_a_kill_gives_the_same_report(bad, inspected, tmp_path: Path) -> None:
    whole = report_of(inspected[0])
    shutil.copytree(inspected[0] / "thumbs", tmp_path / "thumbs")
    lines = (inspected[0] / "findings.jsonl").read_bytes().split(b"\n")
    (tmp_path / "findings.jsonl").write_bytes(b"\n".join(lines[:150]) + b"\n" + lines[151][:99])
    called(bad[0], "-o", tmp_path, *OPTIONS)
    assert report_of(tmp_path) == whole
